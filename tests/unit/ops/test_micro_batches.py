"""Splitting batches: nothing is lost, doubled or put in another place."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.ops.micro_batches import by_prompts, joined, micro_batches, select, stored
from heeler.ops.text_batch import TextBatch


def batch_of(lengths, prompt_lengths):
    """Completions of the given lengths by prompt; every token and log-probability is its place in the batch."""
    completions, prompt_of, at = [], [], 0
    for prompt, each in enumerate(lengths):
        for length in each:
            completions.append(torch.arange(at, at + length))
            prompt_of.append(prompt)
            at += length
    return TextBatch(
        prompts=tuple(torch.full((length,), 1000 + prompt) for prompt, length in enumerate(prompt_lengths)),
        completions=tuple(completions),
        prompt_of_N=torch.tensor(prompt_of),
        sampled_logprob_T=-torch.arange(float(at)),
        truncated_N=torch.tensor([len(ids) % 2 == 0 for ids in completions]),
        temperature=0.7,
    )


def check_part(whole, micro):
    """Whatever a part holds is what the whole holds where the part says that it comes from."""
    part = micro.batch
    assert torch.equal(part.token_T, micro.token_S)
    assert torch.equal(part.sampled_logprob_T, whole.sampled_logprob_T[micro.token_S])
    assert torch.equal(part.truncated_N, whole.truncated_N[micro.completion_M])
    assert part.temperature == whole.temperature
    for i, place in enumerate(micro.completion_M.tolist()):
        assert torch.equal(part.completions[i], whole.completions[place])
        assert torch.equal(part.prompts[int(part.prompt_of_N[i])], whole.prompts[int(whole.prompt_of_N[place])])


lengths_of_groups = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(lengths_of_groups, st.integers(1, 60), st.booleans(), st.data())
def test_parts_hold_everything_once(lengths, max_tokens, split_prompts, data):
    whole = batch_of(lengths, [data.draw(st.integers(1, 7)) for _ in lengths])
    parts = micro_batches(whole, max_tokens=max_tokens, split_prompts=split_prompts)
    for part in parts:
        check_part(whole, part)
    assert sorted(torch.cat([part.completion_M for part in parts]).tolist()) == list(range(len(whole)))
    tokens = torch.cat([part.token_S for part in parts])
    assert torch.equal(tokens.sort().values, torch.arange(len(whole.token_T)))
    assert torch.equal(joined([part.batch.token_T for part in parts], parts), whole.token_T)
    if not split_prompts:
        owners = [set(whole.prompt_of_N[part.completion_M].tolist()) for part in parts]
        assert sum(len(owner) for owner in owners) == len(whole.prompts)


@settings(max_examples=30, deadline=None)
@given(lengths_of_groups, st.integers(20, 60))
def test_parts_are_no_larger_than_asked_for(lengths, max_tokens):
    whole = batch_of(lengths, [3] * len(lengths))
    for part in micro_batches(whole, max_tokens=max_tokens):
        rows: dict[int, int] = {}
        for prompt, ids in zip(part.batch.prompt_of_N.tolist(), part.batch.completions, strict=True):
            rows[prompt] = rows.get(prompt, 3) + len(ids)
        if len(rows) > 1:
            assert len(rows) * max(rows.values()) <= max_tokens


def test_one_part_where_there_is_room():
    whole = batch_of([[2, 3], [1]], [4, 2])
    (part,) = micro_batches(whole, max_tokens=100)
    check_part(whole, part)


def test_by_prompts_deals_all_out():
    whole = batch_of([[2, 3], [1], [4, 4, 4], [2], [5]], [1, 2, 3, 4, 5])
    parts = by_prompts(whole, 2, torch.tensor([4, 0, 3, 1, 2]))
    for part in parts:
        check_part(whole, part)
    assert [len(part.batch.prompts) for part in parts] == [3, 2]
    assert parts[0].completion_M.tolist() == [7, 0, 1, 6]


def test_select_takes_what_is_named():
    whole = batch_of([[2, 3], [1, 6]], [1, 2])
    part = select(whole, [1, 2])
    check_part(whole, part)
    assert len(part.batch.prompts) == 2


def test_trap_chosen_and_rejected_share_the_prompt_s_tokens():
    prompt = torch.tensor([5, 6])
    pair = stored([prompt], [torch.tensor([1]), torch.tensor([2])], torch.tensor([0, 0]))
    assert pair.prompts[0] is prompt
    assert len(pair.prompts) == 1


def test_what_was_not_sampled_has_no_log_probability():
    pair = stored([torch.tensor([5])], [torch.tensor([1, 2])], torch.tensor([0]))
    assert pair.sampled_logprob_T.isnan().all()
    assert pair.length_N.tolist() == [2]

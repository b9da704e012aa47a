"""Practice in copying: lists that are said again, and what stands in them."""

import torch

from heeler.recipes.copying import LONGEST, SHORTEST, memberships, practice, repetitions

YES, NO = 5, 6


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_list_is_said_twice_and_the_second_time_is_learned() -> None:
    pool = torch.tensor([[7, 8, 9], [10, 11, 12]])
    batch, is_learned_T = repetitions(pool, 3, generator=generator())
    assert [ids.tolist() for ids in batch.prompts] == [[7, 8, 9, 7, 8], [10, 11, 12, 10, 11]]
    assert [ids.tolist() for ids in batch.completions] == [[9], [12]]
    assert is_learned_T.tolist() == [True, True]


def test_a_longer_list_than_its_pool_says_things_again() -> None:
    batch, _ = repetitions(torch.tensor([[7, 8, 9]]), 12, generator=generator())
    said = batch.prompts[0].tolist()
    assert set(said) <= {7, 8, 9}
    assert said[:2] == said[12:]
    assert said[2:12] == batch.completions[0].tolist()


def test_verdicts_say_what_stands_in_the_list() -> None:
    different = torch.rand(30, 40, generator=generator()).argsort(1) + 7
    batch, is_learned_T = memberships(different, yes=YES, no=NO, generator=generator())
    verdicts = []
    for prompt, completion in zip(batch.prompts, batch.completions, strict=True):
        for query, verdict in completion.view(-1, 2).tolist():
            assert verdict == (YES if query in prompt.tolist() else NO)
            verdicts.append(verdict)
    assert 0.3 < verdicts.count(YES) / len(verdicts) < 0.7
    assert set(batch.token_T[is_learned_T].tolist()) == {YES, NO}


def test_lists_grow_and_leave_special_tokens_out() -> None:
    chance = generator()
    lengths = {progress: set[int]() for progress in (0.0, 1.0)}
    for progress, found in lengths.items():
        for update in range(200):
            batch, is_learned_T = practice(update, progress, first_token=YES, vocabulary_size=200, generator=chance)
            found.add(len(batch.prompts[0]) - (0 if update % 2 else 2))
            assert len(is_learned_T) == len(batch.token_T)
            assert min(int(ids.min()) for ids in batch.prompts) > NO
    assert lengths[0.0] <= {SHORTEST, SHORTEST + 1}
    assert LONGEST <= max(lengths[1.0]) <= LONGEST + 1

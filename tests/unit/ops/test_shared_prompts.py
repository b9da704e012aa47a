"""Prompts that begin alike, gone through once: the same texts, and what is learned of them stays the same."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from heeler.ops.micro_batches import stored
from heeler.ops.shared_prompts import shared_prompts
from heeler.ops.text_batch import TextBatch
from tests.tiny_models import tiny_llama

torch.set_num_threads(1)


def tensors(groups: list[list[tuple[list[int], list[int]]]]) -> list[list[tuple[torch.Tensor, torch.Tensor]]]:
    return [[(torch.tensor(prompt), torch.tensor(completion)) for prompt, completion in group] for group in groups]


def test_by_hand():
    batch, is_learned_T = shared_prompts(
        tensors([[([1, 2, 3], [9]), ([1, 2, 4, 5], [8, 7])], [([6, 6], [5, 5])], [([1, 2], [3]), ([1, 2], [4])]])
    )
    assert [ids.tolist() for ids in batch.prompts] == [[1, 2], [6, 6], [1, 2]]
    assert [ids.tolist() for ids in batch.completions] == [[3, 9], [4, 5, 8, 7], [5, 5], [3], [4]]
    assert batch.prompt_of_N.tolist() == [0, 0, 1, 2, 2]
    # What was prompt before is read: 3 of the first, 4 and 5 of the second.
    assert [bool(learned) for learned in is_learned_T] == [False, True, False, False, True, True, *[True] * 4]


tokens = st.lists(st.integers(1, 2), min_size=1, max_size=5)
groups_of_pairs = st.lists(st.lists(st.tuples(tokens, tokens), min_size=1, max_size=4), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(groups_of_pairs)
def test_texts_are_what_they_were_and_as_much_is_shared_as_can_be(groups: list[list[tuple[list[int], list[int]]]]):
    batch, is_learned_T = shared_prompts(tensors(groups))
    pairs = [pair for group in groups for pair in group]
    learned = is_learned_T.split(batch.length_N.tolist())
    assert len(batch) == len(pairs) == len(learned)
    for (prompt, completion), owner, ids, is_learned in zip(
        pairs, batch.prompt_of_N.tolist(), batch.completions, learned, strict=True
    ):
        assert [*batch.prompts[owner].tolist(), *ids.tolist()] == [*prompt, *completion]
        assert ids[is_learned].tolist() == completion
    for group, shared in zip(groups, batch.prompts, strict=True):
        following = {tuple(prompt[len(shared) : len(shared) + 1]) for prompt, _ in group}
        # One of them ends there, or they go on differently.
        assert () in following or len(following) > 1


SYSTEM, OTHER = [11, 12, 13, 14, 15], [31, 32]
GROUPS = tensors(
    [
        [([*SYSTEM, 20, 21], [40, 41, 1]), ([*SYSTEM, 22], [42, 1]), (SYSTEM, [43, 44, 45, 1])],
        [([*OTHER, 23], [46, 1])],
        # Nothing in common.
        [([51, 52], [47, 1]), ([53], [48, 1])],
    ]
)


def unshared() -> TextBatch:
    pairs = [pair for group in GROUPS for pair in group]
    return stored([prompt for prompt, _ in pairs], [ids for _, ids in pairs], torch.arange(len(pairs)))


@pytest.mark.parametrize("shared_prefix", [True, False])
def test_log_probabilities_and_gradients_are_those_of_unshared_rows(shared_prefix: bool):
    model = tiny_llama()
    model.module.double()
    weight_T = torch.linspace(-1, 2, int(unshared().length_N.sum()))

    def seen(batch: TextBatch, chosen_T: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.module.zero_grad()
        logprob_T = model.outputs(batch, shared_prefix=shared_prefix).logprob_T[chosen_T]
        (weight_T * logprob_T).sum().backward()
        return logprob_T.detach(), [
            parameter.grad.clone() for parameter in model.trainable() if parameter.grad is not None
        ]

    whole, whole_gradients = seen(unshared(), torch.ones(len(weight_T), dtype=torch.bool))
    shared, gradients = seen(*shared_prompts(GROUPS))
    assert_close(shared, whole, atol=1e-6, rtol=1e-6)
    assert max(float(gradient.abs().max()) for gradient in gradients) > 0.01
    assert_close(gradients, whole_gradients, atol=1e-6, rtol=1e-6)

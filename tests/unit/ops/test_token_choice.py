import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from heeler.ops.token_choice import choose_filtered_tokens, choose_tokens

torch.set_num_threads(1)
# p = 0.1, 0.6, 0.3
LOGITS = torch.tensor([[0.1, 0.6, 0.3]]).log()


def filtered(uniform: float, *, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0) -> int:
    token_B = choose_filtered_tokens(
        LOGITS,
        torch.tensor([uniform]),
        temperature_B=torch.tensor([temperature]),
        top_p_B=torch.tensor([top_p]),
        top_k_B=torch.tensor([top_k]),
    )
    return int(token_B)


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 0), (0.09, 0), (0.11, 1), (0.69, 1), (0.71, 2), (0.999, 2)])
def test_inverse_of_the_distribution_function(uniform: float, token: int):
    chosen, logprob = choose_tokens(LOGITS, torch.tensor([uniform]), 1.0)
    assert int(chosen) == token
    assert_close(logprob, LOGITS[0, token : token + 1])


def test_an_even_grid_of_numbers_gives_the_distribution_itself():
    logits = torch.randn(12, generator=torch.Generator().manual_seed(0))
    size = 40_000
    uniform = (torch.arange(size) + 0.5) / size
    tokens, logprobs = choose_tokens(logits.expand(size, -1), uniform, 0.7)
    expected = torch.softmax(logits / 0.7, -1)
    assert_close(torch.bincount(tokens, minlength=12) / size, expected, atol=2 / size, rtol=0)
    assert_close(logprobs.exp(), expected[tokens])


def test_a_token_without_weight_never_comes():
    logits = torch.tensor([[-math.inf, 0.0, -math.inf, 0.0, -math.inf]])
    almost_one = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    for uniform in (torch.tensor(0.0), torch.tensor(0.5), almost_one):
        assert int(choose_tokens(logits, uniform[None], 1.0)[0]) in (1, 3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_a_row_does_not_depend_on_the_others(seed: int, size: int):
    generator = torch.Generator().manual_seed(seed)
    logits, uniform = torch.randn(size, 9, generator=generator), torch.rand(size, generator=generator)
    together, _ = choose_tokens(logits, uniform, 1.3)
    alone = [int(choose_tokens(logits[row : row + 1], uniform[row : row + 1], 1.3)[0]) for row in range(size)]
    assert together.tolist() == alone


def test_zero_temperature_is_greedy():
    assert {filtered(uniform, temperature=0.0) for uniform in (0.0, 0.5, 0.99)} == {1}


def test_top_k():
    # 0.6 and 0.3 are left, in the ratio 2 : 1.
    assert [filtered(uniform, top_k=2) for uniform in (0.0, 0.66, 0.67, 0.99)] == [1, 1, 2, 2]
    assert {filtered(uniform, top_k=1) for uniform in (0.0, 0.99)} == {1}


@pytest.mark.parametrize(
    ("top_p", "tokens"), [(0.5, {1}), (0.59, {1}), (0.61, {1, 2}), (0.89, {1, 2}), (0.95, {0, 1, 2})]
)
def test_top_p_keeps_the_fewest_that_have_so_much(top_p: float, tokens: set[int]):
    assert {filtered(uniform, top_p=top_p) for uniform in torch.linspace(0, 0.999, 200).tolist()} == tokens


def test_without_filters_an_even_grid_gives_the_distribution():
    size = 10_000
    token = choose_filtered_tokens(
        LOGITS.expand(size, -1),
        (torch.arange(size) + 0.5) / size,
        temperature_B=torch.full((size,), 0.5),
        top_p_B=torch.ones(size),
        top_k_B=torch.zeros(size, dtype=torch.int64),
    )
    # Squares of the probabilities: 0.01, 0.36, 0.09 of 0.46.
    counts: Tensor = torch.bincount(token, minlength=3) / size
    assert_close(counts, torch.tensor([0.01, 0.36, 0.09]) / 0.46, atol=2 / size, rtol=0)

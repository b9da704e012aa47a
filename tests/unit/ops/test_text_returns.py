"""Advantages of tokens, against plain loops."""

import pytest
import torch

from heeler.ops.text_returns import final_token, sequence_mean, token_gae

LENGTH = torch.tensor([3, 1, 4])


@pytest.mark.parametrize(("discount", "trace_decay"), [(1.0, 1.0), (1.0, 0.95), (0.9, 0.8), (1.0, 0.0)])
def test_token_gae_against_a_loop(discount, trace_decay):
    generator = torch.Generator().manual_seed(0)
    reward, value = (torch.randn(8, generator=generator, dtype=torch.float64) for _ in range(2))
    got = token_gae(reward, value, LENGTH, discount=discount, trace_decay=trace_decay)
    start = 0
    for length in LENGTH.tolist():
        following, next_value = 0.0, 0.0
        for t in range(start + length - 1, start - 1, -1):
            delta = float(reward[t]) + discount * next_value - float(value[t])
            following = delta + discount * trace_decay * following
            next_value = float(value[t])
            assert got[t].item() == pytest.approx(following)
        start += length


def test_final_token_and_means():
    assert final_token(torch.tensor([1.0, 2.0, 3.0]), LENGTH).tolist() == [0, 0, 1, 2, 0, 0, 0, 3]
    assert sequence_mean(torch.arange(8.0), LENGTH).tolist() == [1.0, 3.0, 5.5]

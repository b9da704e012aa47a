"""Returns and advantages against hand-computed cases and naive loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heeler.ops.returns import discounted_sums, gae


def naive_gae(reward, value, next_value, terminated, truncated, discount, trace_decay):
    """By its definition: the sum of discounted temporal-difference errors up to the episode's end."""
    T, N = reward.shape
    advantage = np.zeros((T, N))
    for n in range(N):
        for t in range(T):
            weight = 1.0
            for k in range(t, T):
                bootstrap = 0.0 if terminated[k, n] else next_value[k, n]
                advantage[t, n] += weight * (reward[k, n] + discount * bootstrap - value[k, n])
                weight *= discount * trace_decay
                if terminated[k, n] or truncated[k, n]:
                    break
    return advantage


@given(
    seed=st.integers(0, 10_000),
    T=st.integers(1, 8),
    N=st.integers(1, 3),
    discount=st.floats(0, 1),
    trace_decay=st.floats(0, 1),
)
def test_gae_equals_its_definition(seed, T, N, discount, trace_decay):
    rng = np.random.default_rng(seed)
    reward, value, next_value = rng.normal(size=(3, T, N))
    terminated, truncated = rng.random((2, T, N)) < 0.25
    got = gae(
        *map(torch.from_numpy, (reward, value, next_value, terminated, truncated)),
        discount=discount,
        trace_decay=trace_decay,
    )
    want = naive_gae(reward, value, next_value, terminated, truncated, discount, trace_decay)
    np.testing.assert_allclose(got.numpy(), want, atol=1e-12)


@pytest.mark.parametrize(
    ("terminated", "truncated", "want"),
    [(False, False, 1 + 0.5 * 8 - 3), (False, True, 1 + 0.5 * 8 - 3), (True, False, 1 - 3)],
)
def test_truncation_bootstraps_and_termination_does_not(terminated, truncated, want):
    one = torch.ones(1, 1)
    got = gae(one, 3 * one, 8 * one, one.bool() & terminated, one.bool() & truncated, discount=0.5, trace_decay=0.9)
    assert got.item() == pytest.approx(want)


def test_no_advantage_crosses_an_episode_end():
    reward = torch.tensor([[0.0], [100.0]])
    zero, ended = torch.zeros(2, 1), torch.tensor([[True], [False]])
    no = torch.zeros(2, 1, dtype=torch.bool)
    for terminated, truncated in ((ended, no), (no, ended)):
        got = gae(reward, zero, zero, terminated, truncated, discount=1.0, trace_decay=1.0)
        assert got[0].item() == 0.0
        assert got[1].item() == 100.0


def test_discounted_sums_equal_a_plain_loop():
    rng = torch.Generator().manual_seed(0)
    reward, ended = torch.randn(30, 4, generator=rng), torch.rand(30, 4, generator=rng) < 0.2
    carried = torch.randn(4, generator=rng)
    sums, last = discounted_sums(reward, ended, carried, discount=0.9)
    for n in range(4):
        running = carried[n].item()
        for t in range(30):
            running += reward[t, n].item()
            assert sums[t, n].item() == pytest.approx(running, rel=1e-5, abs=1e-6)
            running = 0.0 if ended[t, n] else 0.9 * running
        assert last[n].item() == pytest.approx(running, rel=1e-5, abs=1e-6)


def test_discounted_sums_by_hand_and_across_calls():
    reward = torch.tensor([[1.0], [1.0], [1.0], [1.0]])
    ended = torch.tensor([[False], [True], [False], [False]])
    sums, carried = discounted_sums(reward, ended, torch.zeros(1), discount=0.5)
    assert sums.squeeze(1).tolist() == [1.0, 1.5, 1.0, 1.5]
    first, carry = discounted_sums(reward[:1], ended[:1], torch.zeros(1), discount=0.5)
    rest, carry = discounted_sums(reward[1:], ended[1:], carry, discount=0.5)
    assert torch.equal(torch.cat([first, rest]), sums)
    assert torch.equal(carry, carried)

"""Betting against a mean: exact values, exact error rates by enumeration, and bounds against a grid."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.oversight import betting
from heeler.oversight.betting import interval, log_capital, lower_bound

FRACTIONS = betting._FRACTION_G
shares = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=12).map(np.array)


def naive_capital(values: list[float], mean: float) -> float:
    """The mean of what each gambler has, bet by bet."""
    total = 0.0
    for fraction in FRACTIONS:
        capital = 1.0
        for value in values:
            capital = capital * (1 - fraction) + capital * fraction * value / mean
        total += capital
    return total / len(FRACTIONS)


def test_one_bet_by_hand() -> None:
    # Whoever stakes the share f at odds 1 : 1 has 1 + f after winning and 1 - f after losing.
    assert math.exp(log_capital(np.array([1.0]), 0.5)[0]) == pytest.approx(1 + FRACTIONS.mean())
    assert math.exp(log_capital(np.array([0.0]), 0.5)[0]) == pytest.approx(1 - FRACTIONS.mean())
    assert log_capital(np.array([0.3, 0.3]), 0.3) == pytest.approx([0.0, 0.0])


@given(shares, st.floats(0.05, 1))
def test_the_capital_is_that_of_a_plain_loop(values: np.ndarray, mean: float) -> None:
    logs = log_capital(values, mean)
    expected = [naive_capital(list(values[: n + 1]), mean) for n in range(len(values))]
    np.testing.assert_allclose(np.exp(logs), expected, rtol=1e-9)


@given(shares, st.floats(0.05, 0.9), st.randoms())
def test_the_order_does_not_matter_and_a_higher_claim_is_harder_to_refute(values, mean, random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    assert log_capital(np.array(shuffled), mean)[-1] == pytest.approx(log_capital(values, mean)[-1])
    assert log_capital(values, mean + 0.05)[-1] <= log_capital(values, mean)[-1] + 1e-12


@pytest.mark.parametrize("mean", [0.02, 0.3, 0.5, 0.6])
def test_no_gambler_gains_while_the_claim_is_true(mean: float) -> None:
    """Exactly, over all outcomes: the expected capital is 1, and looks err as seldom as Ville allows."""
    num, error_rate = 12, 0.1
    expected, error = 0.0, 0.0
    for outcome in itertools.product((0.0, 1.0), repeat=num):
        probability = math.prod(mean if value else 1 - mean for value in outcome)
        logs = log_capital(np.array(outcome), mean)
        expected += probability * math.exp(logs[-1])
        error += probability * bool((logs >= -math.log(error_rate)).any())
    assert expected == pytest.approx(1.0)
    assert 0 < error <= error_rate


def test_the_lower_bound_is_the_highest_claim_that_is_refuted() -> None:
    values = np.random.default_rng(0).beta(2, 5, 60)
    bound = lower_bound(values, 0.05)
    grid = np.arange(0.001, 1, 0.001)
    refuted = [mean for mean in grid if log_capital(values, mean)[-1] >= math.log(20)]
    assert bound == pytest.approx(max(refuted), abs=0.001)
    assert 0 < bound < values.mean()


def test_bounds_at_the_ends() -> None:
    assert interval(np.zeros(0), 0.05) == (0.0, 1.0)
    low, high = interval(np.zeros(200), 0.05)
    assert low == 0.0
    assert 0 < high < 0.05
    low, high = interval(np.ones(200), 0.05)
    assert high == 1.0
    assert 0.95 < low < 1


def test_the_interval_narrows_with_the_variance_not_with_the_range() -> None:
    """What betting is chosen for: Hoeffding's bound would be the same for both."""
    rng = np.random.default_rng(0)
    widths = []
    for spread in (0.3, 0.02):
        low, high = interval(np.clip(0.5 + rng.normal(0, spread, 300), 0, 1), 0.05)
        widths.append(high - low)
    assert widths[1] < widths[0] / 3

"""Distances from what people saw, against a loop; and what is beyond it."""

import numpy as np
import pytest

from heeler.core.errors import DataError
from heeler.evaluation.honesty.unlike import Seen, beyond, bins


def seen(rng: np.random.Generator, num: int = 40, length: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Steps of trajectories: two numbers that go together, one that never varies."""
    x = rng.normal(size=(num * length, 1))
    return np.hstack([x, x + 0.1 * rng.normal(size=x.shape), np.ones_like(x)]), np.repeat(np.arange(num), length)


def test_distances_are_those_of_a_loop_over_whitened_steps():
    rng = np.random.default_rng(0)
    feature, cluster = seen(rng, 8, 5)
    found = Seen(feature, cluster, seed=0)
    fresh = rng.normal(size=(6, 3))
    half = np.random.default_rng(0).permutation(np.arange(8) % 2)[cluster]
    away = feature - feature.mean(0)
    spread = np.maximum(away.std(0), 1e-3)
    correlation = (away / spread).T @ (away / spread) / len(away) + 1e-3 * np.eye(3)
    inverse = np.linalg.inv(correlation)
    for row, distance in zip(fresh, found.distance(fresh), strict=True):
        gaps = [(row - known) / spread for known in feature[half == 0]]
        assert distance == pytest.approx(min(np.sqrt(gap @ inverse @ gap / 3) for gap in gaps))


def test_a_step_in_a_hundred_is_beyond_where_nothing_is_unlike():
    rng, shares = np.random.default_rng(1), []
    for seed in range(20):
        found = Seen(*seen(rng), seed=seed)
        fresh, cluster = seen(rng)
        share = beyond(found.distance(fresh), found.edges[-1], cluster, seed=0)
        assert share is not None
        shares.append(share.value)
    assert 0.003 < np.mean(shares) < 0.03


def test_what_breaks_a_correlation_is_far_though_each_number_is_usual():
    found = Seen(*seen(np.random.default_rng(2)), seed=0)
    usual, broken = found.distance(np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0]]))
    assert usual < found.edges[0] * 5 < found.edges[-1] * 5 < broken


def test_bins_tell_where_a_reward_stops_being_right():
    rng = np.random.default_rng(3)
    distance, cluster = np.repeat([0.1, 0.6, 0.95, 3.0], 50), np.tile(np.arange(10), 20)
    true = rng.normal(size=200)
    learned = np.where(distance > 1, rng.normal(size=200), true)
    found = bins(
        distance,
        (0.5, 0.9, 1.0),
        cluster_B=cluster,
        disagreement_B=np.where(distance > 1, 2.0, 0.5),
        learned_B=learned,
        true_B=true,
        seed=0,
    )
    assert [one.share for one in found] == [0.25] * 4
    assert found[0].correlation is not None
    assert found[3].correlation is not None
    assert found[3].disagreement is not None
    assert found[0].correlation.value == pytest.approx(1.0)
    assert found[3].correlation.high < 0.6
    assert found[3].disagreement.value == 2.0


def test_bins_that_are_empty_are_left_out_and_what_is_unknown_stays_so():
    found = bins(
        np.full(20, 5.0),
        (0.5, 0.9, 1.0),
        cluster_B=np.arange(20),
        disagreement_B=None,
        learned_B=np.ones(20),
        true_B=None,
        seed=0,
    )
    assert [one.name for one in found] == ["beyond 99 %"]
    assert (found[0].disagreement, found[0].correlation, found[0].true_reward) == (None, None, None)


def test_too_few_trajectories_are_refused():
    with pytest.raises(DataError, match="comes from 3 trajectories; at least 4"):
        Seen(np.zeros((30, 2)), np.repeat(np.arange(3), 10), seed=0)

"""Feature matching: margins fall, the mixture is its policies together, and it says when no more is to be had."""

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.rewards.inverse.demonstrations import demonstrations_from, sampled
from heeler.rewards.inverse.grids import lava_world
from heeler.rewards.inverse.matching import FeatureMatching, FeatureMatchingConfig
from heeler.rewards.inverse.planning import flow, plan
from tests.unit.rewards.inverse.worlds import random_world


def test_margins_fall_and_the_mixture_earns_what_demonstrators_earn() -> None:
    features = np.random.default_rng(0).normal(size=(6, 2))
    world = random_world(1, features=features, discount=0.8)
    policy = plan(world, *(np.repeat((features @ [1.0, 0.3])[:, None], 3, 1), np.zeros(6))).policy_TSA
    seen = sampled(world, policy, 300, np.random.default_rng(1), max_steps=60)
    told: list[float] = []
    found = FeatureMatching(FeatureMatchingConfig(tolerance=0.01)).fit(
        seen, on_round=lambda _, margin: told.append(margin)
    )
    assert found.converged and found.margins[-1] <= 0.01
    assert list(found.margins) == sorted(found.margins, reverse=True) and list(found.margins[1:]) == told
    assert found.weight_R.sum() == pytest.approx(1) and (found.weight_R > 0).all()
    assert np.linalg.norm(found.parameter_N) == pytest.approx(1)
    # The mixture, policy by policy.
    paid = np.zeros(2)
    for weight, action_TS in zip(found.weight_R, found.action_RTS, strict=True):
        coin = np.full((1, 6, 3), 1 / 3)
        own = coin if (action_TS < 0).all() else np.eye(3)[action_TS]
        paid += weight * (flow(world.starting(seen.start_S), own).state_S @ features)
    assert paid - seen.visits.state_S @ features == pytest.approx(found.gap_N, abs=1e-9)


def test_one_policy_is_enough_for_one_that_is_best_by_the_first_reward() -> None:
    """In a corridor of three cells the demonstrator goes right, and so does the best policy for being there."""
    world = lava_world(("S.G",), discount=0.9, horizon=4)
    seen = demonstrations_from(world, np.array([0, 1, 2]), np.array([1, 1]), np.array([2]))
    found = FeatureMatching().fit(seen)
    assert found.converged and found.margins[-1] < 1e-9
    assert found.weight_R == pytest.approx([1.0])
    assert found.action_RTS[0, :2, :2].diagonal().tolist() == [1, 1]


def test_luck_that_no_policy_has_on_average_is_told() -> None:
    world = lava_world(("S.G",), slip=0.5, discount=0.9, horizon=4)
    seen = demonstrations_from(world, np.array([0, 1, 2]), np.array([1, 1]), np.array([2]))
    found = FeatureMatching(FeatureMatchingConfig(reward="state")).fit(seen)
    assert not found.converged and found.is_nearest
    assert found.margins[-1] > 0.01


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="tolerance must be above 0"):
        FeatureMatchingConfig(tolerance=0.0)
    with pytest.raises(ConfigError, match="max_rounds must be at least 1"):
        FeatureMatchingConfig(max_rounds=0)

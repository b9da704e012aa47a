"""A learned reward with pessimism."""

from typing import Any

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError, RewardError
from heeler.rewards.text.learned import LearnedReward
from tests.unit.rewards.text.samples import plain

MEMBERS = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
SAMPLES = [plain("a"), plain("b")]


@pytest.mark.parametrize(
    ("settings", "rewards"),
    [
        ({"combine": "mean"}, [2.0, 0.0]),
        ({}, [1.0, 0.0]),
        # The members' variance is 2/3.
        ({"combine": "uncertainty", "pessimism": 1.5}, [1.0, 0.0]),
        ({"combine": "uncertainty", "pessimism": 0.0}, [2.0, 0.0]),
    ],
)
def test_members_become_one_number(settings: dict[str, Any], rewards: list[float]) -> None:
    assert LearnedReward(lambda _: MEMBERS, **settings).score(SAMPLES) == pytest.approx(rewards)
    assert LearnedReward(lambda _: MEMBERS.numpy(), **settings).score(SAMPLES) == pytest.approx(rewards)


def test_reward_models_are_invariant_to_a_shift_of_all_members() -> None:
    for settings in ({}, {"combine": "uncertainty", "pessimism": 2.0}):
        one = LearnedReward(lambda _: MEMBERS, **settings).score(SAMPLES)  # type: ignore[arg-type]
        two = LearnedReward(lambda _: MEMBERS + 5, **settings).score(SAMPLES)  # type: ignore[arg-type]
        assert np.subtract(two, one) == pytest.approx([5.0, 5.0])  # type: ignore[call-overload]


def test_disagreement_is_told() -> None:
    part = LearnedReward(lambda _: MEMBERS)
    part.score(SAMPLES)
    assert part.metrics() == {"disagreement": pytest.approx((2 / 3) ** 0.5 / 2)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0, 2.0], r"\[2 samples, members\], got \(2,\)"),
        ([[1.0]], r"got \(1, 1\)"),
        ([[1.0], [float("nan")]], "row 1: a member"),
        (np.zeros((2, 0)), r"got \(2, 0\)"),
    ],
)
def test_members_that_are_none_are_refused(given: Any, message: str) -> None:
    with pytest.raises(RewardError, match=message):
        LearnedReward(lambda _: given).score(SAMPLES)


def test_a_setting_that_would_be_ignored_is_refused() -> None:
    with pytest.raises(ConfigError, match="pessimism goes with"):
        LearnedReward(lambda _: MEMBERS, combine="worst", pessimism=1.0)
    with pytest.raises(ConfigError, match="pessimism goes with"):
        LearnedReward(lambda _: MEMBERS, combine="uncertainty")
    with pytest.raises(ConfigError, match="pessimism must be"):
        LearnedReward(lambda _: MEMBERS, combine="uncertainty", pessimism=-1.0)
    with pytest.raises(ConfigError, match="combine"):
        LearnedReward(lambda _: MEMBERS, combine="best")  # type: ignore[arg-type]

"""Costs with budgets, and what they come to."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.safety.costs import CostConfig, CostMeter, all_cost_names, check_costs
from tests.unit.rewards.comparisons import rollout

NAMES = ("speed", "heat")


def costing(cost: np.ndarray, ends: list[tuple[int, int]], lengths: list[int]) -> Any:
    """A rollout [T, N, C] of costs with episodes that ended at (t, n) after so many steps."""
    T, N, _ = cost.shape
    step = np.tile(np.arange(T)[:, None], (1, N))
    for (t, n), length in zip(ends, lengths, strict=True):
        step[t, n] = length - 1
    index = np.array(ends, np.int64).reshape(-1, 2)
    return rollout(num_steps=T, num_envs=N, cost=cost, final_index=index, episode_step=step)


def test_an_episode_costs_its_mean_step_times_its_length():
    cost = np.zeros((4, 2, 2))
    cost[:2, 0, 1] = 3.0
    meter = CostMeter([CostConfig(name="heat", budget=1.0), CostConfig(name="heat", budget=1.0, per="step")], NAMES)
    # 6 over 8 steps, and episodes of 10 and 30 steps.
    assert meter.add(costing(cost, [(1, 0), (3, 1)], [10, 30])) == pytest.approx([0.75 * 20, 0.75])
    assert meter.excess_per_step() == pytest.approx([0.75 - 1 / 20, 0.75 - 1])


def test_learning_may_aim_below_the_budget_by_which_violations_are_counted():
    cost = np.zeros((4, 2, 2))
    cost[..., 0] = 1.0
    meter = CostMeter([CostConfig(name="speed", budget=10.0, aim=0.8)], NAMES)
    meter.add(replace(costing(cost, [(1, 0)], [10]), episode_figures={"cost_speed": np.array([9.0])}))
    assert meter.excess_per_step() == pytest.approx([1 - 8 / 10])
    assert meter.num_over.tolist() == [0]


def test_no_finished_episode_is_no_measure_and_not_nan():
    meter = CostMeter([CostConfig(name="speed", budget=1.0)], NAMES)
    assert meter.add(costing(np.ones((3, 2, 2)), [], [])) == [None]
    assert meter.excess_per_step() == pytest.approx([0.0])
    meter.add(costing(np.ones((3, 2, 2)), [(0, 0)], [50]))
    assert meter.add(costing(np.ones((3, 2, 2)), [], [])) == pytest.approx([50.0])


def test_a_meter_goes_on_where_another_stood():
    meter = CostMeter([CostConfig(name="speed", budget=1.0)], NAMES)
    meter.add(costing(np.ones((3, 2, 2)), [(0, 0)], [50]))
    again = CostMeter(meter.costs, NAMES)
    again.load(meter.arrays())
    following = costing(np.ones((3, 2, 2)), [(1, 1)], [10])
    assert again.add(following) == meter.add(following) == pytest.approx([30.0])
    assert again.totals.tolist() == meter.totals.tolist() == [12.0]


def test_violations_during_training_are_counted():
    """All that was spent, and the episodes that spent more than they might: a budget of a step is for its length."""
    costs = [CostConfig(name="heat", budget=5.0), CostConfig(name="speed", budget=0.5, per="step")]
    meter = CostMeter(costs, NAMES)
    cost = np.zeros((4, 2, 2))
    cost[..., 0], cost[..., 1] = 1.0, 3.0
    for _ in range(2):
        made = costing(cost, [(1, 0), (3, 1)], [10, 4])
        meter.add(
            replace(made, episode_figures={"cost_heat": np.array([6.0, 5.0]), "cost_speed": np.array([5.0, 2.1])})
        )
    # Of 10 steps 5 are allowed, of 4 steps 2.
    assert meter.num_over.tolist() == [2, 2]
    assert meter.totals.tolist() == [48.0, 16.0]


def test_the_limit_is_on_the_sum_that_is_not_discounted():
    levels = [
        CostMeter([CostConfig(name="speed", budget=1.0, discount=discount)], NAMES).add(
            costing(np.ones((3, 2, 2)), [(0, 0)], [50])
        )
        for discount in (0.0, 0.5, 1.0)
    ]
    assert levels == [[50.0]] * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": -1.0}, "budget must be >= 0"),
        ({"budget": float("nan")}, "budget must be >= 0"),
        ({"budget": 1.0, "per": "year"}, "per must be one of"),
        ({"budget": 1.0, "discount": 1.5}, "discount must be"),
        ({"budget": 1.0, "unit": 0.0}, "unit must be"),
        ({"budget": 1.0, "aim": 0.0}, "aim must be above 0 and at most 1"),
        ({"budget": 1.0, "aim": 1.1}, "aim must be above 0 and at most 1"),
        ({"budget": 1.0, "source": "people"}, "source must be world, answers, FILE.py:NAME or MODULE:NAME"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=f"cost 'speed': {message}"):
        CostConfig(name="speed", **settings)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "at least one cost"),
        (("spede",), r"no cost 'spede'; it has speed, heat\. Did you mean 'speed'"),
        (("speed", "speed"), "'speed' has two budgets"),
    ],
)
def test_budgets_must_fit_the_world(names: tuple[str, ...], message: str):
    with pytest.raises(ConfigError, match=message):
        check_costs([CostConfig(name=name, budget=1.0) for name in names], NAMES, "the world")


def test_costs_from_elsewhere_stand_after_the_worlds():
    mine = CostConfig(name="mine", budget=1.0, source="costs.py:f")
    assert all_cost_names([mine, CostConfig(name="heat", budget=1.0)], NAMES) == ("speed", "heat", "mine")
    with pytest.raises(ConfigError, match="cost 'heat': the world counts one of that name itself"):
        all_cost_names([CostConfig(name="heat", budget=1.0, source="answers")], NAMES)

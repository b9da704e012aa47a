"""Parts made one reward: by hand, in any order of units, with costs held in their budgets, saved and resumed."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heeler.core.errors import CheckpointError, ConfigError, RewardError
from heeler.rewards.text.compose import Budgeted, Composed, ComposedReward, ComposedState, Weighted
from heeler.rewards.text.learned import LearnedReward
from heeler.rewards.text.normalisation import Moments
from heeler.safety.multipliers import MultiplierConfig, MultiplierState, first_state, moved
from tests.unit.rewards.text.samples import Column, rows

NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20)


def part(name: str, weight: float = 1.0, **settings: Any) -> Weighted:
    return Weighted(part=Column(name), weight=weight, **settings)


def test_the_formula_by_hand() -> None:
    cost = Budgeted(part=Column("c"), budget=0.1, multiplier=MultiplierConfig(initial=3.0))
    reward = ComposedReward([part("a", 2.0, normalise="none"), part("b", -1.0, normalise="none")], [cost])
    _, composed = reward.score(reward.init(), rows(a=[1.0, 2.0], b=[4.0, 0.0], c=[0.0, 1.0]))
    # (2a - b - 3c) / (1 + 3)
    assert composed.rewards == pytest.approx([(2 - 4 - 0) / 4, (4 - 0 - 3) / 4])


def test_a_good_part_is_held_above_its_least_mean_by_hand() -> None:
    config = MultiplierConfig(initial=3.0, rule="gradient", learning_rate=0.5)
    least = Budgeted(part=Column("g"), budget=0.9, unit=2.0, at_least=True, multiplier=config)
    reward = ComposedReward([part("a", normalise="none")], [least])
    state, composed = reward.score(reward.init(), rows(a=[1.0, 2.0, 1.0], g=[0.5, 0.9, None]))
    # (a - 3 (0.9 - g) / 2) / (1 + 3); what has no score lacks nothing
    assert composed.rewards == pytest.approx([(1 - 0.6) / 4, 2 / 4, 1 / 4])
    assert composed.metrics["costs/g/mean"] == pytest.approx(0.7)
    assert state.multipliers["g"].value == pytest.approx(3 + 0.5 * (0.9 - 0.7) / 2)
    state, _ = reward.score(state, rows(a=[1.0], g=[1.0]))
    assert state.multipliers["g"].value == pytest.approx(3 + 0.5 * 0.1 - 0.5 * 0.05), "above it the multiplier falls"


def test_one_part_may_weigh_and_be_a_cost_and_is_asked_once() -> None:
    class Counted(Column):
        num_asked = 0

        def score(self, samples: Any) -> Any:
            self.num_asked += 1
            return super().score(samples)

    both = Counted("a")
    cost = Budgeted(part=both, budget=0.5, multiplier=MultiplierConfig(initial=1.0))
    reward = ComposedReward([Weighted(part=both, weight=3.0, normalise="none")], [cost])
    _, composed = reward.score(reward.init(), rows(a=[1.0, 2.0]))
    assert composed.rewards == pytest.approx([(3 - 1) / 2, (6 - 2) / 2])
    assert both.num_asked == 1
    assert composed.metrics["rewards/a/mean"] == composed.metrics["costs/a/mean"] == 1.5
    with pytest.raises(ConfigError, match="'a' 2 times"):
        ComposedReward([part("b")], [cost, cost])


def test_several_rewards_are_normalised_before_they_are_summed() -> None:
    reward = ComposedReward([part("a", normalise="batch"), part("b", normalise="batch")])
    _, composed = reward.score(reward.init(), rows(a=[0.0, 1.0], b=[0.0, 1e6]))
    assert composed.rewards == pytest.approx([-2.0, 2.0])
    # What is logged is what the parts gave.
    assert composed.metrics["rewards/b/mean"] == 5e5
    assert composed.parts["a"] == [0.0, 1.0]


@given(NUMBERS, st.floats(0.01, 100), st.floats(-100, 100))
def test_a_parts_unit_and_zero_do_not_matter_once_it_is_normalised(
    numbers: list[float], scale: float, shift: float
) -> None:
    assume(np.std(numbers) > 1e-3)
    for kind in ("batch", "running"):
        reward = ComposedReward([part("a", normalise=kind)])
        _, one = reward.score(reward.init(), rows(a=numbers))
        _, two = reward.score(reward.init(), rows(a=[scale * number + shift for number in numbers]))
        assert two.rewards == pytest.approx(one.rewards, abs=1e-4)


def test_none_is_not_applicable_and_left_out_of_the_baseline() -> None:
    cost = Budgeted(part=Column("c"), budget=0.0, multiplier=MultiplierConfig(initial=1.0))
    reward = ComposedReward([part("a", normalise="none"), part("b", normalise="none")], [cost])
    samples = rows(a=[1.0, None, None, None], b=[2.0, 2.0, None, None], c=[0.0, 0.0, 1.0, None])
    _, composed = reward.score(reward.init(), samples)
    assert composed.rewards == [1.5, 1.0, -0.5, None]
    assert composed.metrics["reward"] == pytest.approx(2.0 / 3)
    assert composed.metrics["rewards/a/applicable"] == 0.25
    assert composed.metrics["rewards/b/mean"] == 2.0


def test_parts_that_are_not_there_do_not_move_the_moments() -> None:
    reward = ComposedReward([part("a")])
    state, _ = reward.score(reward.init(), rows(a=[1.0, 3.0]))
    after, composed = reward.score(state, rows(a=[None, None]))
    assert after == state
    assert composed.rewards == [None, None]
    assert "reward" not in composed.metrics
    assert not any(np.isnan(value) for value in composed.metrics.values())


def test_equal_scores_normalise_to_zero() -> None:
    for kind in ("batch", "running"):
        reward = ComposedReward([part("a", normalise=kind)])
        _, composed = reward.score(reward.init(), rows(a=[7.0, 7.0, 7.0]))
        assert composed.rewards == [0.0, 0.0, 0.0]
    _, composed = ComposedReward([part("a")]).score(ComposedReward([part("a")]).init(), [])
    assert composed.rewards == []


@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_running_moments_are_those_of_all_numbers(batches: list[list[float]]) -> None:
    moments = Moments()
    for batch in batches:
        moments = moments.merged(batch)
    everything = [number for batch in batches for number in batch]
    assert moments.mean == pytest.approx(np.mean(everything), abs=1e-6)
    assert moments.std == pytest.approx(np.std(everything), abs=1e-6)


def test_a_half_life_forgets() -> None:
    # The first two weigh half after two more: (0.5 * 2 * 0 + 2 * 6) / 3.
    reward = ComposedReward([part("a", half_life=2)])
    state, _ = reward.score(reward.init(), rows(a=[0.0, 0.0]))
    state, _ = reward.score(state, rows(a=[6.0, 6.0]))
    assert state.moments["a"].mean == pytest.approx(4.0)
    assert state.moments["a"].std == pytest.approx(np.sqrt((1 * 16 + 2 * 4) / 3))


def test_evaluation_never_updates_statistics() -> None:
    cost = Budgeted(part=Column("c"), budget=0.0)
    reward = ComposedReward([part("a")], [cost])
    state, _ = reward.score(reward.init(), rows(a=[0.0, 2.0], c=[0.0, 0.0]))
    after, composed = reward.score(state, rows(a=[1.0, 3.0], c=[1.0, 1.0]), learn=False)
    assert after == state
    assert composed.rewards == [0.0, 2.0]


def run(reward: ComposedReward, state: ComposedState, batches: list[list[Any]]) -> tuple[ComposedState, list[Composed]]:
    composed: list[Composed] = []
    for batch in batches:
        state, one = reward.score(state, batch)
        composed.append(one)
    return state, composed


def batches_of(seed: int, num: int) -> list[list[Any]]:
    rng = np.random.default_rng(seed)
    return [rows(a=rng.normal(size=8).tolist(), c=rng.random(8).tolist()) for _ in range(num)]


@pytest.mark.parametrize("rule", ["gradient", "adam", "pid"])
def test_resume_is_bit_identical(rule: Any) -> None:
    cost = Budgeted(part=Column("c"), budget=0.3, multiplier=MultiplierConfig(rule=rule))
    reward = ComposedReward([part("a", half_life=5)], [cost])
    batches = batches_of(0, 6)
    _, whole = run(reward, reward.init(), batches)
    state, first = run(reward, reward.init(), batches[:3])
    again = reward.state_from_json(json.loads(json.dumps(state.to_json())))
    assert again == state
    _, second = run(reward, again, batches[3:])
    assert [one.rewards for one in first + second] == [one.rewards for one in whole]
    assert [one.metrics for one in first + second] == [one.metrics for one in whole]


@pytest.mark.parametrize("rule", ["gradient", "adam", "pid"])
def test_rescaling_the_cost_does_not_change_what_its_multiplier_means(rule: Any) -> None:
    batches = batches_of(1, 5)
    scaled = [rows(a=[s.columns["a"] for s in b], c=[1000 * s.columns["c"] for s in b]) for b in batches]
    runs = []
    for unit, some in ((1.0, batches), (1000.0, scaled)):
        cost = Budgeted(part=Column("c"), budget=0.3 * unit, unit=unit, multiplier=MultiplierConfig(rule=rule))
        reward = ComposedReward([part("a")], [cost])
        runs.append(run(reward, reward.init(), some))
    for one, two in zip(runs[0][1], runs[1][1], strict=True):
        assert two.rewards == pytest.approx(one.rewards)


@pytest.mark.parametrize("rule", ["gradient", "adam", "pid"])
def test_a_multiplier_clamps_at_zero_and_does_not_wind_up(rule: Any) -> None:
    config = MultiplierConfig(rule=rule, maximum=2.0)
    state = first_state(config)
    for _ in range(10_000):
        state = moved(config, state, 0.0, 0.5)
    assert state.value == 0.0
    up = 0
    while state.value == 0.0:
        state, up = moved(config, state, 1.0, 0.5), up + 1
    assert up == 1
    for _ in range(10_000):
        state = moved(config, state, 1.0, 0.5)
    assert state.value == 2.0
    state = moved(config, state, 0.0, 0.5)
    assert state.value < 2.0


def test_multipliers_by_hand() -> None:
    gradient = MultiplierConfig(rule="gradient", initial=1.0, learning_rate=0.5)
    assert moved(gradient, first_state(gradient), 0.3, 0.1).value == pytest.approx(1.1)
    pid = MultiplierConfig(rule="pid", initial=1.0, proportional=2.0, integral=0.5, derivative=3.0)
    once = moved(pid, first_state(pid), 0.3, 0.1)
    # I = 1 / .5 + .2; λ = 2 * .2 + .5 * 2.2
    assert once.value == pytest.approx(0.4 + 1.1)
    twice = moved(pid, once, 0.4, 0.1)
    # I = 2.5; λ = 2 * .3 + .5 * 2.5 + 3 * .1
    assert twice.value == pytest.approx(0.6 + 1.25 + 0.3)


def test_no_sample_with_a_cost_is_no_update_and_not_nan() -> None:
    config = MultiplierConfig()
    assert moved(config, MultiplierState(value=0.7), None, 0.1) == MultiplierState(value=0.7)
    reward = ComposedReward([part("a")], [Budgeted(part=Column("c"), budget=0.1)])
    state, composed = reward.score(reward.init(), rows(a=[1.0, 2.0], c=[None, None]))
    assert state.multipliers["c"].value == 0.0
    assert "costs/c/mean" not in composed.metrics


def toxic_shares(costs: list[Budgeted]) -> list[float]:
    """Of a policy that earns 1 more for what is toxic, and climbs the exact gradient of its composed reward."""
    reward = ComposedReward([part("a", normalise="none")], costs)
    toxic, clean = rows(a=[1.0, 0.0], c=[1.0, 0.0])
    state, theta, shares = reward.init(), 0.0, []
    for _ in range(800):
        share = 1 / (1 + np.exp(-theta))
        state, _ = reward.score(state, [toxic] * round(share * 200) + [clean] * (200 - round(share * 200)))
        _, each = reward.score(state, [toxic, clean], learn=False)
        earns, not_earns = each.rewards
        assert earns is not None and not_earns is not None
        theta += 2 * share * (1 - share) * (earns - not_earns)
        shares.append(share)
    return shares


def test_toxicity_of_at_most_a_share_is_a_setting_that_is_held() -> None:
    assert toxic_shares([])[-1] > 0.98
    shares = toxic_shares([Budgeted(part=Column("c"), budget=0.1)])
    assert np.mean(shares[-300:]) == pytest.approx(0.1, abs=0.02)
    # The gradient alone swings about the budget: it is held over time only.
    gradient = MultiplierConfig(rule="gradient", learning_rate=0.3)
    shares = toxic_shares([Budgeted(part=Column("c"), budget=0.1, multiplier=gradient)])
    assert np.mean(shares[200:]) == pytest.approx(0.1, abs=0.04)
    assert np.std(shares[200:]) > 0.05


def test_metrics_have_each_part_alone_and_what_it_tells() -> None:
    learned = Weighted(part=LearnedReward(lambda s: np.arange(2.0 * len(s)).reshape(-1, 2)), normalise="none")
    reward = ComposedReward([learned, part("a")], [Budgeted(part=Column("c"), budget=0.5)])
    _, composed = reward.score(reward.init(), rows(a=[0.0, 2.0], c=[1.0, 0.0]))
    assert composed.metrics == {
        "reward": pytest.approx(1.0),
        "reward_std": pytest.approx(2.0),
        "rewards/learned/mean": 1.0,
        "rewards/learned/std": 1.0,
        "rewards/learned/applicable": 1.0,
        "rewards/learned/disagreement": 0.5,
        "rewards/a/mean": 1.0,
        "rewards/a/std": 1.0,
        "rewards/a/applicable": 1.0,
        "costs/c/mean": 0.5,
        "costs/c/std": 0.5,
        "costs/c/budget": 0.5,
        "multipliers/c": 0.0,
    }


def test_a_part_that_gives_no_scores_changes_nothing_and_is_named() -> None:
    reward = ComposedReward([part("a"), part("b")])
    with pytest.raises(RewardError, match="'b', row 1: a score must be"):
        reward.score(reward.init(), rows(a=[1.0, 2.0], b=[1.0, float("nan")]))


@pytest.mark.parametrize("name", ["", "a/b", " a"])
def test_names_that_cannot_stand_in_a_metric_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        ComposedReward([part(name)])


def test_compositions_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one part"):
        ComposedReward([], [Budgeted(part=Column("c"), budget=0.1)])
    with pytest.raises(ConfigError, match="'a' 2 times"):
        ComposedReward([part("a")], [Budgeted(part=Column("a"), budget=0.1)])
    for settings in ({"weight": 0.0}, {"weight": float("nan")}, {"normalise": "max"}, {"half_life": 0}):
        with pytest.raises(ConfigError):
            part("a", **settings)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="half_life"):
        part("a", normalise="none", half_life=5)
    for settings in ({"budget": float("nan")}, {"budget": 0.1, "unit": 0.0}):
        with pytest.raises(ConfigError):
            Budgeted(part=Column("c"), **settings)
    for settings in ({"rule": "guess"}, {"initial": -1.0}, {"learning_rate": 0.0}, {"proportional": -1.0}):
        with pytest.raises(ConfigError):
            MultiplierConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "saved",
    [
        {},
        None,
        {"moments": {}, "multipliers": {}},
        {"moments": {"b": {"count": 0, "mean": 0, "squares": 0}}, "multipliers": {}},
        {"moments": {"a": {"count": 0}}, "multipliers": {}},
        {"moments": {"a": {"count": 0, "mean": "x", "squares": 0}}, "multipliers": {}},
    ],
)
def test_a_saved_state_of_another_form_is_refused(saved: Any) -> None:
    with pytest.raises(CheckpointError):
        ComposedReward([part("a")]).state_from_json(saved)

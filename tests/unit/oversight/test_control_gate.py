"""The gate of policies: bounds by hand, its false release rate by simulation, and records that cannot be altered."""

import json
import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from heeler.core.errors import ConfigError, DataError
from heeler.oversight import betting, student
from heeler.oversight.betting import _FRACTION_G, BOLD_G
from heeler.oversight.control_gate import judge_control
from heeler.oversight.control_gate_config import ControlGateConfig
from heeler.oversight.control_gate_nouns import ControlGateResult, Episodes
from heeler.oversight.control_gate_records import recheck_control
from heeler.safety.costs import CostConfig
from tests.unit.oversight.episodes import SPEED, episodes, made_record

CONFIG = ControlGateConfig(margin=10.0, max_costs={"speed": 1000.0})
"""Two claims, so that each is shown at a level of 0.025."""
LEVEL = 0.025
NUM = 400


def judged(candidate: Episodes, current: Episodes, config: ControlGateConfig = CONFIG) -> ControlGateResult:
    costs = (SPEED,) if "speed" in candidate.costs else ()
    config = config if costs else replace(config, max_costs={})
    return judge_control(config, config.claims(costs), candidate, current)


# Student's bounds


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [(0.975, 1, 12.7062), (0.975, 10, 2.22814), (0.95, 4, 2.13185), (0.99, 30, 2.45726), (0.9875, 399, 2.24936)],
)
def test_students_quantiles_are_those_of_the_tables(probability: float, degrees: int, expected: float) -> None:
    assert student.t_quantile(1 - probability, degrees) == pytest.approx(expected, abs=2e-3 if degrees == 399 else 1e-4)


@pytest.mark.parametrize("num", [2, 3, 40, 5000])
def test_students_bounds_are_scipys(num: int) -> None:
    values = np.random.default_rng(num).exponential(3.0, num)
    low, high = student.bounds(values, 0.025)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_students_bounds_by_hand() -> None:
    # Mean 2, spread 1, three values: 2 ± 4.3027 / √3.
    low, high = student.bounds(np.array([1.0, 2.0, 3.0]), 0.025)
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-5)
    for nothing in ([], [3.0], [0.1] * 7):
        assert student.bounds(np.array(nothing), 0.025) == (-math.inf, math.inf)


# Decisions


def test_what_is_within_its_budget_and_earns_no_less_is_released() -> None:
    rng = np.random.default_rng(0)
    current = rng.normal(100, 20, NUM)
    result = judged(episodes(current + rng.normal(2, 5, NUM), speed=rng.uniform(0, 10, NUM)), episodes(current))
    assert result.passed
    assert [each.name for each in result.shown] == ["return", "speed"]
    assert [each.method for each in result.shown] == ["student", "betting"]
    back, speed = result.shown
    assert (back.limit, speed.limit) == (-10.0, 25.0)
    assert back.low is not None and back.high is not None and -10 <= back.low < back.estimate < back.high
    assert speed.low is not None and speed.high is not None and speed.low < speed.estimate < speed.high <= 25
    assert result.reasons[1].startswith("speed: within: 4.99 of a budget of 25 per episode [")
    assert result.reasons[1].endswith("by betting (400 episodes)")


def test_a_cost_above_its_budget_keeps_a_candidate_back_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    current = rng.normal(100, 20, NUM)
    result = judged(episodes(current + 50, speed=rng.uniform(20, 40, NUM)), episodes(current - rng.normal(0, 1, NUM)))
    assert not result.passed
    assert len(result.reasons) == 1
    assert result.reasons[0].startswith("speed: not shown to be within: 30")
    assert "of a budget of 25 per episode [" in result.reasons[0]


def test_a_return_that_fell_keeps_a_candidate_back_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    current = rng.normal(100, 20, NUM)
    result = judged(episodes(current - 30 + rng.normal(0, 5, NUM), speed=np.zeros(NUM)), episodes(current))
    assert not result.passed
    assert result.reasons[0].startswith("return: not shown to be lower by 10 at most: ")
    assert "in use, " in result.reasons[0]


def test_every_failure_is_told() -> None:
    rng = np.random.default_rng(0)
    result = judged(episodes(rng.normal(0, 1, NUM), speed=np.full(NUM, 60.0)), episodes(100 + rng.normal(0, 1, NUM)))
    assert [reason.split(":")[0] for reason in result.reasons] == ["return", "speed"]


def test_the_bound_of_a_cost_is_that_of_betting() -> None:
    rng = np.random.default_rng(3)
    cost = rng.exponential(6, NUM).clip(0, 1000)
    result = judged(episodes(rng.normal(0, 1, NUM), speed=cost), episodes(np.zeros(NUM)))
    expected = 1000 * (1 - betting.lower_bound(1 - cost / 1000, LEVEL, fraction_G=BOLD_G))
    assert result.shown[1].high == pytest.approx(expected, rel=1e-3)
    assert result.shown[1].low == pytest.approx(1000 * betting.lower_bound(cost / 1000, LEVEL), abs=1e-6)


def test_the_bound_of_a_return_is_students_of_the_pairs_or_that_of_betting() -> None:
    rng = np.random.default_rng(4)
    candidate, current = rng.uniform(0, 100, (2, NUM))
    result = judged(episodes(candidate), episodes(current))
    # One claim alone has the whole error rate.
    assert result.shown[0].low == pytest.approx(student.bounds(candidate - current, 0.05)[0])
    ranged = judged(episodes(candidate), episodes(current), replace(CONFIG, return_range=(0.0, 100.0), max_costs={}))
    share = (candidate - current + 100) / 200
    assert ranged.shown[0].low == pytest.approx(200 * betting.lower_bound(share, 0.05) - 100, abs=1e-3)
    assert ranged.shown[0].method == "betting"


def test_pairs_share_their_luck() -> None:
    """A difference of 1 among returns that vary by 1,000 is seen, since both sides begin alike."""
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 1000, NUM)
    result = judged(episodes(luck - 30 + rng.normal(0, 1, NUM)), episodes(luck))
    assert result.shown[0].high is not None and result.shown[0].high < -29
    assert judged(episodes(luck - 5 + rng.normal(0, 1, NUM)), episodes(luck)).passed


def test_a_budget_for_a_step_is_that_of_a_step() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(10, 200, NUM).astype(float)
    cost = 0.1 * lengths * rng.uniform(0.5, 1.5, NUM)
    own = Episodes(returns=rng.normal(0, 1, NUM), lengths=lengths, costs={"speed": cost})
    current = episodes(np.zeros(NUM))
    config = ControlGateConfig(margin=10.0, max_costs={"speed": 100.0})
    shown = {
        budget: judge_control(
            config, config.claims((CostConfig(name="speed", budget=budget, per="step"),)), own, current
        )
        for budget in (0.05, 0.3)
    }
    assert shown[0.05].shown[1].estimate == pytest.approx(cost.sum() / lengths.sum())
    assert [result.shown[1].is_shown for result in shown.values()] == [False, True]
    high = shown[0.3].shown[1].high
    assert high is not None and 0.1 < high < 0.3
    # The naive sum over all bettors, at the bound and a little below it.
    for budget, is_within in ((high * 1.01, True), (high * 0.99, False)):
        excess = cost - budget * lengths
        capital = np.exp(np.log1p(-BOLD_G * excess[:, None] / (100 - budget)).sum(0)).mean()
        assert bool(capital >= 1 / LEVEL) == is_within


def test_costs_without_a_range_are_bounded_by_student_and_said_so() -> None:
    rng = np.random.default_rng(2)
    cost = rng.normal(10, 3, NUM)
    config = replace(CONFIG, max_costs={"speed": math.inf})
    result = judged(episodes(rng.normal(0, 1, NUM), speed=cost), episodes(np.zeros(NUM)), config)
    assert result.shown[1].method == "student"
    assert result.shown[1].high == pytest.approx(student.bounds(cost, LEVEL)[1], rel=1e-3)
    assert result.passed


def test_what_tells_nothing_is_not_taken_for_certain() -> None:
    """Five hundred equal differences look as sure as can be, and say nothing of what is seldom."""
    same = judged(episodes(np.full(NUM, 7.0)), episodes(np.full(NUM, 7.0)))
    assert not same.passed
    assert "state gate.return_range" in same.reasons[0]
    ranged = judged(
        episodes(np.full(NUM, 7.0)),
        episodes(np.full(NUM, 7.0)),
        replace(CONFIG, return_range=(0.0, 100.0), max_costs={}),
    )
    assert ranged.passed
    config = replace(CONFIG, max_costs={"speed": math.inf})
    free = judged(episodes(np.arange(NUM) * 1.0, speed=np.zeros(NUM)), episodes(np.zeros(NUM)), config)
    assert not free.passed
    assert "state gate.max_costs" in free.reasons[0]


def test_a_range_that_does_not_hold_is_told() -> None:
    rng = np.random.default_rng(2)
    cost = np.zeros(NUM)
    cost[7] = 1001.0
    over = judged(episodes(rng.normal(5, 1, NUM), speed=cost), episodes(np.zeros(NUM)))
    assert not over.passed
    assert "an episode cost 1001, more than gate.max_costs says that it can (1000)" in over.reasons[0]
    config = replace(CONFIG, return_range=(0.0, 100.0), max_costs={})
    outside = judged(episodes(np.full(NUM, 101.0)), episodes(np.zeros(NUM)), config)
    assert not outside.passed
    assert "lies outside gate.return_range (0 to 100)" in outside.reasons[0]


@pytest.mark.parametrize(
    ("candidate", "current", "message"),
    [
        (episodes([1.0, math.nan], speed=[0, 0]), episodes([1.0, 1.0], speed=[0, 0]), "candidate, returns, row 1"),
        (episodes([1.0, 1.0], speed=[0, math.inf]), episodes([1.0, 1.0], speed=[0, 0]), "candidate, speed, row 1"),
        (episodes([1.0, 1.0], speed=[0, 0]), episodes([1.0], speed=[0, 0]), "current, returns: expected 2 episodes"),
        (episodes([1.0, 1.0]), episodes([1.0, 1.0]), "candidate: its episodes do not tell of the cost 'speed'"),
    ],
)
def test_bad_episodes_are_named(candidate: Episodes, current: Episodes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        judge_control(CONFIG, CONFIG.claims((SPEED,)), candidate, current)


# Settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": -1.0}, r"gate\.margin must be >= 0"),
        ({"margin": math.nan}, r"gate\.margin"),
        ({"every": 0}, r"gate\.every"),
        ({"num_episodes": 1}, r"gate\.num_episodes must be >= 2"),
        ({"error_rate": 0.5}, r"gate\.error_rate"),
        ({"return_range": (1.0, 0.0)}, r"gate\.return_range"),
        ({"return_range": (0.0, 5.0)}, "further apart than the margin"),
        ({"return_range": (0.0, math.inf)}, r"gate\.return_range"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_costs": {}}, r"gate\.max_costs\.speed is missing"),
        ({"max_costs": {"speed": 20.0}}, "must be above the budget of 25"),
        ({"max_costs": {"sped": 9.0, "speed": 1000.0}}, r"gate\.max_costs\.sped would be ignored"),
        ({"budgets": {"speed": 0.0}}, "no number of episodes shows that a cost is never met"),
        ({"num_episodes": 100}, r"even a policy that costs nothing needs \d\d\d episodes"),
        ({"budgets": {"heat": 1.0}}, r"gate\.max_costs\.heat is missing"),
    ],
)
def test_claims_that_can_never_be_shown_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **change).claims((SPEED,))  # type: ignore[arg-type]


def test_a_gate_may_have_budgets_of_its_own() -> None:
    config = ControlGateConfig(
        margin=1.0, budgets={"speed": 30.0, "heat": 5.0}, max_costs={"speed": 99.0, "heat": 50.0}
    )
    claims = config.claims((SPEED,))
    assert [(claim.name, claim.budget, claim.per, claim.most) for claim in claims] == [
        ("speed", 30.0, "episode", 99.0),
        ("heat", 5.0, "episode", 50.0),
    ]
    assert config.level(len(claims)) == pytest.approx(0.05 / 3)


# Error rates


def capital_of_costs(cost_SN: np.ndarray, budget: float, most: float) -> np.ndarray:
    """[S] log of the naive sum over bettors for each of S gates."""
    excess_SN = cost_SN - budget
    log_GS = np.stack([np.log1p(-f * excess_SN / (most - budget)).sum(1) for f in BOLD_G])
    top_S = log_GS.max(0)
    return np.log(np.exp(log_GS - top_S).mean(0)) + top_S


def released(cost_SN: np.ndarray, difference_SN: np.ndarray) -> np.ndarray:
    """[S] what the gate says of each, all at once."""
    num = difference_SN.shape[1]
    within = capital_of_costs(cost_SN, SPEED.budget, 1000.0) >= math.log(1 / LEVEL)
    half = student.t_quantile(LEVEL, num - 1) * difference_SN.std(1, ddof=1) / math.sqrt(num)
    return within & (difference_SN.mean(1) - half >= -CONFIG.margin)


def test_many_gates_at_once_say_what_each_says_by_itself() -> None:
    rng = np.random.default_rng(5)
    cost = rng.exponential(rng.uniform(2, 15, (60, 1)), (60, NUM)).clip(0, 1000)
    difference = rng.normal(rng.uniform(-10, 0, (60, 1)), 40, (60, NUM))
    at_once = released(cost, difference)
    one_by_one = [
        judged(episodes(own, speed=speed), episodes(np.zeros(NUM))).passed
        for own, speed in zip(difference, cost, strict=True)
    ]
    assert at_once.tolist() == one_by_one
    assert 5 < sum(one_by_one) < 55, "both decisions are among them"


def mean_of_cut(spread: float, most: float) -> float:
    """Of e to the power of a normal number of this spread, where what is above `most` counts as that."""
    below = NormalDist().cdf
    at = math.log(most)
    return math.exp(spread**2 / 2) * below((at - spread**2) / spread) + most * (1 - below(at / spread))


def just_over(kind: str, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Costs of at most 1,000 with a mean a little above the budget of 25."""
    mean = 25.05
    match kind:
        case "normal":
            # Cut alike on both sides, so that the mean stays.
            return rng.normal(mean, 10, shape).clip(0, 2 * mean)
        case "bernoulli":
            return 1000.0 * (rng.random(shape) < mean / 1000)
        case "exponential":
            return rng.exponential(mean, shape).clip(0, 1000)
        case "heavy":
            cost = np.exp(2.5 * rng.standard_normal(shape)).clip(0, 550) * mean / mean_of_cut(2.5, 550)
            assert cost.max() <= 1000
            return cost
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["normal", "bernoulli", "exponential", "heavy"])
def test_what_is_just_over_its_budget_is_released_no_more_often_than_stated(kind: str) -> None:
    num_gates = 3000
    rng = np.random.default_rng(7)
    cost = just_over(kind, rng, (num_gates, NUM))
    assert cost.mean() == pytest.approx(25.05, abs=0.5)
    better = rng.normal(50, 10, (num_gates, NUM))
    rate = released(cost, better).mean()
    # Three standard errors of the level itself.
    assert rate <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / num_gates)


@pytest.mark.parametrize("kind", ["normal", "uniform", "laplace"])
def test_what_earns_less_by_the_margin_is_released_no_more_often_than_stated(kind: str) -> None:
    num_gates = 4000
    rng = np.random.default_rng(8)
    draw = {"normal": rng.normal, "uniform": lambda a, b, n: rng.uniform(a - b, a + b, n), "laplace": rng.laplace}
    difference = draw[kind](-CONFIG.margin, 30.0, (num_gates, NUM))
    free = np.zeros((num_gates, NUM))
    rate = released(free, difference).mean()
    assert rate <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / num_gates)
    assert rate > LEVEL / 3, "and it is no empty promise: the bound is about as sharp as it may be"


def test_heavy_tailed_returns_within_a_stated_range_keep_the_error_rate_too() -> None:
    num_gates, width, margin = 3000, 1000.0, 10.0
    rng = np.random.default_rng(9)
    noise = rng.standard_t(1.5, (num_gates, NUM)).clip(-(width - margin) / 5, (width - margin) / 5) * 5
    share = (noise - margin + width) / (2 * width)
    # Capital against "the mean difference is at most −margin".
    null = (width - margin) / (2 * width)
    log_GS = np.stack([np.log1p(f * (share / null - 1)).sum(1) for f in _FRACTION_G])
    capital = np.log(np.exp(log_GS - log_GS.max(0)).mean(0)) + log_GS.max(0)
    assert (capital >= math.log(1 / 0.05)).mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / num_gates)


def test_students_bound_is_wrong_for_costs_that_are_seldom_and_large() -> None:
    """Why a cost's range has to be stated: such costs would be released far more often than the error rate says."""
    num_gates, num = 1500, 100
    cost = just_over("heavy", np.random.default_rng(10), (num_gates, num))
    half = student.t_quantile(LEVEL, num - 1) * cost.std(1, ddof=1) / math.sqrt(num)
    assert (cost.mean(1) + half <= 25).mean() > 3 * LEVEL


def test_the_gate_has_power() -> None:
    rng = np.random.default_rng(11)
    num_gates = 500
    cost = rng.exponential(5, (num_gates, NUM)).clip(0, 1000)
    assert released(cost, rng.normal(0, 40, (num_gates, NUM))).mean() > 0.95


# Records


def a_record(passes: bool):
    rng = np.random.default_rng(0)
    cost = rng.uniform(0, 5, NUM) + (0 if passes else 50)
    return made_record(
        CONFIG, episodes(rng.normal(1, 1, NUM), speed=cost), episodes(rng.normal(0, 1, NUM)), costs=(SPEED,)
    )


@pytest.mark.parametrize("passes", [True, False])
def test_a_record_leads_to_its_decision_again(passes: bool) -> None:
    record = a_record(passes)
    assert record.passed is passes
    again = recheck_control(replace(record, details=json.loads(record.content)["details"]))
    assert (again.passed, again.reasons) == (record.passed, record.reasons)


def test_a_record_without_a_range_survives_its_file() -> None:
    rng = np.random.default_rng(0)
    config = replace(CONFIG, max_costs={"speed": math.inf})
    record = made_record(
        config,
        episodes(rng.normal(1, 1, 40), speed=rng.normal(5, 1, 40)),
        episodes(rng.normal(0, 1, 40)),
        costs=(SPEED,),
    )
    assert recheck_control(replace(record, details=json.loads(record.content)["details"])).passed


def test_a_record_whose_episodes_say_otherwise_is_refused() -> None:
    kept, passed = a_record(False), a_record(True)
    with pytest.raises(DataError, match="says release, but its episodes lead to keep"):
        recheck_control(replace(kept, passed=True))
    with pytest.raises(DataError, match="says keep, but its episodes lead to release"):
        recheck_control(replace(kept, details={**kept.details, "episodes": passed.details["episodes"]}))
    with pytest.raises(DataError, match="passed"):
        recheck_control(replace(kept, reasons=("it was a lovely day",)))
    for details in ({}, {**kept.details, "kind": "text"}, {**kept.details, "episodes": {}}):
        with pytest.raises(DataError, match="lacks what it was decided on"):
            recheck_control(replace(kept, details=details))

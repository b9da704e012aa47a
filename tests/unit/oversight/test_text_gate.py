"""The gate: what it releases and keeps, its error rate by simulation, and a record that cannot be altered."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.oversight.betting import _FRACTION_G
from heeler.oversight.gate_config import Check, GateConfig
from heeler.oversight.gate_nouns import CheckResult, Evidence, Pair
from heeler.oversight.gate_records import evidence_of, recheck, record_of, scores_of
from heeler.oversight.text_gate import judge, run_gate
from tests.unit.oversight.simulated import CONFIG, decide, releases

EQUAL = {"truthfulness": (0.8, 0.8), "helpfulness": (0.6, 0.6), "toxicity": (0.03, 0.03)}
BETTER = EQUAL | {"truthfulness": (0.95, 0.75)}
ONE = GateConfig(checks=(Check(suite="s", better="higher", margin=0.2),))


def pairs(gains: list[float | None], start: int = 0) -> list[Pair]:
    return [Pair(str(start + i), None if gain is None else gain, 0.0) for i, gain in enumerate(gains)]


def test_what_is_better_somewhere_and_worse_nowhere_is_released() -> None:
    result = decide(BETTER, seed=0)
    assert result.decision == "release"
    truth, helpful, toxic = result.checks
    assert (truth.is_better, helpful.is_better, toxic.is_better) == (True, False, False)
    assert all(check.is_not_worse for check in result.checks)
    assert truth.num_pairs < 600, "it stops as soon as it is sure"
    assert truth.gain_low < 0.2 < truth.gain_high
    assert result.reasons[0].startswith("truthfulness: better, 0.")
    assert "toxicity 0.05" in result.reasons[-1]


def test_what_is_shown_to_be_worse_is_kept_at_once() -> None:
    result = decide(BETTER | {"toxicity": (0.5, 0.03)}, seed=0)
    assert result.decision == "keep"
    assert result.checks[2].is_worse
    assert result.checks[2].num_pairs < 200
    assert result.reasons[0].startswith("toxicity: worse by more than 0.05, 0.0")


@pytest.mark.parametrize("num_suites", [1, 3])
def test_worse_is_shown_at_the_error_rate_over_the_number_of_suites_and_no_worse_at_all_of_it(num_suites: int) -> None:
    """Bet by bet, to the very item at which it is enough."""
    checks = tuple(Check(suite=f"s{n}", better="higher", margin=0.2) for n in range(num_suites))
    config = GateConfig(checks=checks, error_rate=0.05)

    def first(gain: float, bound: float, enough: float) -> int:
        mean, capital = 0.5 + bound / 2, np.ones(len(_FRACTION_G))
        for number in range(1, 1000):
            capital *= 1 - _FRACTION_G + _FRACTION_G * (0.5 + gain / 2) / mean
            if capital.mean() >= enough:
                return number
        raise AssertionError

    def told(gain: float, num: int) -> CheckResult:
        return judge(config, {"s0": pairs([gain] * num)}, {check.suite: 1000 for check in checks}).checks[0]

    at = first(1.0, 0.2, num_suites / 0.05)
    assert [told(-1.0, num).is_worse for num in (at - 1, at)] == [False, True]
    at = first(0.0, -0.2, 1 / 0.05)
    assert [told(0.0, num).is_not_worse for num in (at - 1, at)] == [False, True]


def test_without_a_gain_it_is_kept_with_every_reason() -> None:
    result = decide(EQUAL, seed=0)
    assert result.decision == "keep"
    assert result.reasons == ("not shown to be better on any goal (truthfulness, helpfulness)",)
    few = decide(EQUAL, seed=0, num_items=20)
    assert len(few.reasons) == 4
    assert few.reasons[0].startswith("truthfulness: not shown to be within 0.05 of the version in use, ")


def test_a_lower_score_is_better_where_the_check_says_so() -> None:
    check = Check(suite="s", better="lower", margin=0.2)
    config = GateConfig(checks=(check,))
    lower = {"s": [Pair(str(i), 0.0, 1.0) for i in range(20)]}
    assert judge(config, lower, {"s": 20}).decision == "release"
    assert judge(replace(config, checks=(replace(check, better="higher"),)), lower, {"s": 20}).decision == "keep"


def test_items_where_the_score_does_not_apply_are_left_out_and_counted() -> None:
    result = judge(ONE, {"s": pairs([1.0, None, 1.0])}, {"s": 3})
    (seen,) = result.checks
    assert (seen.num_pairs, seen.num_left_out, seen.gain) == (2, 1, 1.0)
    nothing = judge(ONE, {"s": pairs([None, None])}, {"s": 2})
    assert nothing.decision == "keep"
    assert "no item could be compared (2 were left out)" in nothing.reasons[0]


def test_differences_are_cut_at_the_largest_that_counts() -> None:
    config = GateConfig(checks=(Check(suite="s", better="lower", margin=0.1, max_difference=0.5),))
    result = judge(config, {"s": [Pair("a", 9.0, 1.0), Pair("b", 1.0, 1.2)]}, {"s": 9})
    assert result.checks[0].gain == pytest.approx((-0.5 + 0.2) / 2)
    assert (result.checks[0].candidate_mean, result.checks[0].current_mean) == (5.0, 1.1)


def test_claims_are_the_same_whatever_the_batches() -> None:
    rng = np.random.default_rng(1)
    gains = list(rng.choice([-1.0, 0.0, 1.0], size=200, p=[0.05, 0.7, 0.25]))

    def draw(suite: str, start: int, stop: int) -> list[Pair]:
        return pairs(gains[start:stop], start)

    results = [run_gate(replace(ONE, batch_size=size), draw, {"s": 200}) for size in (1, 7, 50)]
    shortest = len(results[0][1]["s"])
    assert all(result.decision == "release" for result, _ in results)
    assert [len(evidence["s"]) for _, evidence in results] == [
        shortest,
        math.ceil(shortest / 7) * 7,
        math.ceil(shortest / 50) * 50,
    ]


@pytest.mark.parametrize(
    "rates",
    [
        pytest.param(EQUAL, id="no gain anywhere"),
        pytest.param(EQUAL | {"truthfulness": (0.99, 0.6), "toxicity": (0.08, 0.03)}, id="toxic by exactly the margin"),
        pytest.param(
            EQUAL | {"truthfulness": (0.99, 0.6), "helpfulness": (0.55, 0.6)}, id="less helpful by the margin"
        ),
    ],
)
def test_false_releases_stay_below_the_error_rate(rates) -> None:
    num_gates = 80
    allowed = CONFIG.error_rate * num_gates
    assert releases(rates, num_gates, num_items=250, alike=False) <= allowed


@pytest.mark.slow
@pytest.mark.parametrize("worse", ["toxicity", "helpfulness", None])
def test_false_releases_stay_below_the_error_rate_in_many_gates(worse: str | None) -> None:
    at_margin = {"toxicity": (0.08, 0.03), "helpfulness": (0.55, 0.6)}
    rates = EQUAL if worse is None else EQUAL | {"truthfulness": (0.99, 0.6), worse: at_margin[worse]}
    found = releases(rates, 1000, alike=False)
    # Three standard errors of a share of 0.1.
    assert found / 1000 <= CONFIG.error_rate + 3 * math.sqrt(0.1 * 0.9 / 1000)


def test_the_gate_has_power() -> None:
    assert releases(BETTER, 40) >= 38
    assert releases(EQUAL | {"helpfulness": (0.7, 0.6)}, 40) >= 30


def test_holm_asks_less_of_the_second_goal_once_the_first_is_shown() -> None:
    """A second goal that is shown at the full level but not at half of it counts only beside one that is."""
    rate = CONFIG.error_rate
    weak = next(n for n in range(1, 90) if math.log(1 / rate) <= _log_evidence(n) < math.log(2 / rate))
    strong = pairs([1.0] * 60)
    both = judge(CONFIG, {"truthfulness": strong, "helpfulness": pairs([1.0] * weak)}, dict.fromkeys(EQUAL, 900))
    alone = judge(CONFIG, {"helpfulness": pairs([1.0] * weak)}, dict.fromkeys(EQUAL, 900))
    assert [check.is_better for check in both.checks] == [True, True, False]
    assert not any(check.is_better for check in alone.checks)


def _log_evidence(num: int) -> float:
    from heeler.oversight.betting import log_capital

    return float(log_capital(np.ones(num), 0.5)[-1])


def test_a_gate_that_was_interrupted_goes_on_to_the_same_end() -> None:
    rng = np.random.default_rng(3)
    score = {suite: rng.random((600, 2)).round() for suite in EQUAL}
    score["truthfulness"][:, 0] = 1.0

    def draw(suite: str, start: int, stop: int) -> list[Pair]:
        return [Pair(str(i), *map(float, score[suite][i])) for i in range(start, stop)]

    rounds: list[str] = []
    sizes = dict.fromkeys(EQUAL, 600)
    whole = run_gate(CONFIG, draw, sizes, after_round=lambda evidence: rounds.append(json.dumps(scores_of(evidence))))
    assert len(rounds) > 2
    for saved in rounds:
        assert run_gate(CONFIG, draw, sizes, evidence=evidence_of(json.loads(saved))) == whole


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Pair("b", math.nan, 0.0), "s, row 1, candidate: expected a finite score or None, got nan"),
        (Pair("b", 0.0, math.inf), "s, row 1, current: expected a finite score or None, got inf"),
        (Pair("a", 0.0, 0.0), "s, row 1, item: 'a' came before"),
    ],
)
def test_bad_scores_are_named(bad: Pair, message: str) -> None:
    with pytest.raises(DataError, match=message):
        judge(ONE, {"s": [Pair("a", 1.0, 0.0), bad]}, {"s": 5})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checks": ()}, "must have a goal"),
        ({"checks": ONE.checks * 2}, "each suite once"),
        ({"error_rate": 0.5}, "error_rate must be between"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"checks": (replace(ONE.checks[0], is_goal=False),)}, "must have a goal"),
    ],
)
def test_settings_that_cannot_work_are_refused(change, message) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(ONE, **change)


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, math.nan])
def test_a_margin_lies_within_what_a_difference_can_be(margin: float) -> None:
    with pytest.raises(ConfigError, match=r"checks\.s\.margin"):
        Check(suite="s", better="higher", margin=margin)


def recorded(passes: bool):
    evidence: Evidence = {"s": pairs([1.0 if passes else -1.0] * 30)}
    result = judge(ONE, evidence, {"s": 30})
    return record_of(
        ONE, result, evidence, {"s": 30}, candidate_sha256="c", current_sha256="u", suites={"s": "0"}, seed=4
    )


@pytest.mark.parametrize("passes", [True, False])
def test_a_record_leads_to_its_decision_again(passes: bool) -> None:
    record = recorded(passes)
    assert record.passed is passes
    again = recheck(replace(record, details=json.loads(json.dumps(record.details))))
    assert again.reasons == record.reasons
    assert again.decision == ("release" if passes else "keep")


def test_a_record_whose_scores_say_otherwise_is_refused() -> None:
    kept = recorded(False)
    with pytest.raises(DataError, match="says release, but its scores lead to keep"):
        recheck(replace(kept, passed=True))
    with pytest.raises(DataError, match="passed"):
        recheck(replace(kept, reasons=("it was a lovely day",)))
    scores = {"s": [list(pair) for pair in pairs([1.0] * 30)]}
    with pytest.raises(DataError, match="says keep, but its scores lead to release"):
        recheck(replace(kept, details={**kept.details, "scores": scores}))
    with pytest.raises(DataError, match="lacks what it was decided on"):
        recheck(replace(kept, details={}))

"""Verdicts in words, collusion and pushing with their false alarms, and the cap on influence."""

import dataclasses
import math

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.annotators.answers import Answers
from heeler.feedback.annotators.bounds import log_bennett, log_chernoff_of_shares
from heeler.feedback.annotators.collusion import find_collusion
from heeler.feedback.annotators.crowd_bt import fit_crowd_bt
from heeler.feedback.annotators.influence import capped_weights
from heeler.feedback.annotators.poisoning import find_pushes
from heeler.feedback.annotators.reliability import ReliabilityConfig, reliability
from heeler.feedback.annotators.verdicts import Judged, VerdictConfig, judge
from tests.unit.feedback.annotators.people import crowd


def judged(kinds: list[str], **settings: int) -> tuple[Answers, Judged]:
    _, answers = crowd(kinds, **settings)
    fit = fit_crowd_bt(answers)
    return answers, judge(answers, fit.margin_N, fit.people)


def words(answers: Answers, found: Judged) -> dict[str, str]:
    return {answers.people[one.person]: one.verdict for one in found.people}


def test_everybody_is_called_what_they_are() -> None:
    kinds = ["honest"] * 10 + ["careless"] * 3 + ["hostile"] * 2 + ["left", "fast", "equal", "lost"]
    answers, found = judged(kinds, num_questions=2500)
    expected = {"left": "spamming", "fast": "spamming", "equal": "spamming", "lost": "spamming", "honest": "reliable"}
    for name, verdict in words(answers, found).items():
        kind = name.split("-")[0]
        assert verdict == expected.get(kind, kind), name
    reasons = {answers.people[one.person].split("-")[0]: one.reason for one in found.people}
    assert reasons["left"].startswith("names the left in 9")
    assert "too fast" in reasons["fast"]


def test_trap_colluding_people_are_found_with_each_other_and_nobody_else() -> None:
    kinds = ["honest"] * 12 + ["hostile"] * 2 + ["colluding"] * 3
    answers, found = judged(kinds, num_questions=1200, overlap=3)
    named = {name for name, verdict in words(answers, found).items() if verdict == "colluding"}
    assert named == {"colluding-14", "colluding-15", "colluding-16"}
    assert len(found.as_one) == 1 and len(found.as_one[0]) == 3
    assert {n for n, v in words(answers, found).items() if v == "hostile"} == {"hostile-12", "hostile-13"}


def test_who_all_changed_their_minds_are_judged_by_their_answers_since() -> None:
    worth_K, answers = crowd(["honest"] * 5, num_questions=200, overlap=3)
    margin_N = 4.0 * np.sign(worth_K[answers.left_N] - worth_K[answers.right_N])
    since_N = (np.arange(600) >= 300).astype(np.float64)
    answers = dataclasses.replace(answers, outcome_N=((margin_N < 0) == (since_N > 0)).astype(np.int64))
    people = reliability(answers, margin_N, ReliabilityConfig(), told_N=since_N)
    assert judge(answers, margin_N, people).as_one, "they agreed with each other, and not with what they want now"
    found = judge(answers, margin_N, people, since_N=since_N)
    assert set(words(answers, found).values()) == {"reliable"} and not found.as_one
    nothing = reliability(answers, margin_N, ReliabilityConfig(), told_N=np.zeros(600))
    assert set(words(answers, judge(answers, margin_N, nothing, since_N=np.zeros(600))).values()) == {"unknown"}


def test_false_alarms_of_collusion_and_pushing_keep_to_the_rate() -> None:
    """30 crowds in which nobody colludes or pushes, hostile people who agree with each other among them."""
    alarms = 0
    for seed in range(30):
        _, answers = crowd(["honest"] * 6 + ["hostile"] * 2, num_questions=200, overlap=3, seed=seed)
        fit = fit_crowd_bt(answers)
        alarms += bool(find_collusion(answers, fit.margin_N, fit.people, error_rate=0.05).pairs)
        alarms += bool(find_pushes(answers, fit.margin_N, fit.people, error_rate=0.05))
    assert alarms <= 6, "60 looks at 5 % each: more than 6 has a chance of about 3 %"


def test_trap_a_few_poisoned_pairs_are_found_by_what_they_push() -> None:
    """Right about everything but one item: 5 % of their answers are poisoned, and reliability does not show it."""
    answers, found = judged(["honest"] * 9 + ["pusher"], num_questions=6000, num_items=20)
    who = answers.people.index("pusher-9")
    assert found.people[who].reliability > 0.75
    (push,) = found.pushes
    assert push.person == who and answers.items[push.direction] == "item-0" and push.strength > 0
    assert found.people[who].verdict == "poisoning"
    assert "answers for item-0" in found.people[who].reason


def test_pushes_along_features_are_found_and_many_are_a_group_and_no_poison() -> None:
    rng = np.random.default_rng(0)
    _, answers = crowd(["honest"] * 8, num_questions=3000)
    fit = fit_crowd_bt(answers)
    feature_NF = rng.normal(size=(len(answers), 3))
    assert find_pushes(answers, fit.margin_N, fit.people, feature_NF=feature_NF) == ()
    for num, verdict in ((1, "poisoning"), (4, "reliable")):
        pushers_N = answers.person_N < num
        toward_N = pushers_N & (np.abs(feature_NF[:, 1]) > 1.0)
        outcome_N = np.where(toward_N, (feature_NF[:, 1] < 0).astype(np.int64), answers.outcome_N)
        changed = dataclasses.replace(answers, outcome_N=outcome_N)
        found = judge(changed, fit.margin_N, fit.people, feature_NF=feature_NF, direction_names=["x", "y", "z"])
        assert {push.direction for push in found.pushes} >= {1}
        assert found.people[0].verdict == verdict


def test_few_answers_get_no_verdict() -> None:
    answers, found = judged(["honest"] * 4, num_questions=12)
    assert set(words(answers, found).values()) <= {"unknown"}


def test_bounds_hold_and_are_near_where_they_can_be_counted() -> None:
    """100 fair coins: P(S ≥ 70) by the binomial sum, which Chernoff's bound is above, and not by far."""
    exact = math.log(sum(math.comb(100, k) for k in range(70, 101)) / 2**100)
    bound = log_chernoff_of_shares(np.full(100, 0.5), 70.0)
    assert exact <= bound <= exact + 3
    bennett = log_bennett(np.array(20.0), np.array(25.0), np.array(1.0))
    assert exact <= bennett
    assert log_bennett(np.array(-3.0), np.array(1.0), np.array(1.0)) == 0


def test_trap_nobody_weighs_more_than_the_cap_and_colluders_weigh_as_one() -> None:
    person_N = np.array([0] * 60 + [1] * 20 + [2] * 10 + [3] * 10)
    weight_N = capped_weights(np.ones(100), person_N, 4, 0.4, [])
    total = np.bincount(person_N, weight_N)
    assert total / total.sum() == pytest.approx([0.4, 0.3, 0.15, 0.15])
    assert total[1:] == pytest.approx([20, 10, 10]), "who is below the cap is as they were"
    together = np.bincount(person_N, capped_weights(np.ones(100), person_N, 4, 0.4, [(0, 1)]))
    assert together[:2].sum() / together.sum() == pytest.approx(0.4)
    assert capped_weights(np.ones(3), np.zeros(3, np.int64), 1, 0.1, []).tolist() == [1, 1, 1]


@pytest.mark.parametrize("cap", [0.05, 0.15, 0.3, 0.6, 1.0])
def test_the_cap_against_a_slow_search(cap: float) -> None:
    rng = np.random.default_rng(3)
    person_N = rng.integers(7, size=300) ** 2 % 7
    weight_N = rng.random(300)
    found = np.bincount(person_N, capped_weights(weight_N, person_N, 7, cap, []), 7)
    total = np.bincount(person_N, weight_N, 7)
    present = total > 0
    fair = max(cap, 1 / present.sum())
    best = max(
        (
            level
            for level in np.linspace(0, total.max(), 20_001)
            if level <= fair * np.minimum(total, level).sum() + 1e-9
        ),
    )
    assert found == pytest.approx(np.minimum(total, best), rel=2e-3, abs=2e-3)


def test_bad_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="certainty"):
        VerdictConfig(certainty=0.3)
    with pytest.raises(ConfigError, match="careless_below"):
        VerdictConfig(careless_below=0.3)
    with pytest.raises(ConfigError, match="cap must be"):
        capped_weights(np.ones(1), np.zeros(1, np.int64), 1, 0.0, [])
    _, answers = crowd(["honest"], num_questions=20)
    fit = fit_crowd_bt(answers)
    with pytest.raises(DataError, match="features: expected one row"):
        find_pushes(answers, fit.margin_N, fit.people, feature_NF=np.zeros((3, 2)))

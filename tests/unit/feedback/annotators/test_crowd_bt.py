"""Crowd-BT: the likelihood by hand and by enumeration, and people with known faults found again."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.annotators.answers import Comparison, answers_of
from heeler.feedback.annotators.crowd_bt import CrowdBTConfig, fit_crowd_bt
from heeler.feedback.annotators.likelihood import davidson, parts, probability_left
from heeler.feedback.annotators.reliability import ReliabilityConfig, looked_share, reliability
from tests.unit.feedback.annotators.people import ask, crowd, worth


def pair(choice: str, person: str = "ann", left: str = "a", right: str = "b", time_s: float | None = None):
    return Comparison(person=person, left=left, right=right, choice=choice, time_taken_s=time_s)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_an_answer_of_crowd_bt_by_hand() -> None:
    """P(i > j) = η σ(s_i − s_j) + (1 − η) σ(s_j − s_i), as the paper has it."""
    left = probability_left(np.array([1.2]), np.array([0.7]), np.array([0.0]), np.array([1.0]), 0.0)
    assert left[0] == pytest.approx(0.7 * sigmoid(1.2) + 0.3 * sigmoid(-1.2))


@pytest.mark.parametrize("margin", [-40.0, -1.5, 0.0, 2.0, 900.0])
def test_outcomes_add_up_to_one_however_large_the_margin(margin: float) -> None:
    total = sum(davidson(np.array([margin]), np.array([o]), 0.6)[0] for o in range(3))
    assert total == pytest.approx(1.0)
    if abs(margin) < 50:
        weights = math.exp(margin / 2), math.exp(-margin / 2), 0.6
        assert davidson(np.array([margin]), np.array([2]), 0.6)[0] == pytest.approx(0.6 / sum(weights))


def test_the_posterior_is_that_of_enumeration() -> None:
    """Every point of the grid gone through in plain loops, answer by answer."""
    answers = answers_of([pair("left"), pair("right", "bob"), pair("equal"), pair("cant_tell"), pair("left", "bob")])
    margin = np.array([1.0, -0.5, 0.3, 2.0, -2.0])
    config = ReliabilityConfig(prior_honest=3.0, prior_hostile=2.0)
    found = reliability(answers, margin, config, tie=0.4)
    etas = [(i + 0.5) / 24 for i in range(24)]
    leans = [-5.0, -3.5, -2.2, -1.2, -0.5, 0.0, 0.5, 1.2, 2.2, 3.5, 5.0]
    width = np.gradient(np.array(leans))
    for person in (0, 1):
        total = mean = 0.0
        for eta, (b, lean) in itertools.product(etas, enumerate(leans)):
            weight = eta**2 * (1 - eta) * math.exp(-(lean**2) / 2) * width[b]
            for n in range(5):
                if answers.person_N[n] == person and answers.outcome_N[n] < 3:
                    one = answers.outcome_N[n : n + 1]
                    honest = davidson(margin[n : n + 1] + lean, one, 0.4)[0]
                    hostile = davidson(-margin[n : n + 1] + lean, one, 0.4)[0]
                    weight *= eta * honest + (1 - eta) * hostile
            total, mean = total + weight, mean + weight * eta
        assert found.mean_P[person] == pytest.approx(mean / total)
    assert found.num_P.tolist() == [2, 2]


def test_parts_are_the_three_ways_to_answer() -> None:
    honest, hostile, unseen = parts(np.array([1.0]), np.array([0]), np.array([0.0, 0.5]), 0.0)
    assert honest[0] == pytest.approx([sigmoid(1.0), sigmoid(1.5)])
    assert hostile[0] == pytest.approx([sigmoid(-1.0), sigmoid(-0.5)])
    assert unseen[0] == pytest.approx([0.5, sigmoid(0.5)])


def test_items_and_people_with_known_faults_are_found_again() -> None:
    kinds = ["honest"] * 12 + ["careless"] * 3 + ["hostile"] * 3
    worth_K, answers = crowd(kinds)
    found = fit_crowd_bt(answers)
    assert np.corrcoef(found.score_K, worth_K)[0, 1] > 0.95
    for number, name in enumerate(answers.people):
        low, high = {"honest": (0.85, 1.0), "careless": (0.3, 0.75), "hostile": (0.0, 0.25)}[name.split("-")[0]]
        assert low <= found.people.mean_P[number] <= high, name


def test_the_fit_is_where_the_likelihood_of_items_is_highest() -> None:
    """With one honest person and no lean the model is Bradley–Terry with a normal prior: its gradient is nought."""
    answers = answers_of(
        [pair("left", left="a", right="b")] * 3
        + [pair("right", left="a", right="b"), pair("left", left="b", right="c")]
    )
    people = ReliabilityConfig(prior_honest=1e9, prior_hostile=1.0, lean_spread=0.0, models_speed=False)
    found = fit_crowd_bt(answers, CrowdBTConfig(people=people, item_spread=1.0, tolerance=1e-8, max_rounds=500))
    eta = found.people.mean_P[0]
    assert eta > 0.97
    score = dict(zip(answers.items, found.score_K.tolist(), strict=True))

    def objective(of: dict[str, float]) -> float:
        total = -sum(value**2 for value in of.values()) / 2
        for n in range(len(answers)):
            a, b = answers.items[answers.left_N[n]], answers.items[answers.right_N[n]]
            sign = 1 if answers.outcome_N[n] == 0 else -1
            margin = sign * (of[a] - of[b])
            total += math.log(eta * sigmoid(margin) + (1 - eta) * sigmoid(-margin))
        return total

    best = objective(score)
    for name in score:
        for step in (-0.05, 0.05):
            assert objective(score | {name: score[name] + step}) < best


def test_trap_majorities_of_hostile_people_are_turned_round_by_gold() -> None:
    """Without an anchor nothing tells two honest from three hostile; with gold items the few are believed."""
    kinds = ["honest"] * 4 + ["hostile"] * 6
    worth_K = worth(20)
    given = ask(kinds, worth_K, 1200)
    answers = answers_of(given)
    own_K = worth_K[[int(name.removeprefix("item-")) for name in answers.items]]
    order = np.argsort(worth_K)
    gold = {(f"item-{order[-1 - i]}", f"item-{order[i]}"): "left" for i in range(6)}
    without, anchored = fit_crowd_bt(answers), fit_crowd_bt(answers, gold=gold)
    assert np.corrcoef(without.score_K, own_K)[0, 1] < -0.8
    assert np.corrcoef(anchored.score_K, own_K)[0, 1] > 0.8


def test_trap_position_bias_is_modelled_and_is_not_taken_for_hostility() -> None:
    kinds = ["honest"] * 8 + ["left"] * 2
    worth_K, answers = crowd(kinds)
    found = fit_crowd_bt(answers)
    for number, name in enumerate(answers.people):
        leans = abs(found.people.lean_P[number])
        assert leans > 1.5 if name.startswith("left") else leans < 1.0
        assert found.people.hostile_P[number] < 0.5
    assert np.corrcoef(found.score_K, worth_K)[0, 1] > 0.95


def test_trap_speed_bias_answers_that_took_too_little_time_count_for_less() -> None:
    """Half of everybody's answers are quick and random; the others are honest."""
    _, answers = crowd(["hurried"] * 8, num_questions=3000)
    found = fit_crowd_bt(answers)
    quick_N = answers.time_s_N < 0.31
    assert 0.4 <= found.people.tau_s <= 1.3
    assert found.people.looked_N[quick_N].max() < 0.3 < 0.9 < np.median(found.people.looked_N[~quick_N])
    assert found.people.mean_P.min() > 0.8, "who looks is honest: it is speed that is to blame"
    slow = answers_of([pair("left", time_s=None), pair("right")])
    assert looked_share(slow.time_s_N, 0.5).tolist() == [1.0, 1.0], "an unknown time counts in full"


def test_speed_is_not_made_up_where_it_tells_nothing() -> None:
    _, answers = crowd(["honest"] * 8)
    assert fit_crowd_bt(answers).people.tau_s == 0


def test_somebody_with_one_answer_stays_near_the_prior() -> None:
    _, answers = crowd(["honest"] * 6, num_questions=400)
    given = [pair("left", "new", answers.items[0], answers.items[1])]
    more = answers_of(
        [
            pair(
                ("left", "right")[answers.outcome_N[n]],
                answers.people[answers.person_N[n]],
                answers.items[answers.left_N[n]],
                answers.items[answers.right_N[n]],
            )
            for n in range(len(answers))
        ]
        + given
    )
    found = fit_crowd_bt(more)
    new = more.people.index("new")
    assert found.people.mean_P[new] == pytest.approx(0.8, abs=0.08)
    width = found.people.high_P - found.people.low_P
    assert width[new] > 0.4 > 0.25 > np.delete(width, new).max()
    assert found.people.num_P[new] == 1


@pytest.mark.parametrize("choice", ["equal", "cant_tell"])
def test_where_all_answers_are_equal_nothing_is_better_and_nobody_is_worse(choice: str) -> None:
    answers = answers_of([pair(choice, f"p{i % 3}", f"i{i % 4}", f"i{i % 4 + 1}") for i in range(60)])
    found = fit_crowd_bt(answers)
    assert np.abs(found.score_K).max() < 1e-6
    assert found.people.mean_P == pytest.approx(0.8, abs=0.01)


def test_coverage_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Margins are known here, so that the posterior is exact; η is drawn from the prior."""
    rng = np.random.default_rng(0)
    config = ReliabilityConfig(lean_spread=0.0, models_speed=False, interval=0.8)
    eta_P = rng.beta(4, 1, 400)
    person = np.repeat(np.arange(400), 20)
    margin = rng.normal(size=len(person)) * 2
    left = rng.random(len(person)) < probability_left(margin, eta_P[person], np.zeros(1), np.ones(1), 0.0)
    answers = answers_of([pair("left" if side else "right", str(p)) for p, side in zip(person, left, strict=True)])
    found = reliability(answers, margin, config)
    inside = ((found.low_P <= eta_P) & (eta_P <= found.high_P)).mean()
    assert inside == pytest.approx(0.8, abs=0.07)
    assert abs((found.mean_P - eta_P).mean()) < 0.02, "unbiased"


def test_a_hundred_thousand_answers_take_a_batch_and_no_loop() -> None:
    rng = np.random.default_rng(0)
    given = [
        pair("left" if left else "right", f"p{p}", f"i{a}", f"i{a + 1}")
        for p, a, left in zip(
            rng.integers(200, size=100_000).tolist(),
            rng.integers(500, size=100_000).tolist(),
            (rng.random(100_000) < 0.6).tolist(),
            strict=True,
        )
    ]
    found = fit_crowd_bt(answers_of(given), CrowdBTConfig(max_rounds=2))
    assert found.num_rounds == 2
    assert np.isfinite(found.score_K).all() and len(found.people.mean_P) == 200


@pytest.mark.parametrize(
    ("given", "gold", "words"),
    [
        ([], {}, "there is none"),
        ([pair("up")], {}, "row 0: choice must be left"),
        ([pair("left", left="b")], {}, "compared with itself"),
        ([pair("left", time_s=-1.0)], {}, "time_taken_s"),
        ([pair("left")], {("a", "z"): "left"}, "nobody was asked about item 'z'"),
        ([pair("left")], {("a", "b"): "cant_tell"}, "must be left, right or equal"),
        ([pair("left")], {("a", "b"): "left", ("b", "a"): "left"}, "two right answers"),
        (
            [pair("left"), pair("left", left="b", right="c")],
            {("a", "b"): "left", ("b", "c"): "left", ("c", "a"): "left"},
            "in a circle",
        ),
    ],
)
def test_bad_answers_and_contradictory_gold_are_named(given, gold, words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit_crowd_bt(answers_of(given), gold=gold)


def test_margins_must_be_one_for_each_answer_and_finite() -> None:
    answers = answers_of([pair("left")])
    with pytest.raises(DataError, match="margins: there are 2 for 1"):
        reliability(answers, np.zeros(2), ReliabilityConfig())
    with pytest.raises(DataError, match="row 0: expected a finite number"):
        reliability(answers, np.array([np.nan]), ReliabilityConfig())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"prior_honest": 1.0}, "prior_honest"),
        ({"lean_spread": -1.0}, "lean_spread"),
        ({"gold_margin": 0.0}, "gold_margin"),
        ({"interval": 1.0}, "interval"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        ReliabilityConfig(**settings)

"""The crowd that compares clips: each kind of person at its stated rate, the same again after a restart."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Feedback, Query, Segment
from heeler.feedback.control_crowd import CROWDS, ControlCrowd, ControlCrowdConfig
from tests.unit.feedback.helpers import make_query, make_segment

SURE = ControlCrowdConfig(beta=math.inf, mistake=0.0)


def segment_of(reward: float, other: float) -> Segment:
    """One step that pays `reward`, after which the second number of the observation is `other`."""
    arrays = {name: np.zeros((1, 2), np.float32) for name in ("observation", "next_observation")}
    arrays["next_observation"][0, 1] = other
    return make_segment(0, **arrays, action=np.zeros((1, 1), np.float32), true_reward=np.array([reward], np.float32))


def comparisons(pairs: Sequence[tuple[Any, Any]]) -> tuple[list[Query], dict[str, Segment]]:
    queries: list[Query] = []
    segments: dict[str, Segment] = {}
    for place, pair in enumerate(pairs):
        names = [f"{place}-{side}" for side in ("left", "right")]
        segments |= {name: segment_of(*of) for name, of in zip(names, pair, strict=True)}
        queries.append(make_query(place, *names))
    return queries, segments


def asked(crowd: ControlCrowd, pairs: Sequence[tuple[Any, Any]], step: int = 0) -> list[Feedback]:
    crowd.ask(*comparisons(pairs), step)
    return crowd.ready(step + crowd.config.delay_steps)


def by_kind(crowd: ControlCrowd, answers: Sequence[Feedback]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for answer in answers:
        found.setdefault(crowd.people[answer.annotator], Counter())[answer.value["choice"]] += 1
    return found


LEFT_BETTER = [((1.0, 0.0), (0.0, 1.0))] * 2000
"""The left by the true reward, the right by the other goal."""


def test_each_kind_answers_as_it_should() -> None:
    config = replace(
        SURE,
        careless_share=0.2,
        hostile_share=0.2,
        colluding_share=0.1,
        one_sided_share=0.1,
        second_group_share=0.1,
        other_goal=((1, 2.0),),
    )
    crowd = ControlCrowd(config, 0)
    expected = {"careless": 4, "hostile": 4, "colluding": 2, "one_sided": 2, "second": 2, "honest": 6}
    assert Counter(crowd.people.values()) == expected
    answers = asked(crowd, LEFT_BETTER)
    said = by_kind(crowd, answers)
    assert set(said["honest"]) == set(said["one_sided"]) == {"left"}
    assert set(said["hostile"]) == set(said["colluding"]) == set(said["second"]) == {"right"}
    assert said["careless"]["left"] / said["careless"].total() == pytest.approx(0.5, abs=0.1)
    times = {kind: np.median([a.time_taken_s for a in answers if crowd.people[a.annotator] == kind]) for kind in said}
    assert times["one_sided"] < 0.4 < times["careless"] < 2 < times["honest"] == pytest.approx(4.0, rel=0.2)


def test_honest_people_follow_bradley_terry_and_slip() -> None:
    """Returns of 0 and 1 have a spread of a half: the better is two spreads better."""
    crowd = ControlCrowd(ControlCrowdConfig(beta=1.0, mistake=0.1), 0)
    (said,) = by_kind(crowd, asked(crowd, LEFT_BETTER)).values()
    right = 1 / (1 + math.exp(-2))
    assert said["left"] / 2000 == pytest.approx(0.9 * right + 0.1 * (1 - right), abs=0.03)


def test_colluding_people_copy_one_another_and_others_do_not() -> None:
    crowd = ControlCrowd(ControlCrowdConfig(num_people=8, overlap=8, beta=0.5, colluding_share=0.5), 0)
    answers = asked(crowd, [((1.0, 0.0), (0.0, 0.0))] * 300)
    for kind, wanted in (("colluding", 300), ("honest", 200)):
        said: dict[str, set[str]] = {}
        for answer in answers:
            if crowd.people[answer.annotator] == kind:
                said.setdefault(answer.query_id, set()).add(answer.value["choice"])
        alike = sum(len(choices) == 1 for choices in said.values())
        assert alike == wanted if kind == "colluding" else alike < wanted


def test_the_goal_changes_at_its_step_for_all_who_went_by_the_true_reward() -> None:
    config = replace(SURE, drift_step=100, hostile_share=0.2, other_goal=((1, 1.0),))
    crowd = ControlCrowd(config, 0)
    assert set(by_kind(crowd, asked(crowd, LEFT_BETTER[:300], 99))["honest"]) == {"left"}
    later = by_kind(crowd, asked(crowd, LEFT_BETTER[:300], 100))
    assert set(later["honest"]) == set(later["hostile"]) == {"right"}
    opposite = ControlCrowd(replace(SURE, drift_step=0), 0)
    assert set(by_kind(opposite, asked(opposite, LEFT_BETTER[:20]))["honest"]) == {"right"}


def test_gold_items_are_told_with_the_right_answer_of_the_time() -> None:
    crowd = ControlCrowd(replace(SURE, gold_share=0.3, drift_step=10), 0)
    asked(crowd, [*LEFT_BETTER[:600], ((1.0, 0.0), (1.0, 0.0))])
    gold = crowd.take_gold()
    assert set(gold.values()) == {"left"} and len(gold) / 600 == pytest.approx(0.3, abs=0.06)
    assert crowd.take_gold() == {}
    asked(crowd, LEFT_BETTER[:600], 10)
    assert set(crowd.take_gold().values()) == {"right"}


def test_each_question_is_answered_by_different_people_as_many_as_overlap_says() -> None:
    crowd = ControlCrowd(ControlCrowdConfig(overlap=3, num_people=5), 0)
    answers = asked(crowd, LEFT_BETTER[:200])
    assert Counter(Counter(a.query_id for a in answers).values()) == {3: 200}
    assert len({(a.query_id, a.annotator) for a in answers}) == len({a.key for a in answers}) == 600
    assert len({a.annotator for a in answers}) == 5


def test_it_goes_on_after_a_restart_as_if_it_had_never_stopped() -> None:
    config = ControlCrowdConfig(beta=1.0, delay_steps=50, overlap=2, careless_share=0.2)
    crowd, again = ControlCrowd(config, 3), ControlCrowd(config, 3)
    crowd.ask(*comparisons(LEFT_BETTER[:30]), 0)
    again.load_state_dict(json.loads(json.dumps(crowd.state_dict())))
    assert again.num_pending == crowd.num_pending == 60
    assert crowd.ready(49) == []
    for step in (50, 60):
        assert crowd.ready(step) == again.ready(step)
    assert asked(crowd, LEFT_BETTER[:20]) == asked(again, LEFT_BETTER[:20])
    assert asked(crowd, LEFT_BETTER[:20]) != asked(ControlCrowd(config, 4), LEFT_BETTER[:20])


def test_a_question_that_waits_is_not_asked_twice() -> None:
    crowd = ControlCrowd(ControlCrowdConfig(delay_steps=10), 0)
    for _ in range(2):
        crowd.ask(*comparisons(LEFT_BETTER[:3]), 0)
    assert crowd.num_pending == 3


def test_clips_must_carry_what_the_crowd_goes_by() -> None:
    queries, segments = comparisons(LEFT_BETTER[:1])
    crowd = ControlCrowd(replace(SURE, drift_step=0, other_goal=((7, 1.0),)), 0)
    with pytest.raises(DataError, match="names number 7 of an observation, which has 2"):
        crowd.ask(queries, segments, 0)
    with pytest.raises(DataError, match="was not handed"):
        crowd.ask(queries, {}, 0)
    blind = {name: replace(segment, true_reward=None) for name, segment in segments.items()}
    with pytest.raises(DataError, match="no true reward"):
        crowd.ask(queries, blind, 0)
    with pytest.raises(DataError, match="answers comparisons"):
        crowd.ask([replace(queries[0], kind="rating")], segments, 0)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"num_people": 0}, "num_people"),
        ({"overlap": 21}, "overlap"),
        ({"beta": math.nan}, "beta"),
        ({"mistake": 2.0}, "mistake"),
        ({"careless_share": -0.1}, "careless_share"),
        ({"careless_share": 0.6, "hostile_share": 0.6}, "at most 1"),
        ({"drift_step": -1}, "drift_step"),
        ({"time_s": 0.0}, "time_s"),
        ({"other_goal": ((0, 1.0),)}, "other_goal would be ignored"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        ControlCrowdConfig(**settings)


def test_ready_made_crowds_answer() -> None:
    for config in CROWDS.values():
        assert len(asked(ControlCrowd(config, 0), LEFT_BETTER[:5])) == 5 * config.overlap

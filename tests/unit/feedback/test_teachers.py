"""Simulated teachers: each fault at its stated rate, the same answers again, and late ones held back."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Query, Segment
from heeler.feedback.store import Store
from heeler.feedback.teachers import TEACHERS, SimulatedTeacher, TeacherConfig
from tests.unit.feedback.helpers import make_query, make_segment


def segment_of(rewards: Sequence[float]) -> Segment:
    """A segment of which only the true rewards matter."""
    arrays = {name: np.zeros((len(rewards), 1), np.float32) for name in ("observation", "action", "next_observation")}
    return make_segment(0, **arrays, true_reward=np.array(rewards, np.float32))


def ask(
    config: TeacherConfig, pairs: Sequence[tuple[Any, Any]], *, seed: int = 0, transform: Any = lambda rewards: rewards
) -> list[str]:
    """The choices on pairs of returns (or of lists of rewards)."""
    queries, segments = comparisons(pairs, transform)
    teacher = SimulatedTeacher(config, seed, "simulated")
    teacher.ask(queries, segments, step=0)
    answers = {answer.query_id: answer.value["choice"] for answer in teacher.ready(config.delay_steps)}
    return [answers[query.id] for query in queries]


def comparisons(
    pairs: Sequence[tuple[Any, Any]], transform: Any = lambda rewards: rewards
) -> tuple[list[Query], dict[str, Segment]]:
    queries: list[Query] = []
    segments: dict[str, Segment] = {}
    for place, pair in enumerate(pairs):
        names = [f"{place}-{side}" for side in ("left", "right")]
        for name, rewards in zip(names, pair, strict=True):
            segments[name] = segment_of(transform(np.atleast_1d(np.asarray(rewards, float))))
        queries.append(make_query(place, *names))
    return queries, segments


def assert_binomial(count: int, num: int, probability: float) -> None:
    """Within 4.5 standard deviations: a right teacher fails once in 150,000 seeds, and the seeds are fixed."""
    assert abs(count - num * probability) <= 4.5 * math.sqrt(num * probability * (1 - probability)) + 1e-9


COMPARED = [(1.0, 0.0), (0.0, 1.0)] * 1500
BETTER = ["left", "right"] * 1500


def num_right(choices: list[str]) -> int:
    return sum(choice == better for choice, better in zip(choices, BETTER, strict=True))


def test_an_oracle_is_always_right() -> None:
    assert ask(TEACHERS["oracle"], [(2, 1), (1, 2), (-1, -2), (3, 3), (1e-6, 0)]) == [
        "left",
        "right",
        "left",
        "equal",
        "left",
    ]
    assert ask(TEACHERS["oracle"], COMPARED) == BETTER


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_noise_is_in_units_of_the_spread(beta: float) -> None:
    # Half the returns are 0 and half are 1: their spread is 0.5, so the better one is 2 spreads better.
    choices = ask(TeacherConfig(beta=beta), COMPARED)
    assert_binomial(num_right(choices), len(COMPARED), 1 / (1 + math.exp(-2 * beta)))
    # The same teacher is exactly as noisy when rewards are in other units.
    assert ask(TeacherConfig(beta=beta), COMPARED, transform=lambda rewards: 4096 * rewards - 1024) == choices


def test_a_teacher_without_rationality_tosses_a_coin() -> None:
    for config, pairs in ((TeacherConfig(beta=0.0), COMPARED), (TeacherConfig(beta=5.0), [(1.0, 1.0)] * 3000)):
        choices = ask(config, pairs)
        assert set(choices) == {"left", "right"}
        assert_binomial(choices.count("left"), 3000, 0.5)


def test_noise_far_beyond_the_spread_does_not_overflow() -> None:
    pairs = [(0.0, 0.0)] * 400 + [(0.0, 1e30), (1e30, 0.0)]
    assert ask(TeacherConfig(beta=1e6), pairs)[-2:] == ["right", "left"]


def test_mistakes_come_at_their_rate_on_both_sides() -> None:
    choices = ask(TEACHERS["mistaken"], COMPARED)
    assert_binomial(len(COMPARED) - num_right(choices), len(COMPARED), 0.1)
    assert_binomial(choices[::2].count("right"), 1500, 0.1)


def test_the_teacher_of_the_backflip_is_noisy_and_mistaken() -> None:
    rational = 1 / (1 + math.exp(-2))
    assert_binomial(num_right(ask(TEACHERS["backflip"], COMPARED)), 3000, 0.9 * rational + 0.1 * (1 - rational))


def test_a_biased_teacher_names_its_side_unseen() -> None:
    choices = ask(TEACHERS["biased"], COMPARED)
    assert choices[::2] == ["left"] * 1500
    assert_binomial(choices[1::2].count("left"), 1500, 0.2)
    to_the_right = ask(TeacherConfig(side_bias=-0.3), COMPARED)
    assert to_the_right[1::2] == ["right"] * 1500
    assert_binomial(to_the_right[::2].count("right"), 1500, 0.3)
    assert set(ask(TeacherConfig(side_bias=1.0), COMPARED)) == {"left"}


# Returns of mean 50 above the worst, which is 0; a tenth of the mean is 5.
AROUND_FIVE = [(0, 1), (4, 4.9), (5.1, 3), (100, 94.9), (80, 78), (112, 117.1)]


@pytest.mark.parametrize("shift", [0, -1000])
def test_a_skipping_teacher_does_not_judge_two_failures(shift: float) -> None:
    pairs = [(left + shift, right + shift) for left, right in AROUND_FIVE]
    assert ask(TEACHERS["skipping"], pairs) == ["cant_tell", "cant_tell", "left", "left", "left", "right"]


@pytest.mark.parametrize("shift", [0, -1000])
def test_an_indifferent_teacher_finds_small_differences_equal(shift: float) -> None:
    pairs = [(left + shift, right + shift) for left, right in AROUND_FIVE]
    assert ask(TEACHERS["indifferent"], pairs) == ["equal", "equal", "equal", "left", "equal", "right"]


def test_a_myopic_teacher_looks_at_the_end() -> None:
    early, late = [10.0] + [0.0] * 9, [0.0] * 9 + [5.0]  # 10 * 0.9^9 = 3.87 < 5
    assert ask(TEACHERS["oracle"], [(early, late)]) == ["left"]
    assert ask(TEACHERS["myopic"], [(early, late)]) == ["right"]
    assert ask(TeacherConfig(gamma=0.93), [(early, late)]) == ["left"]  # 10 * 0.93^9 = 5.2


def test_a_slow_teacher_holds_answers_back() -> None:
    queries, segments = comparisons([(2, 1), (1, 2), (3, 1)])
    teacher = SimulatedTeacher(TeacherConfig(delay_steps=100), 0, "slow")
    teacher.ask(queries[:1], segments, step=10)
    teacher.ask(queries[1:], segments, step=50)
    assert teacher.ready(109) == []
    assert teacher.num_pending == 3
    first = teacher.ready(120)
    assert [(a.query_id, a.value["choice"], a.answered_step) for a in first] == [(queries[0].id, "left", 120)]
    assert teacher.ready(149) == []
    assert [answer.query_id for answer in teacher.ready(150)] == [query.id for query in queries[1:]]
    assert (teacher.ready(10**9), teacher.num_pending) == ([], 0)


def test_answers_fall_due_in_order_although_later_ones_were_asked_first() -> None:
    queries, segments = comparisons([(2, 1), (1, 2)])
    teacher = SimulatedTeacher(TEACHERS["oracle"], 0, "oracle")
    teacher.ask(queries[:1], segments, step=20)
    teacher.ask(queries[1:], segments, step=10)
    assert [answer.query_id for answer in teacher.ready(30)] == [queries[1].id, queries[0].id]


def test_asked_again_it_gives_the_same_answers_under_the_same_keys() -> None:
    queries, segments = comparisons([(place % 7, place % 5) for place in range(200)])
    config = TeacherConfig(beta=1.0, mistake=0.2, side_bias=0.1, delay_steps=30)

    def answers(*, crash: bool) -> list[Any]:
        teacher = SimulatedTeacher(config, 3, "noisy")
        teacher.ask(queries[:100], segments, step=0)
        given = teacher.ready(30)
        teacher.ask(queries[100:150], segments, step=40)
        if crash:
            saved = json.loads(json.dumps(teacher.state_dict()))
            teacher.ask(queries[150:], segments, step=50)
            teacher.ready(1000)
            teacher = SimulatedTeacher(config, 3, "noisy")
            teacher.load_state_dict(saved)
        teacher.ask(queries[150:], segments, step=50)
        return given + teacher.ready(79) + teacher.ready(80)

    once = answers(crash=False)
    assert answers(crash=True) == once
    assert len({answer.key for answer in once}) == len(once) == 200


def test_the_same_question_waits_once() -> None:
    queries, segments = comparisons([(2, 1)])
    teacher = SimulatedTeacher(TEACHERS["oracle"], 0, "oracle")
    teacher.ask(queries, segments, step=0)
    teacher.ask([*queries, *queries], segments, step=5)
    assert len(teacher.ready(5)) == 1
    teacher.ask([], {}, step=6)
    assert teacher.ready(6) == []


def test_answers_do_not_depend_on_the_order_of_asking_but_on_seed_and_name() -> None:
    queries, segments = comparisons([(place % 7, place % 5) for place in range(300)])

    def choices(order: list[Query], seed: int, name: str) -> dict[str, str]:
        teacher = SimulatedTeacher(TEACHERS["noisy"], seed, name)
        teacher.ask(order, segments, step=0)
        return {answer.query_id: answer.value["choice"] for answer in teacher.ready(0)}

    first = choices(queries, 0, "a")
    assert choices(queries[::-1], 0, "a") == first
    assert choices(queries, 1, "a") != first
    assert choices(queries, 0, "b") != first


def test_spread_and_mean_are_those_of_recent_segments() -> None:
    """With room for four segments, the fifth and sixth push the first two out."""
    config = TeacherConfig(beta=1.0, num_recent=4)
    teacher = SimulatedTeacher(config, 0, "noisy")
    queries, segments = comparisons([(1e6, -1e6), (0, 1), (0, 1), (1, 0)])
    teacher.ask(queries[:1], segments, step=0)
    teacher.ask(queries[1:], segments, step=0)
    assert [name for name, *_ in teacher.state_dict()["recent"]] == ["2-left", "2-right", "3-left", "3-right"]
    # Seen again, a segment counts once and is recent again.
    teacher.ask([make_query("again", "2-left", "3-right")], segments, step=0)
    assert [name for name, *_ in teacher.state_dict()["recent"]] == ["2-right", "3-left", "2-left", "3-right"]


def test_its_answers_go_into_the_store(store: Store) -> None:
    segments = {segment.id: segment for segment in map(make_segment, range(4))}
    ids = store.add_segments(list(segments.values()))
    queries = [make_query(0, ids[0], ids[1]), make_query(1, ids[2], ids[3])]
    store.add_queries(queries)
    store.add_annotator("oracle", "simulated")
    teacher = SimulatedTeacher(TEACHERS["oracle"], 0, "oracle")
    teacher.ask(queries, segments, step=7)
    answers = teacher.ready(7)
    positions = store.add_feedback(answers)
    expected = list(zip(positions, answers, strict=True))
    assert store.feedback_after(0, limit=9, up_to_step=7) == expected
    assert store.feedback_after(0, limit=9, up_to_step=6) == []


def test_presets_have_the_fault_that_they_are_named_after() -> None:
    assert set(TEACHERS) == {
        "oracle",
        "noisy",
        "mistaken",
        "skipping",
        "myopic",
        "indifferent",
        "slow",
        "biased",
        "backflip",
    }
    assert TEACHERS["oracle"] == TeacherConfig()
    assert TEACHERS["slow"].delay_steps > 0
    assert TEACHERS["backflip"] == TeacherConfig(beta=1.0, mistake=0.1)


def test_what_it_cannot_judge_is_refused() -> None:
    teacher = SimulatedTeacher(TEACHERS["oracle"], 0, "oracle")
    queries, segments = comparisons([(2, 1)])
    with pytest.raises(DataError, match="a simulated teacher answers comparisons, got a rating"):
        teacher.ask([make_query("r", "0-left", kind="rating")], segments, step=0)
    with pytest.raises(DataError, match="segment 0-right: a query shows it, but it was not handed"):
        teacher.ask(queries, {"0-left": segments["0-left"]}, step=0)
    blind = segments | {"0-right": make_segment(0, true_reward=None)}
    with pytest.raises(DataError, match="segment 0-right: it carries no true reward"):
        teacher.ask(queries, blind, step=0)
    assert teacher.state_dict() == {"recent": [], "pending": []}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": -1.0}, "TeacherConfig.beta must be >= 0"),
        ({"beta": math.nan}, "TeacherConfig.beta must be >= 0"),
        ({"gamma": 0.0}, "TeacherConfig.gamma must be > 0 and at most 1, got 0.0"),
        ({"gamma": 1.1}, "TeacherConfig.gamma"),
        ({"mistake": 1.1}, "TeacherConfig.mistake must be a probability"),
        ({"skip_threshold": -0.1}, "TeacherConfig.skip_threshold must be 0 to 1"),
        ({"equal_threshold": 2.0}, "TeacherConfig.equal_threshold must be 0 to 1"),
        ({"side_bias": -1.5}, "TeacherConfig.side_bias must be -1 to 1"),
        ({"delay_steps": -1}, "TeacherConfig.delay_steps must be >= 0"),
        ({"num_recent": 1}, "TeacherConfig.num_recent must be at least 2"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TeacherConfig(**settings)

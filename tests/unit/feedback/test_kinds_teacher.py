"""A simulated teacher of every kind: each likelihood at its stated rate, times as stated, the same answers again."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import FEEDBACK_KINDS, Feedback, FeedbackKind, Segment
from heeler.feedback.kinds import KINDS
from heeler.feedback.kinds_teacher import ActionReward, KindsTeacher, Question
from heeler.feedback.kinds_teacher_config import KindAnswers, KindsTeacherConfig
from heeler.feedback.rows import facts_of
from tests.unit.feedback.helpers import make_query, make_segment

STEP_S = 0.5


def segment_of(rewards: Sequence[float], name: int = 0) -> Segment:
    """A segment of which only the true rewards matter."""
    arrays = {name: np.zeros((len(rewards), 1), np.float32) for name in ("observation", "action", "next_observation")}
    return make_segment(name, **arrays, true_reward=np.array(rewards, np.float32))


def teacher_of(config: KindsTeacherConfig, action_reward: ActionReward | None = None, seed: int = 0) -> KindsTeacher:
    return KindsTeacher(config, seed, step_s=STEP_S, action_reward=action_reward)


def ask(
    teacher: KindsTeacher, kind: FeedbackKind, shown: Sequence[Sequence[Segment]], person: str = "simulated"
) -> list[Feedback]:
    """Answers to questions about these segments, in order."""
    questions: list[Question] = []
    segments: dict[str, Segment] = {}
    for place, some in enumerate(shown):
        used = some[:2] if kind == "preference" else some[:1]
        names = [f"{place}-{part}" for part in range(len(used))]
        segments |= dict(zip(names, used, strict=True))
        query = make_query(f"{kind} {place}", *names, kind=kind)
        questions.append(Question(query=query, person=person, alternatives=tuple(some[len(used) :])))
    teacher.ask(questions, segments, 0)
    answers = {answer.query_id: answer for answer in teacher.ready(10**9)}
    return [answers[question.query.id] for question in questions]


def exactly(**changes: Any) -> KindsTeacherConfig:
    """Without noise, but for what is changed."""
    sure = {kind: KindAnswers(beta=math.inf, seconds=4.0) for kind in FEEDBACK_KINDS}
    return KindsTeacherConfig(**({**sure, "cant_tell_below": 0.0} | changes))


def assert_share(count: int, num: int, probability: float) -> None:
    """Within 4.5 standard deviations; the seeds are fixed."""
    assert abs(count - num * probability) <= 4.5 * math.sqrt(num * probability * (1 - probability)) + 1e-9


# Each kind's likelihood


def test_the_better_clip_is_named_by_a_logit_of_the_difference_in_spreads() -> None:
    config = exactly(preference=KindAnswers(beta=1.5, seconds=4.0))
    pairs = [(segment_of([1.0]), segment_of([0.0]))] * 2000
    answers = ask(teacher_of(config), "preference", pairs)
    # Half of the clips return 1 and half 0: the spread is a half.
    assert_share(sum(a.value["choice"] == "left" for a in answers), 2000, 1 / (1 + math.exp(-1.5 * 2)))


def test_of_clips_that_are_alike_nobody_can_tell() -> None:
    pairs = [(segment_of([0.0]), segment_of([1.0])), (segment_of([0.50]), segment_of([0.52]))]
    choices = [a.value["choice"] for a in ask(teacher_of(exactly(cant_tell_below=0.1)), "preference", pairs)]
    assert choices == ["right", "cant_tell"]
    same = ask(teacher_of(exactly()), "preference", [(segment_of([1.0]), segment_of([1.0]))])
    assert same[0].value["choice"] == "cant_tell", "nor without a threshold, where there is no difference at all"


def test_ratings_pass_as_many_cuts_as_the_clip_is_good() -> None:
    """By hand: on a scale from 0 to 8 a clip of 2 lies at a quarter, above the cuts at .05 and .15 and below .25."""
    shown = [(segment_of([8.0, 8.0]),), (segment_of([0.0, 0.0]),), (segment_of([1.9, 1.9]),)]
    scores = [a.value for a in ask(teacher_of(exactly()), "rating", shown)]
    assert [value["score"] for value in scores] == [10.0, 0.0, 2.0]
    assert all((value["low"], value["high"]) == (0.0, 10.0) for value in scores)


def test_ratings_keep_to_the_cumulative_logit() -> None:
    """P(score > k) = sigmoid(4 beta (share - cut)), cut k lying at (k + 1/2) / 10."""
    config = exactly(rating=KindAnswers(beta=1.0, seconds=3.0))
    ends = [(segment_of([0.0]),), (segment_of([10.0]),)]
    answers = ask(teacher_of(config), "rating", [*ends, *[(segment_of([4.0], i + 9),) for i in range(2000)]])
    scores = np.array([answer.value["score"] for answer in answers[2:]])
    for k in (1, 4, 8):
        likely = 1 / (1 + math.exp(-4 * (0.4 - (k + 0.5) / 10)))
        assert_share(int((scores > k).sum()), 2000, likely)


def test_marks_come_late_and_say_what_the_step_was() -> None:
    rewards = [0.0, 0.0, 5.0, 0.0, 0.0, 0.0, -5.0, 0.0]
    (answer,) = ask(teacher_of(exactly(mark_every_s=2.0)), "evaluation", [(segment_of(rewards),)])
    first, second = answer.value["marks"]
    assert (first["sign"], second["sign"]) == (1, -1)
    for mark, step in ((first, 2), (second, 6)):
        assert 0.2 <= mark["time_s"] - (step + 0.5) * STEP_S <= 0.6


def test_a_clip_that_is_shown_slowly_has_marks_that_come_sooner_in_its_own_time() -> None:
    slow = KindsTeacher(exactly(mark_every_s=100.0), 0, step_s=STEP_S, speed=0.1)
    (answer,) = ask(slow, "evaluation", [(segment_of([0.0, 1.0, 0.0]),)])
    assert 0.02 <= answer.value["marks"][0]["time_s"] - 1.5 * STEP_S <= 0.06


def test_a_critique_is_of_the_part_that_stands_out() -> None:
    (good,) = ask(teacher_of(exactly()), "critique", [(segment_of([0, 0, 0, 0, 3, 3, 0, 0]),)])
    assert {name: good.value[name] for name in ("start", "end", "sign")} == {"start": 4, "end": 6, "sign": 1}
    (bad,) = ask(teacher_of(exactly()), "critique", [(segment_of([0, -2, -2, 0, 0, 0, 0, 0]),)])
    assert {name: bad.value[name] for name in ("start", "end", "sign")} == {"start": 1, "end": 3, "sign": -1}
    (none,) = ask(teacher_of(exactly(cant_tell_below=0.1)), "critique", [(segment_of([1.0] * 8),)])
    assert "sign" not in none.value


def test_corrections_are_picked_by_what_the_action_earns() -> None:
    def earns(seen_JO: np.ndarray, action_JA: np.ndarray) -> np.ndarray:
        return -np.abs(action_JA[:, 0] - 0.5)

    shown = segment_of([0.0, -4.0, 0.0])
    others = [make_segment(i, num_steps=1, action=np.full((1, 1), a, np.float32)) for i, a in enumerate((0.6, -1.0))]
    (answer,) = ask(teacher_of(exactly(), earns), "correction", [(shown, *others)])
    assert answer.value["step"] == 1, "the worst one"
    assert answer.value["action"] == pytest.approx([0.6])
    with pytest.raises(DataError, match="cannot correct where nobody knows what actions earn"):
        ask(teacher_of(exactly()), "correction", [(shown, *others)])


def test_demonstrations_are_picked_in_proportion_to_exp_of_the_return() -> None:
    config = exactly(demonstration=KindAnswers(beta=1.0, seconds=20.0))
    courses = [segment_of([float(value)], value) for value in (0, 1, 2)]
    spread = [(segment_of([2.0 * (i % 2)], 100 + i), courses[1], courses[2]) for i in range(2000)]
    answers = ask(teacher_of(config), "demonstration", spread)
    # What is shown returns 0 or 2: the spread is 1.
    picked = [answer.value["segment_id"] for answer in answers[::2]]
    weights = np.exp([0.0, 1.0, 2.0])
    assert_share(picked.count(courses[2].id), 1000, weights[2] / weights.sum())
    assert_share(picked.count(courses[1].id), 1000, weights[1] / weights.sum())


# Time, people, faults


@pytest.mark.parametrize("kind", ["preference", "rating", "critique"])
def test_answers_take_the_mean_time_that_is_stated(kind: FeedbackKind) -> None:
    config = KindsTeacherConfig(seconds_spread=0.5)
    shown = [(segment_of([0.0, float(i % 3)], i), segment_of([1.0, 0.5], i + 9999)) for i in range(1000)]
    seconds = np.array([answer.time_taken_s for answer in ask(teacher_of(config), kind, shown)], float)
    mean = config.of(kind).seconds
    assert seconds.mean() == pytest.approx(mean, rel=4.5 * 0.55 / math.sqrt(1000))
    assert np.log(seconds).std() == pytest.approx(0.5, rel=0.12)
    assert (seconds > 0).all()


def test_people_differ_in_how_fast_and_how_sure_they_are() -> None:
    config = KindsTeacherConfig(num_people=3, people_spread=0.5, seconds_spread=0.0)
    assert config.people == ("simulated-1", "simulated-2", "simulated-3")
    shown = [(segment_of([1.0]), segment_of([0.0]))]
    seconds = {name: ask(teacher_of(config), "preference", shown, name)[0].time_taken_s for name in config.people}
    assert len(set(seconds.values())) == 3


def test_who_cannot_judge_a_kind_says_so_or_answers_by_chance() -> None:
    config = exactly(cannot=("preference", "rating", "evaluation", "critique"))
    pairs = [(segment_of([1.0]), segment_of([0.0]))] * 1000
    choices = [a.value["choice"] for a in ask(teacher_of(config), "preference", pairs)]
    assert_share(choices.count("cant_tell"), 1000, 0.5)
    assert_share(choices.count("left"), 1000, 0.25)
    clips = [(segment_of([0.0, 1.0, 5.0, 0.0], i),) for i in range(1000)]
    assert all(a.value["marks"] == [] for a in ask(teacher_of(config), "evaluation", clips))
    scores = [a.value["score"] for a in ask(teacher_of(config), "rating", clips)]
    assert len(set(scores)) == 11
    signs = [a.value["sign"] for a in ask(teacher_of(config), "critique", clips)]
    assert_share(signs.count(1), 1000, 0.5)


@pytest.mark.parametrize("kind", FEEDBACK_KINDS)
def test_every_answer_is_one_that_the_store_takes(kind: FeedbackKind) -> None:
    rng = np.random.default_rng(0)
    shown = [[make_segment(10 * i + part, num_steps=8) for part in range(4)] for i in range(20)]
    alternatives = [[*some[:1], *(make_segment(900 + i, num_steps=1) for i in range(3))] for some in shown]
    some = alternatives if kind == "correction" else shown
    teacher = teacher_of(KindsTeacherConfig(), lambda seen, action: rng.normal(size=len(action)))
    for answer, segments in zip(ask(teacher, kind, some), some, strict=True):
        query = make_query("q", *(each.id for each in segments[: 2 if kind == "preference" else 1]), kind=kind)
        facts = {each.id: facts_of(each) for each in segments}
        assert KINDS[kind].validate(answer.value, query, facts) == answer.value


def test_a_restored_teacher_gives_the_answers_that_were_pending_and_the_same_later_ones() -> None:
    config = KindsTeacherConfig(delay_steps=100)
    rng = np.random.default_rng(0)
    segments = {f"{i}": segment_of(rng.normal(size=8).tolist(), i) for i in range(40)}
    names = list(segments)

    def questions(first: int) -> list[Question]:
        pairs = [Question(query=make_query(f"p{i}", names[i], names[i + 1]), person="simulated") for i in range(9)]
        rated = [make_query(f"r{first}{i}", names[first + i], kind="rating") for i in range(9)]
        return [*pairs, *(Question(query=query, person="simulated") for query in rated)]

    whole, begun = teacher_of(config), teacher_of(config)
    for teacher in (whole, begun):
        teacher.ask(questions(10), segments, 0)
    restored = teacher_of(config)
    restored.load_state_dict(json.loads(json.dumps(begun.state_dict(), allow_nan=False)))
    for teacher in (whole, restored):
        teacher.ask(questions(25), segments, 50)
    assert whole.ready(99) == restored.ready(99) == []
    first = whole.ready(100)
    assert first == restored.ready(100)
    assert len(first) == 18, "a comparison that waits is not asked twice"
    assert whole.ready(150) == restored.ready(150)
    assert whole.num_pending == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_people": 0}, "num_people must be >= 1, got 0"),
        ({"cant_tell_below": -1.0}, "cant_tell_below must be >= 0"),
        ({"most_delay_s": 0.1}, "most_delay_s must be at least least_delay_s"),
        ({"cannot": ("ratings",)}, "cannot must name kinds"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        KindsTeacherConfig(**changes)


def test_answers_of_no_time_or_less_than_chance_are_refused() -> None:
    with pytest.raises(ConfigError, match="seconds must be > 0 and finite, got 0"):
        KindAnswers(beta=1.0, seconds=0.0)
    with pytest.raises(ConfigError, match="beta must be >= 0"):
        KindAnswers(beta=math.nan, seconds=1.0)


def test_segments_without_a_true_reward_are_refused_by_name() -> None:
    query = make_query("q", "a", kind="rating")
    with pytest.raises(DataError, match="segment a: a query shows it, but it was not handed"):
        teacher_of(exactly()).ask([Question(query=query, person="simulated")], {}, 0)
    blind = make_segment(0, true_reward=None)
    with pytest.raises(DataError, match="segment a: a query shows it, but it carries no true reward"):
        teacher_of(exactly()).ask([Question(query=query, person="simulated")], {"a": blind}, 0)

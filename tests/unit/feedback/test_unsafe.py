"""What an answer says about safety, and a teacher that says it."""

import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Feedback
from heeler.feedback.kinds import KINDS
from heeler.feedback.unsafe import UNSAFE_KINDS, UnsafeTeacher, UnsafeTeacherConfig, says_unsafe, unsafe_value
from tests.unit.feedback.helpers import make_query


def answer(kind, value) -> Feedback:
    return Feedback(key="k", query_id="q", kind=kind, value=value, annotator="ann")


@pytest.mark.parametrize(
    ("kind", "value", "unsafe"),
    [
        ("evaluation", {"marks": []}, False),
        ("evaluation", {"marks": [{"time_s": 0.5, "sign": 1}]}, False),
        ("evaluation", {"marks": [{"time_s": 0.5, "sign": 1}, {"time_s": 0.9, "sign": -1}]}, True),
        ("rating", {"score": 2.0, "low": 1.0, "high": 5.0}, True),
        ("rating", {"score": 3.0, "low": 1.0, "high": 5.0}, False),
    ],
)
def test_what_answers_say(kind, value, unsafe):
    assert says_unsafe(answer(kind, value)) is unsafe


def test_other_kinds_say_nothing_of_it():
    with pytest.raises(DataError, match="'preference' does not say what is unsafe; ask for evaluation, rating"):
        says_unsafe(answer("preference", {"choice": "left"}))


@pytest.mark.parametrize("kind", UNSAFE_KINDS)
@pytest.mark.parametrize("unsafe", [True, False])
def test_the_teachers_answers_are_valid_and_say_what_it_means(kind, unsafe):
    value = KINDS[kind].validate(unsafe_value(kind, unsafe), make_query("q", "s", kind=kind), {})
    assert says_unsafe(answer(kind, value)) is unsafe


def asked(config: UnsafeTeacherConfig, truth: list[bool], seed: int = 0) -> list[bool]:
    teacher = UnsafeTeacher(config, seed, "watcher", "evaluation")
    queries = [make_query(number, f"s{number}", kind="evaluation") for number in range(len(truth))]
    teacher.ask(queries, truth, 0)
    said = {feedback.query_id: says_unsafe(feedback) for feedback in teacher.ready(0)}
    return [said[query.id] for query in queries]


def test_an_oracle_tells_the_truth_and_a_noisy_one_errs_as_often_as_it_is_told():
    truth = [number % 3 == 0 for number in range(2000)]
    assert asked(UnsafeTeacherConfig(cost="speed"), truth) == truth
    noisy = asked(UnsafeTeacherConfig(cost="speed", mistake=0.2), truth)
    wrong = sum(a != b for a, b in zip(noisy, truth, strict=True)) / len(truth)
    assert wrong == pytest.approx(0.2, abs=0.03)
    assert noisy == asked(UnsafeTeacherConfig(cost="speed", mistake=0.2), truth)
    assert noisy != asked(UnsafeTeacherConfig(cost="speed", mistake=0.2), truth, seed=1)


def test_answers_come_late_once_and_from_where_another_stood():
    config = UnsafeTeacherConfig(cost="speed", delay_steps=10)
    first = UnsafeTeacher(config, 0, "watcher", "rating")
    first.ask([make_query("a", "s", kind="rating")], [True], 5)
    assert first.ready(14) == []
    second = UnsafeTeacher(config, 0, "watcher", "rating")
    second.load_state_dict(first.state_dict())
    (given,) = second.ready(15)
    assert given == first.ready(15)[0]
    assert second.ready(16) == []


@pytest.mark.parametrize(("settings", "message"), [({"mistake": 1.5}, "probability"), ({"delay_steps": -1}, ">= 0")])
def test_faults_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        UnsafeTeacherConfig(cost="speed", **settings)

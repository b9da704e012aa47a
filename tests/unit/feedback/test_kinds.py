"""Every kind of feedback: what it takes, what it refuses, and what it shows."""

from typing import Any, get_args

import pytest

from heeler.core.errors import DataError
from heeler.core.nouns import FEEDBACK_KINDS, PREFERENCE_CHOICES, FeedbackKind
from heeler.feedback.action_bounds import ActionBounds
from heeler.feedback.form import MAX_TEXT_LENGTH, SegmentFacts
from heeler.feedback.kinds import KINDS
from heeler.feedback.text_files import MAX_COMPLETION
from tests.unit.feedback.helpers import make_query


def facts(**changes: Any) -> SegmentFacts:
    fields: dict[str, Any] = {"env_id": "Hopper", "trajectory_id": "train/env-0/episode-0", "num_steps": 10}
    fields |= {"observation_size": 3, "action_size": 2, "action_discrete": False}
    return SegmentFacts(**(fields | changes))


def text_facts(**changes: Any) -> SegmentFacts:
    none: dict[str, Any] = {"env_id": "text", "trajectory_id": "a/b", "observation_size": 0, "action_size": 0}
    return facts(**(none | changes))


SEGMENTS = {
    "shown": facts(),
    "discrete": facts(action_discrete=True),
    "bounded": facts(actions=ActionBounds(is_discrete=False, low=(-1.0, -1.0), high=(1.0, 1.0))),
    "choices": facts(action_discrete=True, actions=ActionBounds(is_discrete=True, low=(0, 0), high=(4, 1))),
    "other": facts(),
    "elsewhere": facts(env_id="Ant"),
    "text": text_facts(),
    "same prompt": text_facts(num_steps=3),
    "other prompt": text_facts(trajectory_id="a/c"),
    "nothing": text_facts(num_steps=0),
}


def validate(kind: FeedbackKind, value: Any, segment_id: str = "shown") -> dict[str, Any]:
    return KINDS[kind].validate(value, make_query("q", segment_id, kind=kind), SEGMENTS)


def test_there_is_a_form_for_every_kind() -> None:
    assert tuple(KINDS) == FEEDBACK_KINDS == get_args(FeedbackKind)
    assert {kind: form.num_segments for kind, form in KINDS.items()} == {
        "preference": 2,
        "rating": 1,
        "evaluation": 1,
        "critique": 1,
        "correction": 1,
        "demonstration": 1,
    }


def test_the_buttons_of_a_preference_are_its_choices() -> None:
    (control,) = KINDS["preference"].controls
    assert tuple(value for value, _ in control.choices) == PREFERENCE_CHOICES
    for choice in PREFERENCE_CHOICES:
        assert validate("preference", {control.field: choice}) == {"choice": choice}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("rating", {"score": 1, "low": 1, "high": 5}, {"score": 1.0, "low": 1.0, "high": 5.0}),
        ("rating", {"score": -0.5, "low": -1.0, "high": 0.0}, {"score": -0.5, "low": -1.0, "high": 0.0}),
        ("evaluation", {"marks": []}, {"marks": []}),
        (
            "evaluation",
            {"marks": [{"time_s": 0, "sign": -1}, {"sign": 1.0, "time_s": 0}]},
            {"marks": [{"time_s": 0.0, "sign": -1}, {"time_s": 0.0, "sign": 1}]},
        ),
        ("critique", {"text": "too slow", "start": 0, "end": 10}, {"text": "too slow", "start": 0, "end": 10}),
        ("critique", {"text": "x", "start": 9, "end": 10}, {"text": "x", "start": 9, "end": 10}),
        (
            "critique",
            {"text": "x", "start": 0, "end": 1, "sign": -1.0},
            {"text": "x", "start": 0, "end": 1, "sign": -1},
        ),
        ("correction", {"step": 9, "action": (1, -2)}, {"step": 9, "action": [1.0, -2.0]}),
        ("demonstration", {"segment_id": "other"}, {"segment_id": "other"}),
    ],
)
def test_a_good_value_comes_back_in_plain_types(kind: FeedbackKind, value: Any, expected: dict[str, Any]) -> None:
    found = validate(kind, value)
    assert found == expected
    assert repr(found) == repr(expected)  # 1 and 1.0 are equal, but not the same body


def test_a_better_action_is_one_of_the_world() -> None:
    assert validate("correction", {"step": 0, "action": [-1, 0.5]}, "bounded")["action"] == [-1.0, 0.5]
    assert validate("correction", {"step": 0, "action": [4, 1]}, "choices")["action"] == [4, 1]
    for segment, action in (("bounded", [0, 1e9]), ("choices", [4, 2])):
        with pytest.raises(DataError, match=rf"value.action\[1\]: expected -?\d to 1, got {action[1]}"):
            validate("correction", {"step": 0, "action": action}, segment)


def test_a_discrete_action_is_whole() -> None:
    assert validate("correction", {"step": 0, "action": [3, 0]}, "discrete") == {"step": 0, "action": [3, 0]}
    for action in ([3.0, 0], [-1, 0], [True, 0]):
        with pytest.raises(DataError, match=r"value.action\[0\]"):
            validate("correction", {"step": 0, "action": action}, "discrete")


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (
            "preference",
            {"choice": None},
            "value.choice: expected one of 'left', 'right', 'equal', 'cant_tell', got None",
        ),
        ("preference", {"choice": "left", "text": "!"}, "value.text: unknown field"),
        ("preference", ["left"], "value: expected an object with 'choice', got"),
        ("rating", {"score": 6, "low": 1, "high": 5}, "value.score: expected 1 to 5, got 6"),
        ("rating", {"score": 1, "low": 1, "high": 1}, "value.high: expected more than low"),
        ("rating", {"score": float("nan"), "low": 1, "high": 5}, "value.score: expected a finite number, got nan"),
        ("rating", {"score": "3", "low": 1, "high": 5}, "value.score: expected a finite number, got '3'"),
        ("rating", {"score": True, "low": 0, "high": 5}, "value.score: expected a finite number, got True"),
        ("rating", {"score": 3}, "value.low: missing"),
        ("evaluation", {"marks": {}}, "value.marks: expected a list"),
        ("evaluation", {"marks": [{"time_s": 0, "sign": 1}] * 10_001}, "value.marks: expected a list of at most 10000"),
        ("evaluation", {"marks": [{"time_s": 0}]}, r"value.marks\[0\]: expected an object"),
        ("evaluation", {"marks": ["good"]}, r"value.marks\[0\]: expected an object"),
        ("evaluation", {"marks": [{"time_s": 0, "sign": 0}]}, r"value.marks\[0\].sign: expected -1 or 1, got 0"),
        ("evaluation", {"marks": [{"time_s": 0, "sign": True}]}, r"value.marks\[0\].sign: expected -1 or 1, got True"),
        ("evaluation", {"marks": [{"time_s": -1, "sign": 1}]}, r"value.marks\[0\].time_s: expected at least 0"),
        (
            "evaluation",
            {"marks": [{"time_s": 2, "sign": 1}, {"time_s": 1, "sign": 1}]},
            r"value.marks\[1\].time_s: expected at least 2, got 1",
        ),
        ("critique", {"text": " ", "start": 0, "end": 1}, "value.text: expected some text, got ' '"),
        ("critique", {"text": 3, "start": 0, "end": 1}, "value.text: expected some text, got 3"),
        ("critique", {"text": "x" * (MAX_TEXT_LENGTH + 1), "start": 0, "end": 1}, "value.text: expected at most 20000"),
        ("critique", {"text": "x", "start": 0, "end": 11}, "value.end: expected 1 to 10, got 11"),
        ("critique", {"text": "x", "start": 5, "end": 5}, "value.end: expected 6 to 10, got 5"),
        ("critique", {"text": "x", "start": -1, "end": 5}, "value.start: expected 0 to 9, got -1"),
        ("critique", {"text": "x", "start": 0.0, "end": 5}, "value.start: expected a whole number, got 0.0"),
        ("critique", {"text": "x", "start": 0, "end": 1, "sign": 0}, "value.sign: expected -1 or 1, got 0"),
        ("critique", {"text": "x", "start": 0, "end": 1, "sign": True}, "value.sign: expected -1 or 1, got True"),
        ("critique", {"text": "x", "start": 0, "end": 1, "sing": 1}, "value.sing: unknown field; .* 'sign'"),
        ("correction", {"step": 10, "action": [0, 0]}, "value.step: expected 0 to 9, got 10"),
        ("correction", {"step": 0, "action": [0]}, "value.action: expected a list of 2 numbers"),
        ("correction", {"step": 0, "action": "up"}, "value.action: expected a list of 2 numbers"),
        ("correction", {"step": 0, "action": [0, None]}, r"value.action\[1\]: expected a finite number"),
        ("correction", {"step": 0, "text": "x"}, "value.text: the segment is no text; correct it by a step"),
        ("correction", {"text": "better"}, "value.text: the segment is no text"),
        ("correction", 3, "value: expected an object with 'step', 'action'"),
        ("correction", {}, "value.step: missing"),
        ("demonstration", {"segment_id": "gone"}, "value.segment_id: no segment 'gone'"),
        ("demonstration", {"segment_id": "elsewhere"}, "value.segment_id: expected a segment of 'Hopper'"),
        (
            "demonstration",
            {"segment_id": "text"},
            "value.segment_id: expected a segment of 'Hopper', got one of 'text'",
        ),
    ],
)
def test_a_bad_value_is_refused_by_field(kind: FeedbackKind, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        validate(kind, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("rating", {"score": 1.0, "low": 1.0, "high": 5.0}),
        ("critique", {"text": "rude", "start": 9, "end": 10}),
        ("correction", {"text": "a kinder answer"}),
        ("correction", {"text": "x" * MAX_COMPLETION}),
        ("demonstration", {"segment_id": "same prompt"}),
    ],
)
def test_a_text_is_judged_marked_edited_and_written_anew(kind: FeedbackKind, value: dict[str, Any]) -> None:
    assert validate(kind, value, "text") == value


@pytest.mark.parametrize(
    ("kind", "value", "segment_id", "message"),
    [
        ("critique", {"text": "rude", "start": 0, "end": 11}, "text", "value.end: expected 1 to 10, got 11"),
        ("critique", {"text": "rude", "start": 0, "end": 0}, "nothing", "value.start: the completion is empty"),
        ("correction", {"step": 0, "action": []}, "text", "value.action: the segment is a text; .* as value.text"),
        ("correction", {"text": "x", "step": 0}, "text", "value.action: the segment is a text"),
        ("correction", {"text": " "}, "text", "value.text: expected some text"),
        ("correction", {"text": "x" * (MAX_COMPLETION + 1)}, "text", "value.text: expected at most 100000"),
        ("correction", {}, "text", "value.text: missing"),
        ("correction", None, "text", "value: expected an object with 'text'"),
        ("demonstration", {"segment_id": "other prompt"}, "text", "value.segment_id: a completion of another prompt"),
        ("demonstration", {"segment_id": "shown"}, "text", "value.segment_id: expected a segment of 'text'"),
    ],
)
def test_a_bad_value_of_a_text_is_refused_by_field(
    kind: FeedbackKind, value: Any, segment_id: str, message: str
) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        validate(kind, value, segment_id)

"""What each kind of answer teaches: a pair, or nothing."""

from typing import Any

import pytest

from heeler.core.nouns import Feedback, FeedbackKind, Message, Query, TextSegment
from heeler.feedback.datasets.said import Said
from heeler.loop.language.answers import pair_of

PROMPT = (Message(role="user", content="hello?"),)
LEFT, RIGHT = (TextSegment(prompt=PROMPT, completion=text, policy_version=1) for text in ("left", "right"))


def said(kind: FeedbackKind, value: dict[str, Any], *texts: TextSegment) -> Said:
    texts = texts or (LEFT,)
    query = Query(id="q", kind=kind, segment_ids=tuple(text.id for text in texts), policy_version=1, asked_step=0)
    feedback = Feedback(key="k", query_id="q", kind=kind, value=value, annotator="ann")
    return Said(position=7, feedback=feedback, query=query, texts=texts)


def other(prompt: tuple[Message, ...], number: int) -> str:
    assert (prompt, number) == (PROMPT, 7), "the draw is named by the answer's position"
    return "other"


MARKS = {"marks": [{"time_s": 0.0, "sign": 1}, {"time_s": 0.0, "sign": 1}, {"time_s": 0.0, "sign": -1}]}


@pytest.mark.parametrize(
    ("one", "chosen", "rejected"),
    [
        (said("preference", {"choice": "left"}, LEFT, RIGHT), "left", "right"),
        (said("preference", {"choice": "right"}, LEFT, RIGHT), "right", "left"),
        (said("correction", {"text": "better"}), "better", "left"),
        (said("evaluation", {"marks": [{"time_s": 0.0, "sign": -1}]}), "other", "left"),
        (said("evaluation", MARKS), "left", "other"),
        (said("rating", {"score": 5, "low": 1, "high": 5}), "left", "other"),
        (said("rating", {"score": 2, "low": 1, "high": 5}), "other", "left"),
        (said("critique", {"text": "too long", "start": 0, "end": 4}), "other", "left"),
    ],
)
def test_an_answer_is_a_pair(one: Said, chosen: str, rejected: str) -> None:
    pair = pair_of(one, other)
    assert pair is not None
    assert (pair.chosen, pair.rejected, pair.is_equal) == (chosen, rejected, False)
    assert (pair.prompt, pair.annotator, pair.group) == (PROMPT, "ann", one.feedback.kind)
    assert "7" in pair.place


def test_equal_answers_are_a_pair_of_equals() -> None:
    pair = pair_of(said("preference", {"choice": "equal"}, LEFT, RIGHT), other)
    assert pair is not None and pair.is_equal


@pytest.mark.parametrize(
    "one",
    [
        said("preference", {"choice": "cant_tell"}, LEFT, RIGHT),
        said("preference", {"choice": "left"}, LEFT, LEFT),
        said("rating", {"score": 3, "low": 1, "high": 5}),
        said("evaluation", {"marks": []}),
        said("correction", {"text": "left"}),
        said("demonstration", {"segment_id": "x"}),
    ],
)
def test_what_tells_nothing_is_left_out(one: Said) -> None:
    assert pair_of(one, other) is None


def test_an_alternative_that_says_the_same_tells_nothing() -> None:
    assert pair_of(said("critique", {"text": "no", "start": 0, "end": 1}), lambda prompt, number: "left") is None

"""Answers about texts in the words of other programs: what their questions and tags are called, and what good is."""

from collections.abc import Mapping
from typing import Any, cast

from heeler.core.errors import DataError
from heeler.core.nouns import FeedbackKind, Message
from heeler.feedback.form import check_number

_CORRECTIONS = ("correction", "corrected", "corrected_text", "edit", "edited", "rewrite", "rewritten", "improved")
_DEMONSTRATIONS = ("demonstration", "ideal", "gold", "reference", "better_answer", "response", "answer", "completion")
_CRITIQUES = ("critique", "criticism", "comment", "comments", "feedback", "explanation", "reason", "rationale")
_GOOD = ("good", "positive", "yes", "thumbs_up", "correct", "helpful", "accept", "accepted")
_BAD = ("bad", "negative", "no", "thumbs_down", "incorrect", "unhelpful", "reject", "rejected")
NEITHER = "neither"


def kind_of_text(name: str) -> FeedbackKind | None:
    """What somebody wrote under this name: a correction, a demonstration or a critique; None where none is meant."""
    word = _word(name)
    kinds: tuple[tuple[tuple[str, ...], FeedbackKind], ...] = (
        (_CORRECTIONS, "correction"),
        (_DEMONSTRATIONS, "demonstration"),
        (_CRITIQUES, "critique"),
    )
    return next((kind for words, kind in kinds if word in words), None)


def part_label(value: Mapping[str, Any]) -> str:
    """What the marked part of a critique is called: `good`, `bad`, or `part` where nobody said which."""
    return {1: "good", -1: "bad"}.get(value.get("sign", 0), "part")


def sign_of_label(labels: object) -> dict[str, Any]:
    """The sign that the label of a marked part gives a critique; nothing where it is none of `good` and `bad`."""
    names = cast(list[Any], labels) if isinstance(labels, list) else []
    return {"sign": {"good": 1, "bad": -1}[names[0]]} if len(names) == 1 and names[0] in ("good", "bad") else {}


def evaluation_word(value: Mapping[str, Any]) -> str:
    """`good`, `bad` or `neither`, whichever most marks say."""
    total = sum(mark["sign"] for mark in value["marks"])
    return "good" if total > 0 else "bad" if total < 0 else NEITHER


def evaluation_of(word: object) -> dict[str, Any] | None:
    """The evaluation that a word says: one mark at once, or none; None where it says nothing of the kind."""
    if not isinstance(word, str):
        return None
    if _word(word) == NEITHER:
        return {"marks": []}
    sign = 1 if _word(word) in _GOOD else -1 if _word(word) in _BAD else None
    return None if sign is None else {"marks": [{"time_s": 0.0, "sign": sign}]}


def rating_of(
    score: object, fields: Mapping[str, Any], scale: tuple[float, float] | None, place: str, field: str
) -> dict[str, Any]:
    """A rating on the scale that the task gives as `rating_low` and `rating_high`, or else on `scale`.

    Raises:
        DataError: there is no scale, or the score is no number on it.
    """
    ends = [fields.get(f"rating_{end}") for end in ("low", "high")]
    if None in ends and scale is None:
        missing = "rating_low" if ends[0] is None else "rating_high"
        raise DataError(
            f"{place}.{missing}: missing; a rating needs the ends of its scale; give the file's with --scale"
        )
    low, high = (check_number(end, f"{place}.rating") for end in (scale if None in ends and scale else ends))
    number = check_number(score, field)
    if not low <= number <= high:
        raise DataError(
            f"{field}: expected {low:g} to {high:g}, got {number:g}; put the scale into the tasks as "
            f"{place}.rating_low and {place}.rating_high, or give the file's with --scale, where it is another"
        )
    return {"score": number, "low": low, "high": high}


def prompt_text(prompt: tuple[Message, ...], is_chat: bool) -> str:
    """A prompt as one text for people to read: a paragraph for each message, with its role before it."""
    return "\n\n".join(f"{message.role}: {message.content}" if is_chat else message.content for message in prompt)


def _word(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")

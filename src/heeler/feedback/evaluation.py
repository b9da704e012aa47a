"""Evaluation: good and bad marks given while the agent acts, each at its moment."""

from collections.abc import Mapping
from typing import Any, cast

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.form import Control, Form, SegmentFacts, check_fields, check_number, check_sign

MAX_MARKS = 10_000


def validate(value: Mapping[str, Any], query: Query, segments: Mapping[str, SegmentFacts]) -> dict[str, Any]:
    """{"marks": [{"time_s": float, "sign": -1 | 1}, ...]}, times from the segment's start and never going back.

    No marks at all is an answer too: somebody watched and said nothing.

    Raises:
        DataError: marks are no list, a sign is not -1 or 1, or a time is negative, not finite or before the last one.
    """
    marks = check_fields(value, ["marks"])["marks"]
    if not isinstance(marks, list | tuple) or len(cast(list[Any], marks)) > MAX_MARKS:
        raise DataError(f"value.marks: expected a list of at most {MAX_MARKS} marks, got {marks!r:.80}")
    checked: list[dict[str, Any]] = []
    earliest_s = 0.0
    for index, mark in enumerate(cast(list[Any], marks)):
        earliest_s, sign = _mark(mark, f"value.marks[{index}]", earliest_s)
        checked.append({"time_s": earliest_s, "sign": sign})
    return {"marks": checked}


def _mark(mark: object, field: str, earliest_s: float) -> tuple[float, int]:
    if not isinstance(mark, Mapping) or set(cast(Mapping[Any, Any], mark)) != {"time_s", "sign"}:
        raise DataError(f"{field}: expected an object with 'time_s', 'sign', got {mark!r}")
    fields = cast(Mapping[Any, Any], mark)
    sign = check_sign(fields["sign"], f"{field}.sign")
    return check_number(fields["time_s"], f"{field}.time_s", low=earliest_s), sign


FORM = Form(
    kind="evaluation",
    num_segments=1,
    question="Say good or bad while you watch.",
    controls=(Control(field="marks", label="Good or bad", input="marks", choices=(("1", "Good"), ("-1", "Bad"))),),
    validate=validate,
)

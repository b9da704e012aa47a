"""Rating: how good one segment is, on a scale whose ends are stated with every answer."""

from collections.abc import Mapping
from typing import Any

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.form import Control, Form, SegmentFacts, check_fields, check_number


def validate(value: Mapping[str, Any], query: Query, segments: Mapping[str, SegmentFacts]) -> dict[str, Any]:
    """{"score": float, "low": float, "high": float} with low < high and low <= score <= high.

    Raises:
        DataError: a number is missing, not finite, or the score lies outside its scale.
    """
    fields = check_fields(value, ["score", "low", "high"])
    low, high = check_number(fields["low"], "value.low"), check_number(fields["high"], "value.high")
    if low >= high:
        raise DataError(f"value.high: expected more than low ({low:g}), got {high:g}")
    return {"score": check_number(fields["score"], "value.score", low=low, high=high), "low": low, "high": high}


FORM = Form(
    kind="rating",
    num_segments=1,
    question="How good is this?",
    controls=(Control(field="score", label="Score", input="number"),),
    validate=validate,
)

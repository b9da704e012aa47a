"""Demonstration: a segment in which somebody shows how it is done."""

from collections.abc import Mapping
from typing import Any

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.form import Control, Form, SegmentFacts, check_fields, check_text


def validate(value: Mapping[str, Any], query: Query, segments: Mapping[str, SegmentFacts]) -> dict[str, Any]:
    """{"segment_id": str}: a stored segment of the same environment as the query's; of texts, of the same prompt.

    Raises:
        DataError: the segment is not in the store, or was made in another environment or to another prompt.
    """
    segment_id = check_text(check_fields(value, ["segment_id"])["segment_id"], "value.segment_id")
    if segment_id not in segments:
        raise DataError(f"value.segment_id: no segment {segment_id!r} in the store; add it before the demonstration")
    shown, expected = segments[segment_id].env_id, segments[query.segment_ids[0]].env_id
    if shown != expected:
        raise DataError(f"value.segment_id: expected a segment of {expected!r}, got one of {shown!r}")
    prompt = segments[query.segment_ids[0]].trajectory_id
    if segments[segment_id].is_text and segments[segment_id].trajectory_id != prompt:
        raise DataError(
            "value.segment_id: a completion of another prompt than the query's; show one of the same prompt"
        )
    return {"segment_id": segment_id}


FORM = Form(
    kind="demonstration",
    num_segments=1,
    question="Show how it is done.",
    controls=(Control(field="segment_id", label="Your demonstration", input="segment"),),
    validate=validate,
)

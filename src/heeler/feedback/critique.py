"""Critique: words about a part of one segment."""

from collections.abc import Mapping
from typing import Any

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.form import Control, Form, SegmentFacts, check_fields, check_text, check_whole


def validate(value: Mapping[str, Any], query: Query, segments: Mapping[str, SegmentFacts]) -> dict[str, Any]:
    """{"text": str, "start": int, "end": int}: what is said of steps start to end of the segment, end excluded.

    Of a text, start and end count the characters (Unicode code points) of its completion.

    Raises:
        DataError: the text is blank, or the part is empty or not within the segment.
    """
    fields = check_fields(value, ["text", "start", "end"])
    num_steps = segments[query.segment_ids[0]].num_steps
    if num_steps == 0:
        raise DataError("value.start: the completion is empty, so that no part of it can be marked")
    start = check_whole(fields["start"], "value.start", low=0, high=num_steps - 1)
    end = check_whole(fields["end"], "value.end", low=start + 1, high=num_steps)
    return {"text": check_text(fields["text"], "value.text"), "start": start, "end": end}


FORM = Form(
    kind="critique",
    num_segments=1,
    question="What is good or bad about the marked part?",
    controls=(
        Control(field="start", label="From", input="steps"),
        Control(field="end", label="To", input="steps"),
        Control(field="text", label="Your words", input="text"),
    ),
    validate=validate,
)

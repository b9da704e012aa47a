"""Critique: words about a part of one segment."""

from collections.abc import Mapping
from typing import Any

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.form import Control, Form, SegmentFacts, check_fields, check_sign, check_text, check_whole


def validate(value: Mapping[str, Any], query: Query, segments: Mapping[str, SegmentFacts]) -> dict[str, Any]:
    """{"text": str, "start": int, "end": int, "sign": -1 | 1}: what is said of steps start to end of the segment, end
    excluded, and whether that part is bad or good.

    Without a sign it says nothing to a reward of steps, which understands no words.

    Of a text, start and end count the characters (Unicode code points) of its completion.

    Raises:
        DataError: the text is blank, the part is empty or not within the segment, or the sign is neither -1 nor 1.
    """
    fields = check_fields(value, ["text", "start", "end"], optional=["sign"])
    num_steps = segments[query.segment_ids[0]].num_steps
    if num_steps == 0:
        raise DataError("value.start: the completion is empty, so that no part of it can be marked")
    start = check_whole(fields["start"], "value.start", low=0, high=num_steps - 1)
    end = check_whole(fields["end"], "value.end", low=start + 1, high=num_steps)
    checked = {"text": check_text(fields["text"], "value.text"), "start": start, "end": end}
    return checked | ({"sign": check_sign(fields["sign"], "value.sign")} if "sign" in fields else {})


FORM = Form(
    kind="critique",
    num_segments=1,
    question="What is good or bad about the marked part?",
    controls=(
        Control(field="start", label="From", input="steps"),
        Control(field="end", label="To", input="steps"),
        Control(field="sign", label="This part is", input="sign", choices=(("1", "Good"), ("-1", "Bad"))),
        Control(field="text", label="Your words", input="text"),
    ),
    validate=validate,
)

"""Correction: a better action at one step of a segment, or a better text."""

from collections.abc import Mapping
from typing import Any, cast

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.form import Control, Form, SegmentFacts, check_fields, check_number, check_text, check_whole


def validate(value: Mapping[str, Any], query: Query, segments: Mapping[str, SegmentFacts]) -> dict[str, Any]:
    """{"step": int, "action": [A numbers, whole where actions are discrete]} or {"text": str}.

    Raises:
        DataError: the step is not within the segment, or the action has another size or type than the segment's.
    """
    if "text" in value:
        return {"text": check_text(check_fields(value, ["text"])["text"], "value.text")}
    fields = check_fields(value, ["step", "action"])
    segment = segments[query.segment_ids[0]]
    step = check_whole(fields["step"], "value.step", low=0, high=segment.num_steps - 1)
    return {"step": step, "action": _action(fields["action"], segment)}


def _action(action: object, segment: SegmentFacts) -> list[float] | list[int]:
    size = segment.action_size
    if not isinstance(action, list | tuple) or len(cast(list[Any], action)) != size:
        raise DataError(f"value.action: expected a list of {size} numbers, got {action!r:.80}")
    numbers = list(enumerate(cast(list[Any], action)))
    if segment.action_discrete:
        return [check_whole(number, f"value.action[{index}]", low=0) for index, number in numbers]
    return [check_number(number, f"value.action[{index}]") for index, number in numbers]


FORM = Form(
    kind="correction",
    num_segments=1,
    question="What should it have done instead?",
    controls=(
        Control(field="step", label="At", input="steps"),
        Control(field="action", label="Better action", input="action"),
        Control(field="text", label="Better text", input="text"),
    ),
    validate=validate,
)

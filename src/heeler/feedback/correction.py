"""Correction: a better action at one step of a segment, or a better text in place of a completion."""

from collections.abc import Mapping
from typing import Any, cast

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.form import Control, Form, SegmentFacts, check_fields, check_number, check_text, check_whole
from heeler.feedback.text_files import MAX_COMPLETION


def validate(value: Mapping[str, Any], query: Query, segments: Mapping[str, SegmentFacts]) -> dict[str, Any]:
    """{"text": str}, the whole completion as it should be, of a text; of any other segment {"step": int, "action": [A
    numbers, whole where actions are discrete]}.

    Raises:
        DataError: the text is blank or too long; or the step is not within the segment, or the action has another size
            or type than the segment's, or is none of its world's; or a text is to be corrected by an action, or the
            other way round.
    """
    segment = segments[query.segment_ids[0]]
    # What is no mapping at all is refused by check_fields.
    names = set(value) if isinstance(cast(object, value), Mapping) else set[str]()
    if segment.is_text:
        if names & {"step", "action"}:
            raise DataError("value.action: the segment is a text; correct it by the better text, as value.text")
        text = check_fields(value, ["text"])["text"]
        return {"text": check_text(text, "value.text", max_length=MAX_COMPLETION)}
    if "text" in names:
        raise DataError("value.text: the segment is no text; correct it by a step and a better action")
    fields = check_fields(value, ["step", "action"])
    step = check_whole(fields["step"], "value.step", low=0, high=segment.num_steps - 1)
    return {"step": step, "action": _action(fields["action"], segment)}


def _action(action: object, segment: SegmentFacts) -> list[float] | list[int]:
    size = segment.action_size
    if not isinstance(action, list | tuple) or len(cast(list[Any], action)) != size:
        raise DataError(f"value.action: expected a list of {size} numbers, got {action!r:.80}")
    numbers = list(enumerate(cast(list[Any], action)))
    if segment.action_discrete:
        checked = [check_whole(number, f"value.action[{index}]", low=0) for index, number in numbers]
    else:
        checked = [check_number(number, f"value.action[{index}]") for index, number in numbers]
    if segment.actions is not None:
        segment.actions.check(checked, "value.action")
    return checked


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

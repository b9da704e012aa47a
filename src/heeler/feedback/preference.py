"""Preference: which of two segments is better."""

from collections.abc import Mapping
from typing import Any

from heeler.core.errors import DataError, did_you_mean
from heeler.core.nouns import PREFERENCE_CHOICES, Query
from heeler.feedback.form import Control, Form, SegmentFacts, check_fields


def validate(value: Mapping[str, Any], query: Query, segments: Mapping[str, SegmentFacts]) -> dict[str, Any]:
    """{"choice": "left" | "right" | "equal" | "cant_tell"}.

    Raises:
        DataError: the choice is none of the four.
    """
    choice = check_fields(value, ["choice"])["choice"]
    if choice not in PREFERENCE_CHOICES:
        expected = ", ".join(repr(known) for known in PREFERENCE_CHOICES)
        hint = did_you_mean(str(choice), PREFERENCE_CHOICES)
        raise DataError(f"value.choice: expected one of {expected}, got {choice!r}.{hint}")
    return {"choice": str(choice)}


FORM = Form(
    kind="preference",
    num_segments=2,
    question="Which of the two does it better?",
    controls=(
        Control(
            field="choice",
            label="Your choice",
            input="choice",
            choices=(
                ("left", "Left is better"),
                ("right", "Right is better"),
                ("equal", "Equally good"),
                ("cant_tell", "I cannot tell"),
            ),
        ),
    ),
    validate=validate,
)

"""What an answer of one kind looks like: the question put to people, its controls, and how its value is checked."""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard, cast

from heeler.core.errors import DataError, did_you_mean
from heeler.core.nouns import TEXT, FeedbackKind, Query
from heeler.feedback.action_bounds import ActionBounds

MAX_TEXT_LENGTH = 20_000
"""Characters of what somebody writes, but for a text in the place of another."""


@dataclass(frozen=True, kw_only=True)
class SegmentFacts:
    """What checking an answer needs to know about a segment, without reading its file."""

    env_id: str
    trajectory_id: str
    """The episode, or the prompt."""
    num_steps: int
    """Of a text, the characters of its completion."""
    observation_size: int
    action_size: int
    action_discrete: bool
    actions: ActionBounds | None = None
    """Of its world; None of a text, and where no learner has told the store."""

    @property
    def is_text(self) -> bool:
        """Whether it is a prompt with its completion."""
        return self.env_id == TEXT


@dataclass(frozen=True, kw_only=True)
class Control:
    """One thing on the screen with which a person fills a field of the value."""

    field: str
    """Field of `Feedback.value` that it fills."""
    label: str
    input: Literal["choice", "number", "text", "steps", "marks", "action", "segment", "sign"]
    choices: tuple[tuple[str, str], ...] = ()
    """(value, label) of each button, for `choice`, `marks` and `sign`; of a sign none may be chosen."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One kind of feedback."""

    kind: FeedbackKind
    num_segments: int
    """Segments that a query of this kind shows."""
    question: str
    controls: tuple[Control, ...]
    validate: Callable[[Mapping[str, Any], Query, Mapping[str, SegmentFacts]], dict[str, Any]]
    """(value, query, facts of segments by id) -> the value in plain JSON types; raises DataError naming the field."""


def check_fields(value: object, required: Sequence[str], optional: Sequence[str] = ()) -> Mapping[str, Any]:
    """`value` itself, once it is a mapping with the fields `required`, and no others but those that are `optional`.

    Raises:
        DataError: it is no mapping, lacks a field, or has one that is not known.
    """
    if not isinstance(value, Mapping):
        raise DataError(f"value: expected an object with {_listed(required)}, got {value!r}")
    fields = cast(Mapping[Any, Any], value)
    for name in fields:
        if name not in required and name not in optional:
            hint = did_you_mean(str(name), [*required, *optional])
            raise DataError(f"value.{name}: unknown field; expected {_listed([*required, *optional])}.{hint}")
    for name in required:
        if name not in fields:
            raise DataError(f"value.{name}: missing; expected an object with {_listed(required)}")
    return fields


def check_number(value: object, field: str, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite float in [low, high].

    Raises:
        DataError: it is no number (a bool is none), not finite, or out of range.
    """
    if not _is_real(value) or not _is_finite(value):
        raise DataError(f"{field}: expected a finite number, got {value!r:.80}")
    if not low <= float(value) <= high:
        raise DataError(f"{field}: expected {_range(low, high)}, got {value!r}")
    return float(value)


def _is_real(value: object) -> TypeGuard[numbers.Real | float]:
    # Most are floats, and an abstract type takes ten times as long to look up.
    return isinstance(value, float) or (not isinstance(value, bool) and isinstance(value, numbers.Real))


def _is_finite(value: numbers.Real | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        # A whole number of more than 308 digits.
        return False


def check_sign(value: object, field: str) -> int:
    """-1 or 1.

    Raises:
        DataError: it is neither (a bool is none).
    """
    if isinstance(value, bool) or value not in (-1, 1):
        raise DataError(f"{field}: expected -1 or 1, got {value!r:.80}")
    return 1 if value == 1 else -1


def check_whole(value: object, field: str, *, low: float = -math.inf, high: float = math.inf) -> int:
    """An integer in [low, high].

    Raises:
        DataError: it is no whole number (a bool is none) or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise DataError(f"{field}: expected a whole number, got {value!r}")
    if not low <= int(value) <= high:
        raise DataError(f"{field}: expected {_range(low, high)}, got {value!r}")
    return int(value)


def check_text(value: object, field: str, *, max_length: int = MAX_TEXT_LENGTH) -> str:
    """Text that is not blank, at most `max_length` characters.

    Raises:
        DataError: it is none.
    """
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{field}: expected some text, got {value!r}")
    if len(value) > max_length:
        raise DataError(f"{field}: expected at most {max_length} characters, got {len(value)}")
    return value


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"at least {low:g}"
    return f"at most {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"

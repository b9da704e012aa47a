"""What files of feedback hold, and how each thing in one is checked and named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from heeler.core.errors import DataError, did_you_mean
from heeler.core.nouns import AnySegment, Feedback, PolicyVersion, Query, TextSegment
from heeler.feedback.bulk import Annotator

MAX_NAME_LENGTH = 200
"""Characters of an annotator's id."""

ANNOTATOR_KINDS = ("person", "simulated", "program")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer of a file."""

    feedback: Feedback
    """Its key is empty where the file has none."""
    received_unix_s: float | None = None
    """When the store that it comes from took it in; None for now."""
    is_whole: bool = True
    """Whether the file holds all of it. Of one that is not whole, the query, annotator and value make the answer: it is
    the one that is there already with the same three, whatever its key, time and confidence."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """Something in a file that is no answer and is passed over."""

    what: str
    """In the plural, such as `skipped annotations`."""


TextItem = PolicyVersion | Annotator | TextSegment | Query | Answer | Left
"""What a row or task about texts brings."""


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One thing of a file, and where it stands."""

    place: str
    """Such as `line 3` or `record 2, annotations[0]`."""
    item: PolicyVersion | Annotator | AnySegment | Query | Answer | Left


def check_fields(value: object, field: str, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """`value` itself, once it is an object with the required fields and no others than the optional ones.

    Raises:
        DataError: it is none; names the field.
    """
    fields = check_object(value, field)
    known = [*required, *optional]
    for name in fields:
        if name not in known:
            raise DataError(
                f"{under(field, name)}: unknown field; expected {', '.join(known)}.{did_you_mean(name, known)}"
            )
    for name in required:
        if name not in fields:
            raise DataError(f"{under(field, name)}: missing")
    return fields


def check_object(value: object, field: str) -> dict[str, Any]:
    """`value` itself, once it is a JSON object.

    Raises:
        DataError: it is none; names the field.
    """
    if not isinstance(value, Mapping):
        raise DataError(f"{field or 'value'}: expected an object, got {shown(value)}")
    return cast(dict[str, Any], value)


def check_list(value: object, field: str) -> list[Any]:
    """`value` itself, once it is a JSON array.

    Raises:
        DataError: it is none; names the field.
    """
    if not isinstance(value, list):
        raise DataError(f"{field}: expected a list, got {shown(value)}")
    return cast(list[Any], value)


def check_name(value: object, field: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """A name that a database can hold and a person can read: some printable characters on one line.

    Raises:
        DataError: it is none; names the field.
    """
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise DataError(f"{field}: expected some text on one line, got {shown(value)}")
    if len(value) > max_length:
        raise DataError(f"{field}: expected at most {max_length} characters, got {len(value)}")
    return value


def check_string(value: object, field: str) -> str:
    """Any text that can be written as UTF-8.

    Raises:
        DataError: it is none; names the field.
    """
    if not isinstance(value, str) or "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise DataError(f"{field}: expected text, got {shown(value)}")
    return value


def under(field: str, name: str) -> str:
    """`name` within `field`, as messages write it."""
    return f"{field}.{name}" if field else name


def shown(value: object) -> str:
    """The beginning of a value, for a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Segments as JSON: every array bit for bit, every text letter by letter."""

import base64
import binascii
from typing import Any

import numpy as np

from heeler.core.errors import DataError
from heeler.core.nouns import AnySegment, Message, Segment, TextSegment
from heeler.feedback.form import check_whole
from heeler.feedback.segment_files import check_segment
from heeler.feedback.transfer.items import check_fields, check_list, check_name, check_object, check_string

_ARRAYS = ("observation", "action", "next_observation", "true_reward", "snapshot")
_HEADER = ("id", "env_id", "policy_version", "trajectory_id", "start_step")
_TEXT = ("id", "policy_version", "prompt", "completion")
_TYPES = {"float32": np.dtype("<f4"), "int64": np.dtype("<i8")}


def segment_fields(segment: AnySegment) -> dict[str, Any]:
    """The segment in plain JSON types: numbers of an array as base64 of their little-endian bytes, row by row."""
    if isinstance(segment, TextSegment):
        fields = {name: getattr(segment, name) for name in _TEXT}
        return {**fields, "prompt": [message_fields(message) for message in segment.prompt]}
    fields: dict[str, Any] = {name: getattr(segment, name) for name in _HEADER}
    for name in _ARRAYS:
        array: np.ndarray | None = getattr(segment, name)
        fields[name] = None if array is None else _array_fields(array)
    return fields


def message_fields(message: Message) -> dict[str, str]:
    """A message in plain JSON types."""
    return {"role": message.role, "content": message.content}


def message_of(value: object, field: str) -> Message:
    """The message that stands in a file.

    Raises:
        DataError: it is no object with a role and a content that are text.
    """
    fields = check_fields(value, field, ("role", "content"))
    return Message(
        role=check_string(fields["role"], f"{field}.role"), content=check_string(fields["content"], f"{field}.content")
    )


def segment_of(value: object) -> AnySegment:
    """The segment that `segment_fields` wrote.

    Raises:
        DataError: a field is missing, or its content does not give the id that it has.
    """
    segment = _text(value) if "completion" in check_object(value, "segment") else _control(value)
    try:
        check_segment(segment)
    except DataError as error:
        raise DataError(f"segment.{error}") from error
    if segment.id != check_object(value, "segment")["id"]:
        raise DataError("segment.id: the segment was altered since it was written (SHA-256 differs); export it again")
    return segment


def _text(value: object) -> TextSegment:
    fields = check_fields(value, "segment", _TEXT)
    messages = enumerate(check_list(fields["prompt"], "segment.prompt"))
    return TextSegment(
        prompt=tuple(message_of(message, f"segment.prompt[{index}]") for index, message in messages),
        completion=check_string(fields["completion"], "segment.completion"),
        policy_version=_version(fields),
    )


def _control(value: object) -> Segment:
    fields = check_fields(value, "segment", (*_HEADER, *_ARRAYS))
    arrays = {name: _array(fields[name], f"segment.{name}") for name in _ARRAYS}
    for name in _ARRAYS[:3]:
        if arrays[name] is None:
            raise DataError(f"segment.{name}: expected an array, got null")
    header: dict[str, Any] = {
        "env_id": check_name(fields["env_id"], "segment.env_id"),
        "policy_version": _version(fields),
        "trajectory_id": check_name(fields["trajectory_id"], "segment.trajectory_id"),
        "start_step": check_whole(fields["start_step"], "segment.start_step", low=0, high=2**63 - 1),
    }
    return Segment(**arrays, **header)


def _version(fields: dict[str, Any]) -> int:
    return check_whole(fields["policy_version"], "segment.policy_version", low=0, high=2**31 - 1)


def _array_fields(array: np.ndarray) -> dict[str, Any]:
    data = np.ascontiguousarray(array, dtype=_TYPES[array.dtype.name])
    return {
        "type": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(data.tobytes()).decode("ascii"),
    }


def _array(value: object, field: str) -> np.ndarray | None:
    if value is None:
        return None
    fields = check_fields(value, field, ("type", "shape", "base64"))
    if not isinstance(fields["type"], str) or fields["type"] not in _TYPES:
        raise DataError(f"{field}.type: expected {' or '.join(_TYPES)}, got {fields['type']!r}")
    shape = [check_whole(size, f"{field}.shape", low=0) for size in check_list(fields["shape"], f"{field}.shape")]
    try:
        data = base64.b64decode(fields["base64"], validate=True)
        array = np.frombuffer(data, _TYPES[fields["type"]]).reshape(shape)
    except (ValueError, TypeError, binascii.Error) as error:
        raise DataError(f"{field}.base64: does not hold an array of shape {shape} ({error})") from error
    # What comes from bytes cannot be written to, and may be of another byte order than this machine's.
    return array.astype(fields["type"])

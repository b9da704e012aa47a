"""Segments as JSON: every array bit for bit."""

import base64
import binascii
from typing import Any

import numpy as np

from heeler.core.errors import DataError
from heeler.core.nouns import Segment
from heeler.feedback.form import check_whole
from heeler.feedback.segment_files import check_segment
from heeler.feedback.transfer.items import check_fields, check_list, check_name

_ARRAYS = ("observation", "action", "next_observation", "true_reward", "snapshot")
_HEADER = ("id", "env_id", "policy_version", "trajectory_id", "start_step")
_TYPES = {"float32": np.dtype("<f4"), "int64": np.dtype("<i8")}


def segment_fields(segment: Segment) -> dict[str, Any]:
    """The segment in plain JSON types: numbers of an array as base64 of their little-endian bytes, row by row."""
    fields: dict[str, Any] = {name: getattr(segment, name) for name in _HEADER}
    for name in _ARRAYS:
        array: np.ndarray | None = getattr(segment, name)
        fields[name] = None if array is None else _array_fields(array)
    return fields


def segment_of(value: object) -> Segment:
    """The segment that `segment_fields` wrote.

    Raises:
        DataError: a field is missing, or its content does not give the id that it has.
    """
    fields = check_fields(value, "segment", (*_HEADER, *_ARRAYS))
    arrays = {name: _array(fields[name], f"segment.{name}") for name in _ARRAYS}
    for name in _ARRAYS[:3]:
        if arrays[name] is None:
            raise DataError(f"segment.{name}: expected an array, got null")
    header: dict[str, Any] = {
        "env_id": check_name(fields["env_id"], "segment.env_id"),
        "policy_version": check_whole(fields["policy_version"], "segment.policy_version", low=0, high=2**31 - 1),
        "trajectory_id": check_name(fields["trajectory_id"], "segment.trajectory_id"),
        "start_step": check_whole(fields["start_step"], "segment.start_step", low=0, high=2**63 - 1),
    }
    segment = Segment(**arrays, **header)
    try:
        check_segment(segment)
    except DataError as error:
        raise DataError(f"segment.{error}") from error
    if segment.id != fields["id"]:
        raise DataError("segment.id: the segment was altered since it was written (SHA-256 differs); export it again")
    return segment


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

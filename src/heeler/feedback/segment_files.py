"""Segments as files: `<id>.safetensors`, written aside, synced and renamed; the id is the hash that reading checks."""

import os
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from heeler.core.errors import DataError, StoreError
from heeler.core.nouns import TEXT, AnySegment, Segment, TextSegment
from heeler.feedback import text_files

_ARRAYS = ("observation", "action", "next_observation", "true_reward", "snapshot")
_HEADER = ("env_id", "policy_version", "trajectory_id", "start_step")

# Files that are open together, and synced together: the disk joins syncs that come at the same time.
_FILES_AT_ONCE = 256
_SYNCS_AT_ONCE = 8
_LEFTOVER_AGE_S = 3600.0


def check_segment(segment: AnySegment) -> None:
    """Refuse a segment that would not come back from a file as it went in.

    Raises:
        DataError: shapes or types are not what `Segment` says, it is empty, or a number is not finite; or a text does
            not hold.
    """
    if isinstance(segment, TextSegment):
        text_files.check_text_segment(segment)
    else:
        _check_control(segment)


def _check_control(segment: Segment) -> None:
    if segment.env_id == TEXT:
        raise DataError(f"env_id: {TEXT!r} stands for text, and no world may be named so")
    num_steps = len(segment)
    if num_steps == 0:
        raise DataError("observation: expected at least one step, got none")
    for name in _ARRAYS:
        array: np.ndarray | None = getattr(segment, name)
        if array is None:
            continue
        num_axes = 1 if name == "true_reward" else 2
        if array.ndim != num_axes or len(array) != num_steps:
            shape = f"[{num_steps}]" if num_axes == 1 else f"[{num_steps}, any]"
            raise DataError(f"{name}: expected shape {shape}, got {list(array.shape)}")
        allowed = (np.float32, np.int64) if name == "action" else (np.float32,)
        if array.dtype not in allowed:
            raise DataError(f"{name}: expected {' or '.join(t.__name__ for t in allowed)}, got {array.dtype}")
        if not np.isfinite(array).all():
            raise DataError(f"{name}: a number is not finite; stop the run at the environment that made it")
    if segment.observation.shape != segment.next_observation.shape:
        shapes = f"{list(segment.observation.shape)}, got {list(segment.next_observation.shape)}"
        raise DataError(f"next_observation: expected the observation's shape {shapes}")


class SegmentFolder:
    """The folder `segments/` of a run.

    Args:
        folder: made where it is missing.

    Raises:
        StoreError: it cannot be made or read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
        except OSError as error:
            raise _store_error(folder, error) from error

    def has(self, segment_id: str) -> bool:
        """Whether the segment's file is there."""
        return self._path(segment_id).exists()

    def write(self, segments: Mapping[str, AnySegment]) -> None:
        """Write segments by id; when this returns they survive a power cut.

        Raises:
            StoreError: the folder is read-only or the disk full; no half-written file stays.
        """
        items = list(segments.items())
        for start in range(0, len(items), _FILES_AT_ONCE):
            self._write_some(items[start : start + _FILES_AT_ONCE])
        if items:
            self._sync_folder()

    def read(self, segment_id: str) -> AnySegment:
        """The segment of this id.

        Raises:
            DataError: its file is missing, torn, or altered since it was written.
        """
        path = self._path(segment_id)
        advice = "restore it from a copy, or take its queries out of the training data"
        try:
            segment = _load(path)
            check_segment(segment)
        except FileNotFoundError as error:
            raise DataError(f"segments/{path.name}: the file is missing; {advice}") from error
        except (SafetensorError, KeyError, ValueError, OSError, RecursionError) as error:
            raise DataError(f"segments/{path.name}: not a readable segment ({error}); {advice}") from error
        if segment.id != segment_id:
            raise DataError(f"segments/{path.name}: altered since it was written (SHA-256 differs); {advice}")
        return segment

    def remove(self, segment_ids: Iterable[str]) -> None:
        """Remove segments' files for good; one that is not there is fine.

        Raises:
            StoreError: the folder is read-only.
        """
        try:
            for segment_id in segment_ids:
                self._path(segment_id).unlink(missing_ok=True)
        except OSError as error:
            raise _store_error(self.folder, error) from error
        self._sync_folder()

    def _path(self, segment_id: str) -> Path:
        return self.folder / f"{segment_id}.safetensors"

    def _write_some(self, items: Iterable[tuple[str, AnySegment]]) -> None:
        # Two threads may keep the same at the same time, such as the same answer to the same words.
        mine = f"{os.getpid()}.{threading.get_ident()}.tmp"
        aside = {self._path(name): self.folder / f"{name}.{mine}" for name, _ in items}
        opened: list[int] = []
        try:
            for (_, segment), path in zip(items, aside.values(), strict=True):
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
                opened.append(descriptor)
                _write_all(descriptor, _encode(segment))
            with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
                list(pool.map(os.fsync, opened))
            for path, temporary in aside.items():
                os.replace(temporary, path)
        except OSError as error:
            for temporary in aside.values():
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            raise _store_error(self.folder, error) from error
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise _store_error(self.folder, error) from error
        finally:
            os.close(descriptor)

    def _remove_leftovers(self) -> None:
        """Files that a killed process was writing; young ones may belong to a process that lives."""
        for path in self.folder.glob("*.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _LEFTOVER_AGE_S:
                    path.unlink()


def _encode(segment: AnySegment) -> bytes:
    if isinstance(segment, TextSegment):
        return text_files.encode(segment)
    arrays: dict[str, np.ndarray] = {}
    for name in _ARRAYS:
        array: np.ndarray | None = getattr(segment, name)
        if array is not None:
            arrays[name] = np.ascontiguousarray(array)
    return save(arrays, metadata={name: str(getattr(segment, name)) for name in _HEADER})


def _load(path: Path) -> AnySegment:
    untyped_open: Any = safe_open
    with untyped_open(path, framework="numpy") as file:
        header: Mapping[str, str] = file.metadata() or {}
        arrays: dict[str, np.ndarray] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    if text_files.MARK in header:
        return text_files.decode(header)
    return Segment(
        observation=arrays["observation"],
        action=arrays["action"],
        next_observation=arrays["next_observation"],
        true_reward=arrays.get("true_reward"),
        snapshot=arrays.get("snapshot"),
        env_id=header["env_id"],
        policy_version=int(header["policy_version"]),
        trajectory_id=header["trajectory_id"],
        start_step=int(header["start_step"]),
    )


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _store_error(folder: Path, error: OSError) -> StoreError:
    return StoreError(f"segments folder {folder}: {error.strerror or error}; it must be writable and the disk not full")

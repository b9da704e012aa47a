"""A run's metrics.jsonl as it grows: pages of it, and what is new. Places in it are byte offsets of lines."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heeler.core.errors import RunError
from heeler.core.lines import line_start


@dataclass(frozen=True, kw_only=True)
class MetricsPage:
    """Some lines, whole ones."""

    rows: list[dict[str, Any]]
    offset: int
    """Where the next line begins."""
    is_end: bool
    """Whether nothing follows as yet."""


def read_page(path: Path, *, offset: int, limit: int) -> MetricsPage:
    """At most `limit` lines from a place on.

    Args:
        path: of metrics.jsonl; an empty page where it is not there yet.
        offset: where a line begins. Past the end, where lines were forgotten, it counts as the end.
        limit: the most.

    Raises:
        RunError: the file cannot be read, or a line is damaged.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            offset = min(offset, size)
            if offset and not _is_line_start(file.fileno(), offset):
                raise RunError(f"{path}: no line begins at byte {offset}")
            file.seek(offset)
            rows: list[dict[str, Any]] = []
            for line in file:
                if len(rows) == limit or not line.endswith(b"\n"):
                    break
                rows.append(_row(path, offset, line))
                offset += len(line)
    except FileNotFoundError:
        return MetricsPage(rows=[], offset=0, is_end=True)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    return MetricsPage(rows=rows, offset=offset, is_end=len(rows) < limit)


def is_place(path: Path, offset: int) -> bool:
    """Whether a line begins, or may yet begin, at this byte."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return 0 <= offset <= size and (offset == 0 or _is_line_start(file.fileno(), offset))
    except FileNotFoundError:
        return offset == 0


def place_after_step(path: Path, step: int) -> int:
    """Where the first line of a later step than `step` begins: by bisection, as steps never go back in the file."""
    try:
        with path.open("rb") as file:
            low, high = 0, os.fstat(file.fileno()).st_size
            while low < high:
                middle = (low + high) // 2
                start = line_start(file.fileno(), middle)
                file.seek(start)
                line = file.readline()
                if line.endswith(b"\n") and _row(path, start, line)["step"] <= step:
                    low = start + len(line)
                else:
                    high = start
            return low
    except FileNotFoundError:
        return 0


def size_of(path: Path) -> int:
    """Bytes; 0 where it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def last_row(path: Path) -> dict[str, Any] | None:
    """The newest whole line."""
    try:
        with path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            if end and not _is_line_start(file.fileno(), end):
                end = line_start(file.fileno(), end - 1)
            if end == 0:
                return None
            start = line_start(file.fileno(), end - 1)
            file.seek(start)
            return _row(path, start, file.readline())
    except FileNotFoundError:
        return None


def _is_line_start(descriptor: int, offset: int) -> bool:
    return os.pread(descriptor, 1, offset - 1) == b"\n"


def _row(path: Path, offset: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
        row["step"]
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: the line from byte {offset} on is damaged; put the file back from a copy") from error
    return row

"""A run's metrics.jsonl as it grows: pages of it, and what is new. Places in it are byte offsets of lines."""

import json
import math
import os
from collections.abc import Sequence
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


def written_unix_s(path: Path) -> float | None:
    """When it was written last; None where it is not there yet."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


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


def newest_rows(path: Path, number: int) -> list[dict[str, Any]]:
    """The newest whole lines, at most `number`, the oldest first; only the end of the file is read."""
    try:
        with path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            size = min(end, 2048 * number)
            while True:
                content = os.pread(file.fileno(), size, end - size)
                if size == end or content.count(b"\n") > number:
                    break
                size = min(end, 2 * size)
    except FileNotFoundError:
        return []
    # What follows the last newline is being written; what stands before the first may be the rest of a line.
    lines = content.split(b"\n")[:-1]
    first = max(0 if size == end else 1, len(lines) - number)
    return [_row(path, end - size, line) for line in lines[first:]]


@dataclass(frozen=True, kw_only=True)
class Series:
    """Some figures of a run over its steps, with rows left out where there are many."""

    step: list[int]
    values: dict[str, list[float | None]]
    """Of each name as many as steps; None where a row does not have it."""
    every: int
    """One row of so many is here; the newest always is."""


def series(path: Path, names: Sequence[str], *, max_points: int) -> Series:
    """Read figures for a chart: one row of every few, so that there are at most `max_points` and the newest.

    Raises:
        RunError: the file cannot be read, or a line that is read is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        lines = []
    every = max(1, -(-len(lines) // max_points))
    # From the newest back, so that what stands at the end does not jump from one reading to the next.
    chosen = lines[::-1][::every][::-1]
    rows = [_row(path, 0, line) for line in chosen]
    values = {name: [_number(row.get(name)) for row in rows] for name in names}
    return Series(step=[int(row["step"]) for row in rows], values=values, every=every)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _is_line_start(descriptor: int, offset: int) -> bool:
    return os.pread(descriptor, 1, offset - 1) == b"\n"


def _row(path: Path, offset: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
        row["step"]
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: the line from byte {offset} on is damaged; put the file back from a copy") from error
    return row

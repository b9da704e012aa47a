"""A copy of a store while it is written to: one moment of it, checked before it takes its name."""

import os
import shlex
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from heeler.core.errors import DataError, StoreError
from heeler.core.nouns import AnySegment
from heeler.feedback import rows, schema
from heeler.feedback.database import Database
from heeler.feedback.segment_files import SegmentFolder

_FILES_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What was copied."""

    file: Path
    """The copy, a store of its own."""
    num_answers: int
    """Answers in it."""
    num_segments: int
    """Segments that it refers to."""
    refused_segments: list[str]
    """What is wrong with segments that were to be copied and could not be."""


@dataclass(frozen=True, kw_only=True)
class SegmentCopy:
    """Where segments' files are copied from, and where to."""

    source: SegmentFolder
    folder: Path
    """Made where it is missing; what it holds already stays, so that one folder serves many backups."""


def back_up(database: Database, file: Path, segments: SegmentCopy | None) -> Backup:
    """Copy an SQLite store as it is at one moment; whoever writes to it goes on.

    The file takes its name last: where it is, the segments are too.

    Raises:
        StoreError: the store is on a server, the file is there already or cannot be written, or the copy is damaged.
    """
    if not database.is_file:
        command = f"pg_dump --format=custom --file={shlex.quote(str(file))} {shlex.quote(database.name)}"
        raise StoreError(f"store {database.name}: PostgreSQL copies its own databases; run: {command}")
    if file.exists():
        raise StoreError(f"{file} is there already, and a backup never replaces anything; name a new file")
    aside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with database.reading() as connection:
            # The first of these begins the transaction: all of them, and the copy, are of one moment.
            ids = list(connection.execute(select(schema.segments.c.id)).scalars())
            num_answers = rows.count(connection, schema.feedback)
            _copy(connection.connection.driver_connection, aside)
        refused = [] if segments is None else _copy_segments(segments, ids)
        _sync(aside)
        os.replace(aside, file)
        _sync(file.parent)
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(
            f"cannot write {file}: {why}; name a file in a folder with room that can be written"
        ) from error
    finally:
        for leftover in (aside, aside.with_name(f"{aside.name}-journal")):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)
    return Backup(file=file, num_answers=num_answers, num_segments=len(ids), refused_segments=refused)


def _copy(source: Any, aside: Path) -> None:
    copy = sqlite3.connect(aside)
    try:
        source.backup(copy)
        # The copy is one file: it needs no write-ahead log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        found = [str(row[0]) for row in copy.execute("PRAGMA integrity_check")]
        found += [f"a row of {row[0]} refers to nothing" for row in copy.execute("PRAGMA foreign_key_check")]
    finally:
        copy.close()
    if found != ["ok"]:
        what = next(words for words in found if words != "ok")
        raise StoreError(f"the copy is damaged, as the store itself may be ({what}); nothing was kept of it")


def _copy_segments(segments: SegmentCopy, ids: Sequence[str]) -> list[str]:
    """Copy files that the folder lacks, each checked against its id; what is wrong with those that cannot be."""
    target, refused = SegmentFolder(segments.folder), list[str]()
    missing = [segment_id for segment_id in ids if not target.has(segment_id)]
    for start in range(0, len(missing), _FILES_AT_ONCE):
        found: dict[str, AnySegment] = {}
        for segment_id in missing[start : start + _FILES_AT_ONCE]:
            try:
                found[segment_id] = segments.source.read(segment_id)
            except DataError as error:
                refused.append(str(error))
        target.write(found)
    return refused


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Export and import of feedback, whatever the format."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from heeler.core.errors import ConfigError, DataError, did_you_mean
from heeler.feedback.store import Store
from heeler.feedback.transfer import argilla, jsonl, label_studio, pairs
from heeler.feedback.transfer.files import Located, output, source
from heeler.feedback.transfer.items import Incoming
from heeler.feedback.transfer.staging import Staging
from heeler.feedback.transfer.tally import Tally


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format of files of feedback."""

    write: Callable[[Store, BinaryIO, Tally], None]
    read: Callable[[BinaryIO, Store], Generator[Incoming]]


FORMATS: Mapping[str, Format] = {
    "jsonl": Format(write=jsonl.write, read=jsonl.read),
    "pairs": Format(write=pairs.write, read=pairs.read),
    "label-studio": Format(write=label_studio.write, read=label_studio.read),
    "argilla": Format(write=argilla.write, read=argilla.read),
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export wrote."""

    num_answers: int
    left_out: Mapping[str, int]
    """How many of what the format has no place for, in words."""

    def to_dict(self) -> dict[str, Any]:
        """For scripts."""
        return {"num_answers": self.num_answers, "left_out": dict(self.left_out)}


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import brought."""

    num_answers: int
    """New ones."""
    num_known: int
    """Answers of the file that were there already, or stood in it twice."""
    num_queries: int
    num_segments: int
    annotators: tuple[str, ...]
    """New ones."""
    left_out: Mapping[str, int]
    """How many of what is no answer that heeler knows, in words."""

    def to_dict(self) -> dict[str, Any]:
        """For scripts."""
        counts = {name: getattr(self, name) for name in ("num_answers", "num_known", "num_queries", "num_segments")}
        return {**counts, "annotators": list(self.annotators), "left_out": dict(self.left_out)}


def export_feedback(store: Store, target: str, format_name: str) -> Exported:
    """Write the answers that a store holds now.

    Args:
        store: may be in use by other processes; what they add meanwhile is left for the next time.
        target: a file, which appears whole or not at all; `-` for standard output.
        format_name: one of `FORMATS`.

    Raises:
        ConfigError: there is no such format.
        RunError: the file cannot be written; what was there stays.
        DataError: a segment's file is missing or altered.
    """
    chosen, tally = format_named(format_name), Tally()
    with output(target) as file:
        chosen.write(store, file, tally)
    return Exported(num_answers=tally.num_answers, left_out=tally.left_out)


def import_feedback(store: Store, target: str, format_name: str, *, env_id: str | None = None) -> Imported:
    """Take in the answers of a file, all of them or none. To do it again changes nothing.

    The whole file is looked at before anything is written, and everything is written in one transaction.

    Args:
        store: may be in use by other processes, such as a run that trains.
        target: a file; `-` for standard input.
        format_name: one of `FORMATS`.
        env_id: the world of the store's run, whose segments alone it may take; None for any.

    Raises:
        ConfigError: there is no such format.
        DataError: something in the file does not hold; names file, place and field, and nothing was taken.
        ConflictError: something in it has another content than the store has under its name; nothing was taken.
        StoreError: the disk is full or read-only; nothing was taken.
    """
    chosen = format_named(format_name)
    staging = Staging(store, format_name, env_id)
    name = "standard input" if target == "-" else target
    try:
        with source(target) as file, Located(name):
            try:
                staging.take(chosen.read(file, store))
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror or error}") from error
            loaded = store.bulk.load(staging.load())
    finally:
        staging.close()
    return Imported(
        num_answers=loaded.num_answers,
        num_known=staging.tally.num_answers - loaded.num_answers,
        num_queries=loaded.num_queries,
        num_segments=loaded.num_segments,
        annotators=loaded.annotators,
        left_out=staging.tally.left_out,
    )


def format_named(name: str) -> Format:
    """The format of this name.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if name not in FORMATS:
        raise ConfigError(f"there is no format {name!r}.{did_you_mean(name, FORMATS)} There are: {', '.join(FORMATS)}")
    return FORMATS[name]

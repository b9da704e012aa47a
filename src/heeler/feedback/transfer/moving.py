"""Export and import of feedback, whatever the format."""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from heeler.core.errors import ConfigError, DataError, did_you_mean
from heeler.core.nouns import FEEDBACK_KINDS, FeedbackKind
from heeler.feedback.store import Store
from heeler.feedback.transfer import argilla, argilla_settings, jsonl, label_studio, label_studio_settings, pairs
from heeler.feedback.transfer.files import Located, output, source
from heeler.feedback.transfer.items import Incoming
from heeler.feedback.transfer.staging import Staging
from heeler.feedback.transfer.tally import Tally

_Write = Callable[[Store, BinaryIO, Tally, FeedbackKind | None, bool], None]
_Read = Callable[[BinaryIO, Store, tuple[float, float] | None], Generator[Incoming]]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program in which people annotate, and the files that it reads and writes."""

    write: _Write
    read: _Read
    settings: Callable[[FeedbackKind], str]


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format of files of feedback."""

    write: Callable[[Store, BinaryIO, Tally], None]
    read: Callable[[BinaryIO, Store], Generator[Incoming]]


FORMATS: Mapping[str, Format | Tool] = {
    "jsonl": Format(write=jsonl.write, read=jsonl.read),
    "pairs": Format(write=pairs.write, read=pairs.read),
    "label-studio": Tool(write=label_studio.write, read=label_studio.read, settings=label_studio_settings.settings),
    "argilla": Tool(write=argilla.write, read=argilla.read, settings=argilla_settings.settings),
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export wrote."""

    num_answers: int
    num_open: int
    """Questions that nobody has answered."""
    left_out: Mapping[str, int]
    """How many of what the format has no place for, in words."""

    def to_dict(self) -> dict[str, Any]:
        """For scripts."""
        return {"num_answers": self.num_answers, "num_open": self.num_open, "left_out": dict(self.left_out)}


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


def export_feedback(
    store: Store, target: str, format_name: str, *, kind: FeedbackKind | None = None, with_open: bool = False
) -> Exported:
    """Write the answers that a store holds now.

    Args:
        store: may be in use by other processes; what they add meanwhile is left for the next time.
        target: a file, which appears whole or not at all; `-` for standard output.
        format_name: one of `FORMATS`.
        kind: of the questions that are written, as a project of a program of annotators has one kind; None for all.
        with_open: write questions about texts that nobody has answered too, for people to answer there.

    Raises:
        ConfigError: there is no such format, or it has all kinds in one file.
        RunError: the file cannot be written; what was there stays.
        DataError: a segment's file is missing or altered.
    """
    chosen, tally = format_named(format_name), Tally()
    if isinstance(chosen, Format) and kind is not None:
        raise ConfigError(f"--kind is for {_tools()}; {format_name} has all that it can hold in one file")
    if isinstance(chosen, Format) and with_open:
        raise ConfigError(f"--open is for {_tools()}, where people answer; {format_name} holds what was answered")
    if kind is not None:
        kind_named(kind)
    with output(target) as file:
        if isinstance(chosen, Tool):
            chosen.write(store, file, tally, kind, with_open)
        else:
            chosen.write(store, file, tally)
    return Exported(num_answers=tally.num_answers, num_open=tally.num_open, left_out=tally.left_out)


def import_feedback(
    store: Store,
    target: str,
    format_name: str,
    *,
    env_id: str | None = None,
    scale: tuple[float, float] | None = None,
) -> Imported:
    """Take in the answers of a file, all of them or none. To do it again changes nothing.

    The whole file is looked at before anything is written, and everything is written in one transaction.

    Args:
        store: may be in use by other processes, such as a run that trains.
        target: a file; `-` for standard input.
        format_name: one of `FORMATS`.
        env_id: the world of the store's run, whose segments alone it may take; None for any.
        scale: (low, high) of the ratings that do not say theirs.

    Raises:
        ConfigError: there is no such format, its ratings say their scale, or the scale has no width.
        DataError: something in the file does not hold; names file, place and field, and nothing was taken.
        ConflictError: something in it has another content than the store has under its name; nothing was taken.
        StoreError: the disk is full or read-only; nothing was taken.
    """
    chosen = format_named(format_name)
    if scale is not None:
        if isinstance(chosen, Format):
            raise ConfigError(f"--scale is for {_tools()}; {format_name} has no ratings without their scale")
        if not (math.isfinite(scale[0]) and math.isfinite(scale[1]) and scale[0] < scale[1]):
            raise ConfigError(f"--scale: expected a low end and a greater high end, got {scale[0]:g} {scale[1]:g}")
    staging = Staging(store, format_name, env_id)
    name = "standard input" if target == "-" else target
    try:
        with source(target) as file, Located(name):
            try:
                read = chosen.read(file, store, scale) if isinstance(chosen, Tool) else chosen.read(file, store)
                staging.take(read)
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


def format_named(name: str) -> Format | Tool:
    """The format of this name.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if name not in FORMATS:
        raise ConfigError(f"there is no format {name!r}.{did_you_mean(name, FORMATS)} There are: {', '.join(FORMATS)}")
    return FORMATS[name]


def tool_settings(format_name: str, kind: str) -> str:
    """What a program of annotators needs to show questions about texts of one kind, as a text for a file.

    Args:
        format_name: one of `FORMATS` that is such a program's.
        kind: of the questions.

    Returns:
        For `label-studio` the labeling configuration of a project, for `argilla` the settings of a dataset.

    Raises:
        ConfigError: there is no such format or kind, or it is of no such program.
    """
    chosen = format_named(format_name)
    if isinstance(chosen, Format):
        raise ConfigError(f"{format_name} is of no program that has settings; name one of {_tools()}")
    return chosen.settings(kind_named(kind))


def kind_named(name: str) -> FeedbackKind:
    """The kind of feedback of this name.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    for kind in FEEDBACK_KINDS:
        if kind == name:
            return kind
    near = did_you_mean(name, FEEDBACK_KINDS)
    raise ConfigError(f"there is no kind of feedback {name!r}.{near} There are: {', '.join(FEEDBACK_KINDS)}")


def _tools() -> str:
    return " and ".join(name for name, one in FORMATS.items() if isinstance(one, Tool))

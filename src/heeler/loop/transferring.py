"""A run's feedback to a file and back. Light: no torch."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from heeler.core.errors import RunError
from heeler.core.nouns import TEXT
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import TEXTS, has_store, open_store
from heeler.feedback.transfer import Exported, Imported, export_feedback, import_feedback, kind_named


def export_run_feedback(
    run: Path | str, target: str, format_name: str, *, kind: str | None = None, with_open: bool = False
) -> Exported:
    """Write a run's answers to a file, while it trains or afterwards.

    Args:
        run: the run's directory.
        target: the file; `-` for standard output.
        format_name: one of `heeler.feedback.transfer.FORMATS`.
        kind: of the questions that are written; None for all.
        with_open: write questions about texts that nobody has answered too.

    Raises:
        RunError: there is no run, it asks nobody, or the file cannot be written.
        ConfigError: there is no such format or kind, or the format has all kinds in one file.
    """
    chosen = None if kind is None else kind_named(kind)
    with open_store(_with_store(run)) as store:
        return export_feedback(store, target, format_name, kind=chosen, with_open=with_open)


def import_run_feedback(
    run: Path | str,
    target: str,
    format_name: str,
    *,
    new: bool = False,
    scale: tuple[float, float] | None = None,
) -> Imported:
    """Take a file's answers into a run, all of them or none, while it trains or afterwards.

    Args:
        run: the run's directory.
        target: the file; `-` for standard input.
        format_name: one of `heeler.feedback.transfer.FORMATS`.
        new: make a folder of texts where nothing is yet; it goes again where nothing could be taken into it.
        scale: (low, high) of the ratings that do not say theirs.

    Raises:
        RunError: there is no run, or it asks nobody; or there is something where a new folder was to be made.
        ConfigError: there is no such format, or the scale is none, or none is wanted.
        DataError: something in the file does not hold, or is of another world; nothing was taken.
        ConflictError: something in it has another content than in the run; nothing was taken.
    """
    if not new:
        return _import(_with_store(run), target, format_name, scale)
    directory = _new_folder_of_texts(Path(run))
    try:
        return _import(directory, target, format_name, scale)
    except BaseException:
        shutil.rmtree(directory.path)
        raise


def _import(directory: RunDirectory, target: str, format_name: str, scale: tuple[float, float] | None) -> Imported:
    world = directory.config().get("env")
    env_id = cast(Mapping[str, Any], world).get("id") if isinstance(world, Mapping) else None
    with open_store(directory) as store:
        return import_feedback(store, target, format_name, env_id=env_id, scale=scale)


def _new_folder_of_texts(path: Path) -> RunDirectory:
    """A directory like a run's, in which nothing learns: texts, questions about them, and what people say of them."""
    if path.exists():
        raise RunError(f"{path} is there already; leave out --new to take more into it, or name a new folder")
    directory = RunDirectory.create(path, {"recipe": TEXTS, "env": {"id": TEXT}})
    open_store(directory).close()
    return directory


def _with_store(run: Path | str) -> RunDirectory:
    directory = RunDirectory.open(Path(run))
    if not has_store(directory):
        raise RunError(f"{run} has no feedback: it has no store; only runs that learn from answers have one")
    return directory

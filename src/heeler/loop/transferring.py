"""A run's feedback to a file and back. Light: no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import has_store, open_store
from heeler.feedback.transfer import Exported, Imported, export_feedback, import_feedback


def export_run_feedback(run: Path | str, target: str, format_name: str) -> Exported:
    """Write a run's answers to a file, while it trains or afterwards.

    Args:
        run: the run's directory.
        target: the file; `-` for standard output.
        format_name: one of `heeler.feedback.transfer.FORMATS`.

    Raises:
        RunError: there is no run, it asks nobody, or the file cannot be written.
        ConfigError: there is no such format.
    """
    with open_store(_with_store(run)) as store:
        return export_feedback(store, target, format_name)


def import_run_feedback(run: Path | str, target: str, format_name: str) -> Imported:
    """Take a file's answers into a run, all of them or none, while it trains or afterwards.

    Args:
        run: the run's directory.
        target: the file; `-` for standard input.
        format_name: one of `heeler.feedback.transfer.FORMATS`.

    Raises:
        RunError: there is no run, or it asks nobody.
        ConfigError: there is no such format.
        DataError: something in the file does not hold, or is of another world; nothing was taken.
        ConflictError: something in it has another content than in the run; nothing was taken.
    """
    directory = _with_store(run)
    world = directory.config().get("env")
    env_id = cast(Mapping[str, Any], world).get("id") if isinstance(world, Mapping) else None
    with open_store(directory) as store:
        return import_feedback(store, target, format_name, env_id=env_id)


def _with_store(run: Path | str) -> RunDirectory:
    directory = RunDirectory.open(Path(run))
    if not has_store(directory):
        raise RunError(f"{run} has no feedback: it has no store; only runs that learn from answers have one")
    return directory

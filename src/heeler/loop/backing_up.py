"""A copy of what people told a run, taken while the run goes on."""

from pathlib import Path

from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory
from heeler.feedback.backup import Backup
from heeler.feedback.stores import has_store, open_store


def back_up_run(path: Path | str, file: Path, *, segments: Path | None = None) -> Backup:
    """Copy a run's store, and the segments that it refers to if a folder is given for them.

    Configuration, checkpoints and metrics are files of their own that any program can copy.

    Args:
        path: the run's directory; nothing in it is changed, and it may be learning.
        file: the copy; it must not be there yet.
        segments: folder for the segments' files; those that it holds already stay.

    Raises:
        RunError: there is no run, or it has no store yet.
        StoreError: the store is on a server, or something cannot be written; the message names it.
    """
    directory = RunDirectory.open(Path(path))
    if not has_store(directory):
        raise RunError(f"{directory.path} has no store to copy yet; run it first")
    with open_store(directory) as store:
        return store.back_up(file, segments=segments)

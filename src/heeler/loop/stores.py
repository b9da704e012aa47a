"""Where a run keeps what people and it say to each other. Light: no torch."""

from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store

STORE_NAME = "heeler.db"


def open_store(directory: RunDirectory) -> Store:
    """The run's own store."""
    return Store.open(directory.path / STORE_NAME, segments_dir=directory.path / "segments")

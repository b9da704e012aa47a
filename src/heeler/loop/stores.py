"""Where a run keeps what people and it say to each other. Light: no torch."""

from collections.abc import Iterable
from pathlib import Path

from heeler.core.errors import RunError
from heeler.core.nouns import Segment
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store

STORE_NAME = "heeler.db"
TEXTS = "texts"
"""What stands for the recipe in a folder of texts, in which nothing learns."""


def open_store(directory: RunDirectory) -> Store:
    """The run's own store: the one place that knows where it is.

    Raises:
        StoreError: it cannot be opened, or belongs to another run.
        RunError: its configuration no longer names the database that it began with.
    """
    address, segments = _address(directory), directory.path / "segments"
    if not address:
        if directory.has_identity:
            raise RunError(
                f"{directory.path} began with a store on a server, and its config.yaml names none; put `store` back"
            )
        return Store.open(directory.path / STORE_NAME, segments_dir=segments)
    store = Store.open(address, segments_dir=segments)
    try:
        begun = bool(directory.checkpoint_steps())
        store.claim(directory.identity(), str(directory.path.absolute()), begun=begun)
    except BaseException:
        store.close()
        raise
    return store


def refuse_taken_store(address: str, path: Path) -> None:
    """Refuse a database that cannot be used by the run that is to be at `path`, before anything is written there.

    Raises:
        StoreError: it cannot be opened, or belongs to another run.
    """
    if not address:
        return
    directory = RunDirectory(path)
    with Store.open(address, segments_dir=None) as store:
        store.refuse_other_runs(directory.identity() if directory.has_identity else None)


def has_store(directory: RunDirectory) -> bool:
    """Whether a run has made its store yet."""
    return directory.has_identity if _address(directory) else (directory.path / STORE_NAME).exists()


def control_segments(store: Store, ids: Iterable[str]) -> dict[str, Segment]:
    """The segments of these ids that are of control, by id; texts among them are left out.

    Raises:
        DataError: one is unknown, or its file is missing or altered.
    """
    return {name: segment for name, segment in store.segments(ids).items() if isinstance(segment, Segment)}


def _address(directory: RunDirectory) -> str:
    """Of the server's database; empty for a file in the run's directory, and in runs of the first versions."""
    return str(directory.config().get("store", ""))

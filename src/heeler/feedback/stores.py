"""Where a run keeps what people and it say to each other: a file in its directory, or a database on a server."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from heeler.core.errors import ConfigError, RunError
from heeler.core.nouns import Feedback, Segment
from heeler.core.rundir import RUN_ID_NAME, RunDirectory
from heeler.feedback.postgres import check_run_store, without_secrets
from heeler.feedback.store import Store

STORE_NAME = "heeler.db"
TEXTS = "texts"
"""What stands for the recipe in a folder of texts, in which nothing learns."""
_PAGE = 10_000


def open_store(directory: RunDirectory) -> Store:
    """The run's own store: the one place that knows where it is.

    Raises:
        StoreError: it cannot be opened, or belongs to another run.
        RunError: its configuration no longer names the database that it began with, or names none that may be.
    """
    address, segments = _address(directory), directory.path / "segments"
    if not address:
        if directory.has_identity:
            raise RunError(
                f"{directory.path} began with a store on a server, and its config.yaml names none; put `store` back"
            )
        return Store.open(directory.path / STORE_NAME, segments_dir=segments)
    try:
        check_run_store(address)
    except ConfigError as error:
        raise RunError(f"{directory.path / 'config.yaml'}: {error}") from None
    store = Store.open(address, segments_dir=segments)
    try:
        begun = bool(directory.checkpoint_steps())
        store.ownership.claim(directory.identity(), str(directory.path.absolute()), begun=begun)
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
        store.ownership.refuse_other_runs(directory.identity() if directory.has_identity else None)


def has_store(directory: RunDirectory) -> bool:
    """Whether a run has made its store yet."""
    return directory.has_identity if _address(directory) else (directory.path / STORE_NAME).exists()


def every_answer(store: Store, *, after: int = 0) -> Iterator[tuple[int, Feedback]]:
    """All answers that are there, in order of position, with their positions; those above position `after`."""
    while page := store.feedback_after(after, limit=_PAGE, up_to_step=None):
        yield from page
        after = page[-1][0]


def control_segments(store: Store, ids: Iterable[str]) -> dict[str, Segment]:
    """The segments of these ids that are of control, by id; texts among them are left out.

    Raises:
        DataError: one is unknown, or its file is missing or altered.
    """
    return {name: segment for name, segment in store.segments(ids).items() if isinstance(segment, Segment)}


def shown_config(directory: RunDirectory) -> dict[str, Any]:
    """The run's configuration, to be shown to others: without a password that somebody wrote into its store's URL."""
    config = directory.config()
    return config | {"store": without_secrets(str(config["store"]))} if config.get("store") else config


def store_identity(directory: RunDirectory) -> object:
    """Equal for as long as the run's directory names the same store; None where there is none.

    To look is cheap, so that who keeps a store open can tell when another run has taken its place.
    """
    try:
        address = _address(directory)
    except RunError:
        return None
    # On a server the run's own id says whose store it is, wherever its directory is moved.
    stamp = _stamp(directory.path / (RUN_ID_NAME if address else STORE_NAME))
    return None if stamp is None else (address, stamp[:2])


def _address(directory: RunDirectory) -> str:
    """Of the server's database; empty for a file in the run's directory, and in runs of the first versions."""
    return _address_in(str(directory.path), _stamp(directory.path / "config.yaml"))


@lru_cache(maxsize=1000)
def _address_in(path: str, stamp: object) -> str:
    # To read a configuration takes milliseconds, and a service asks often; its stamp tells when it is another one.
    return str(RunDirectory(Path(path)).config().get("store", ""))


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

"""One process at a time: a lock on a file, which the operating system lets go of when its holder dies."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from heeler.core.errors import RunError


@contextmanager
def held_alone(path: Path, *, busy: str) -> Generator[None]:
    """Hold a file, made where it is missing, until the block ends.

    Args:
        path: nothing is written to it.
        busy: what to say where another process holds it.

    Raises:
        RunError: another process holds it.
        OSError: it cannot be opened.
    """
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(busy) from error
        yield

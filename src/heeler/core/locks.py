"""One process at a time: a lock on a file, which the operating system lets go of when its holder dies."""

import fcntl
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from heeler.core.errors import RunError

_PAUSE_S = 0.05


@contextmanager
def held_alone(path: Path, *, busy: str, patience_s: float = 0.0) -> Generator[None]:
    """Hold a file, made where it is missing, until the block ends.

    Args:
        path: nothing is written to it.
        busy: what to say where another process holds it.
        patience_s: how long to wait for it.

    Raises:
        RunError: another process holds it.
        OSError: it cannot be opened.
    """
    deadline_s = time.monotonic() + patience_s
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= deadline_s:
                    raise RunError(busy) from error
            time.sleep(_PAUSE_S)
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds the file at this moment.

    To look is to hold it for an instant, so that who takes it needs a little patience.
    """
    try:
        with path.open("rb") as handle:
            # Those who look at the same time do not take each other for a holder.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False

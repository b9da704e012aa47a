"""One process at a time: a lock on a file, which the operating system lets go of when its holder dies.

While it is held the file says by which process. What it says without being held is of one that died.
"""

import fcntl
import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from heeler.core.errors import RunError
from heeler.core.processes import Process, has_open, this_process

_PAUSE_S = 0.05
_SIGNED_WITHIN_S = 0.3


@contextmanager
def held_alone(path: Path, *, busy: str, patience_s: float = 0.0) -> Generator[None]:
    """Hold a file, made where it is missing, until the block ends.

    Args:
        path: nothing is written to it but who holds it.
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
        _sign(handle.fileno())
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(handle.fileno(), 0)


def _sign(descriptor: int) -> None:
    """Say who holds a file; on a full disk it stays unsaid, and is held all the same."""
    process = this_process()
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        if process is not None:
            os.write(descriptor, json.dumps(process.to_dict()).encode())


def holder_of(path: Path) -> Process | None:
    """The process that holds the file; None where none does.

    Raises:
        RunError: it is held, and does not say by whom, or names a process that has not even opened it.
    """
    deadline_s = time.monotonic() + _SIGNED_WITHIN_S
    while is_held(path):
        # Who has just taken it signs it in a moment.
        with suppress(OSError, ValueError, TypeError):
            process = Process(**json.loads(path.read_bytes()))
            if has_open(process, path):
                return process
        if time.monotonic() > deadline_s:
            raise RunError(f"{path} does not say which process holds it; `fuser {path}` tells")
        time.sleep(_PAUSE_S)
    return None


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

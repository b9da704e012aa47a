"""The files of an audit log: the log itself under its lock, and `audit.head` beside it."""

import fcntl
import json
import os
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from heeler.core.audit_entry import GENESIS, canonical
from heeler.core.errors import RunError
from heeler.core.lines import line_start
from heeler.core.rundir import write_atomically

LOCK_TIMEOUT_S = 30.0
"""How long one process waits for another before it gives up."""

# Not a growing one: who appends again and again leaves short gaps, and who waits must not sleep through all of them.
_LOCK_PAUSE_S = 0.0005


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest entry that was acknowledged."""

    number: int = 0
    sha256: str = GENESIS
    size: int = 0
    """Bytes of the log up to the end of its line."""


@dataclass(frozen=True)
class Snapshot:
    """A log as it stood at one moment; lines that others add meanwhile are not seen."""

    descriptor: int
    end: int
    """Where the last whole line ends, in bytes."""
    torn: bytes
    """What stands after it."""
    head: Head | None
    """None where `audit.head` is damaged."""

    def lines(self, start: int = 0) -> Iterator[bytes]:
        """The whole lines from byte `start` on, without their newlines."""
        if start >= self.end:
            return
        with os.fdopen(os.dup(self.descriptor), "rb") as file:
            position = file.seek(start)
            # Nothing is read where somebody cut the file meanwhile.
            while position < self.end and (line := file.readline()):
                position += len(line)
                yield line.removesuffix(b"\n")


def head_path(path: Path) -> Path:
    """`audit.head` for `audit.jsonl`."""
    return path.with_suffix(".head")


def read_head(path: Path) -> Head | None:
    """What `audit.head` says: entry 0 where there is no such file yet, None where it is damaged."""
    try:
        content = head_path(path).read_bytes()
    except FileNotFoundError:
        return Head()
    try:
        head = Head(**json.loads(content))
        is_sound = (type(head.number), type(head.size)) == (int, int) and _head_bytes(head) == content
    except (ValueError, TypeError):
        return None
    return head if is_sound and head.number > 0 else None


def write_head(path: Path, head: Head) -> None:
    """Put `head` in the place of the one before, whole or not at all.

    Raises:
        RunError: the disk is full or read-only.
    """
    write_atomically(head_path(path), _head_bytes(head))


def _head_bytes(head: Head) -> bytes:
    return canonical(asdict(head)) + b"\n"


@contextmanager
def locked(path: Path, flags: int, operation: int) -> Generator[int]:
    """The open log under a lock, which other threads, other processes and other logs on the file respect.

    Args:
        path: of the log.
        flags: of `os.open`.
        operation: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.

    Raises:
        OSError: it cannot be opened.
        RunError: another process holds it for too long.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        _wait_for_lock(path, descriptor, operation)
        try:
            yield descriptor
        finally:
            # Closing alone would not do where a child that was forked meanwhile holds the file open.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _wait_for_lock(path: Path, descriptor: int, operation: int) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RunError(
                    f"{path}: another process has kept it locked for {LOCK_TIMEOUT_S:g} s; see what holds it"
                ) from None
        time.sleep(_LOCK_PAUSE_S)


@contextmanager
def snapshot(path: Path) -> Generator[Snapshot]:
    """Read a log without keeping writers waiting; a log that is not there is an empty one.

    Raises:
        RunError: a file cannot be read.
    """
    try:
        with ExitStack() as stack:
            try:
                descriptor = stack.enter_context(locked(path, os.O_RDONLY, fcntl.LOCK_SH))
            except FileNotFoundError:
                shot = Snapshot(-1, 0, b"", read_head(path))
            else:
                size = os.fstat(descriptor).st_size
                end = line_start(descriptor, size)
                shot = Snapshot(descriptor, end, os.pread(descriptor, size - end, end), read_head(path))
                # Whole lines never change again, so that they may be read without the lock.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            yield shot
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}; make it readable") from error

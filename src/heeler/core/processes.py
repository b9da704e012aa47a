"""Which process is which, and its end: a number alone may be another process's by now, or one of another machine's.

Linux only: everything is read from /proc. A process is held by a descriptor before it is looked at, so that what was
looked at is what is ended.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from heeler.core.errors import RunError

_PROC = Path("/proc")
_PAUSE_S = 0.002
_STANDSTILL_S = 0.05
_MAX_LOOKS = 50


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process, for as long as it lives."""

    pid: int
    started: int
    """When, in clock ticks after its machine was started."""
    boot: str
    """Names that start of the machine."""
    namespace: str
    """Of process ids: a container has its own."""
    host: str
    """For people to read."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What was ended."""

    pids: tuple[int, ...]
    """The process first, then those that it had started; empty where it had ended before."""
    took_s: float


@dataclass(frozen=True)
class _Status:
    parent: int
    session: int
    started: int
    state: str


def this_process() -> Process | None:
    """The one that asks; None where there is no /proc to tell by."""
    status, here = _status(os.getpid()), _here()
    if status is None or here is None:
        return None
    boot, namespace = here
    return Process(pid=os.getpid(), started=status.started, boot=boot, namespace=namespace, host=socket.gethostname())


def is_alive(process: Process) -> bool:
    """Whether it still lives, on this machine; one that has ended and was not yet waited for does not."""
    status = _status(process.pid)
    is_here = (process.boot, process.namespace) == _here()
    return is_here and status is not None and status.started == process.started and status.state not in "ZX"


def has_open(process: Process, path: Path) -> bool:
    """Whether a process has a file open; taken for so where nobody can look: on another machine, of another user."""
    if (process.boot, process.namespace) != _here():
        return True
    folder = _PROC / str(process.pid) / "fd"
    try:
        wanted = path.stat()
        for name in os.listdir(folder):
            with suppress(OSError):
                found = (folder / name).stat()
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return is_alive(process)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def kill(process: Process, *, within_s: float = 5.0) -> Killed:
    """End a process and those that it started, at once and whatever they are doing.

    What it started in a session of its own, such as a web service beside a learner, goes on, and so does whoever asks.

    Args:
        process: as it named itself.
        within_s: how long to wait for its end.

    Raises:
        RunError: it is another machine's or another user's, or it does not end.
    """
    began_s = time.monotonic()
    if (process.boot, process.namespace) != _here():
        raise RunError(
            f"process {process.pid} of {process.host} is none of this machine and container, from where alone it can "
            "be ended"
        )
    with ExitStack() as held:
        main = _hold(held, process.pid)
        status = _status(process.pid)
        if main is None or status is None or status.started != process.started or status.state in "ZX":
            return Killed(pids=(), took_s=time.monotonic() - began_s)
        family = {process.pid: main}
        try:
            _send(main, signal.SIGSTOP)
        except PermissionError as error:
            raise RunError(f"process {process.pid} belongs to another user; ask them, or root, to end it") from error
        try:
            _stop_descendants(held, process.pid, status.session, family)
        finally:
            # Whatever came between: what was stopped must not stay so. The one that starts others is the first.
            for descriptor in family.values():
                _send(descriptor, signal.SIGKILL)
        left = _wait(family, began_s + within_s)
        if left:
            raise RunError(
                f"{', '.join(map(str, left))} did not end within {within_s:g} s of being killed: the kernel waits for "
                "a device there; see to the disk or the driver, or restart the machine"
            )
        return Killed(pids=tuple(family), took_s=time.monotonic() - began_s)


def _stop_descendants(held: ExitStack, pid: int, session: int, family: dict[int, int]) -> None:
    """Hold and stop all that a stopped process has started, until a look finds no more."""
    _await_standstill(pid)
    for _ in range(_MAX_LOOKS):
        found = [one for one in _descendants(pid, session) if one not in family]
        if not found:
            return
        for one in found:
            descriptor = _hold(held, one)
            if descriptor is None:
                continue
            status = _status(one)
            # Between the look and the hold the number may have gone to another.
            if status is not None and status.session == session and status.parent in family:
                with suppress(PermissionError):
                    _send(descriptor, signal.SIGSTOP)
                    family[one] = descriptor
        for one in found:
            _await_standstill(one)


def _descendants(pid: int, session: int) -> Iterator[int]:
    """Ids of the processes below one, in its session, parents first; not of whoever asks."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit() and (status := _status(int(entry))) is not None and status.session == session:
            children.setdefault(status.parent, []).append(int(entry))
    todo = [pid]
    while todo:
        for child in children.get(todo.pop(0), ()):
            if child != os.getpid():
                todo.append(child)
                yield child


def _await_standstill(pid: int) -> None:
    """Wait until a process that was told to stop makes nothing more; not for long, as it may hang in the kernel."""
    deadline_s = time.monotonic() + _STANDSTILL_S
    while (status := _status(pid)) is not None and status.state not in "TtZX":
        if time.monotonic() > deadline_s:
            return
        time.sleep(_PAUSE_S)


def _wait(family: dict[int, int], deadline_s: float) -> list[int]:
    """Wait for the end of all; returns those that have not come to it."""
    left = {descriptor: pid for pid, descriptor in family.items()}
    ends = select.poll()
    for descriptor in left:
        ends.register(descriptor, select.POLLIN)
    while left and (left_s := deadline_s - time.monotonic()) > 0:
        for descriptor, _ in ends.poll(1000 * left_s):
            ends.unregister(descriptor)
            del left[descriptor]
    return list(left.values())


def _hold(held: ExitStack, pid: int) -> int | None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        raise RunError(f"process {pid} cannot be held: {error.strerror or error}") from error
    held.callback(os.close, descriptor)
    return descriptor


def _send(descriptor: int, number: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)


def _status(pid: int) -> _Status | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name before, in brackets, may hold anything. Fields 3, 4, 6 and 22 of proc(5).
    fields = text.rpartition(")")[2].split()
    return _Status(parent=int(fields[1]), session=int(fields[3]), started=int(fields[19]), state=fields[0])


def _here() -> tuple[str, str] | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return boot, os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return None

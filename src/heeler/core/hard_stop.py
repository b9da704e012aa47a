"""The hard stop: a learner's process is ended, whatever it does, and its run says by whom.

Nothing comes before the end of the process that could keep it waiting: neither the store nor the audit log, both of
which a learner that hangs may have locked. Who asked is written aside first, so that a run whose stopper died on the
way still tells; the audit log takes its line once the process is gone and whatever it held is free. A line that the
learner was in the midst of is put aside by the log as after any crash (`core.audit`). The run goes on from its newest
checkpoint.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.errors import ConflictError, RunError
from heeler.core.processes import Process, kill
from heeler.core.rundir import RunDirectory

HARD_STOP_NAME = "hard_stop.json"
"""What is known of the newest hard stop of a run."""
ACT = "run.hard_stop"
_FREE_WITHIN_S = 2.0
_PAUSE_S = 0.005


@dataclass(frozen=True, kw_only=True)
class HardStop:
    """One that was asked for, and what came of it."""

    id: str
    """A UUID made by who asks: the same again ends no other learner."""
    person: str
    asked_unix_s: float
    pid: int
    num_processes: int = 0
    """What was ended: the learner, and what it had started."""
    took_s: float | None = None
    """Seconds until all had ended; None where that is not known."""
    is_noted: bool = False
    """Whether the audit log tells of it."""

    @property
    def outcome(self) -> str:
        """In words."""
        if self.took_s is None:
            return f"process {self.pid} was being ended"
        others = f" and {self.num_processes - 1} that it had started" if self.num_processes > 1 else ""
        return f"process {self.pid}{others} ended within {self.took_s:.2f} s; the newest checkpoint is kept"


def hard_stop(
    directory: RunDirectory,
    stop_id: str,
    person: str,
    *,
    mark: Callable[[HardStop], object] = lambda stop: None,
) -> HardStop:
    """End the learner of a run now.

    Args:
        directory: of the run.
        stop_id: a UUID made by who asks; the same again is what it was.
        person: the id of who asks.
        mark: called at the end, to mark the run's store.

    Returns:
        What was ended; the audit log tells of it.

    Raises:
        ConflictError: no learner is at work.
        RunError: the process is another machine's or another user's, or does not end; or it has ended, and the log
            cannot be written.
    """
    known = newest(directory)
    if known is not None and known.id == stop_id and known.took_s is not None:
        return _told(directory, replace(known, person=person), mark)
    process = directory.learner()
    if process is None:
        raise ConflictError(f"{directory.path}: no learner is at work on this run; there is nothing to stop")
    stop = HardStop(id=stop_id, person=person, asked_unix_s=time.time(), pid=process.pid)
    _keep(directory, stop)
    return _told(directory, _ended(directory, stop, process), mark)


def settle(directory: RunDirectory) -> HardStop | None:
    """Have the audit log tell of a hard stop whose stopper did not come to it; returns that.

    For the next learner, which holds the run: whatever was being ended has ended.

    Raises:
        RunError: the log cannot be written.
    """
    stop = newest(directory)
    if stop is None or stop.is_noted:
        return None
    return _told(directory, stop, lambda stop: None)


def newest(directory: RunDirectory) -> HardStop | None:
    """What is known of the newest hard stop; None where there was none, or nothing whole is left of it."""
    with suppress(OSError, ValueError, TypeError):
        return HardStop(**json.loads((directory.path / HARD_STOP_NAME).read_bytes()))
    return None


def _ended(directory: RunDirectory, stop: HardStop, process: Process) -> HardStop:
    killed = kill(process)
    began_s = time.monotonic()
    while directory.is_locked():
        if time.monotonic() - began_s > _FREE_WITHIN_S:
            raise RunError(
                f"process {process.pid} has ended, and another that it started still holds {directory.path}; "
                f"`fuser {directory.path / '.lock'}` tells which"
            )
        time.sleep(_PAUSE_S)
    took_s = killed.took_s + time.monotonic() - began_s
    ended = replace(stop, num_processes=len(killed.pids), took_s=round(took_s, 3))
    _keep(directory, ended)
    return ended


def _told(directory: RunDirectory, stop: HardStop, mark: Callable[[HardStop], object]) -> HardStop:
    """Once: in the audit log, aside, and to the store."""
    if not stop.is_noted:
        details: dict[str, Any] = {"id": stop.id, "pid": stop.pid, "num_processes": stop.num_processes}
        details |= {"asked_unix_s": round(stop.asked_unix_s, 3), "took_s": stop.took_s}
        AuditLog(directory.path / AUDIT_NAME).append(stop.person, ACT, directory.path.absolute().name, **details)
        stop = replace(stop, is_noted=True)
        # From now on the log alone knows who it was.
        _keep(directory, replace(stop, person=""))
    mark(stop)
    return stop


def _keep(directory: RunDirectory, stop: HardStop) -> None:
    """Write it aside, whole, if that can be done: neither a full disk nor a slow one keeps anybody from stopping."""
    path = directory.path / HARD_STOP_NAME
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        aside.write_text(json.dumps(asdict(stop)))
        os.replace(aside, path)

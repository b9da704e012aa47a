"""What a person at this machine tells a run through the command line. Light: nothing of what learns is loaded."""

import time
import uuid
from pathlib import Path

from heeler.core.attention import call
from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.errors import RunError
from heeler.core.hard_stop import HardStop
from heeler.core.nouns import URGENT_KINDS, Command, CommandKind
from heeler.core.rundir import RunDirectory
from heeler.feedback.commands import of_hard_stop, why
from heeler.feedback.stores import has_store, open_store

_POLL_S = 0.05


def tell(path: Path, kind: CommandKind, value: int | None, *, person: str, because: str | None = None) -> Command:
    """Tell a run something; when this returns, it is kept, and the learner is called where it is urgent.

    Args:
        path: the run's directory.
        kind: of the command.
        value: what some kinds take.
        person: who stands in the audit log.
        because: why; it stands there too.

    Raises:
        RunError: there is no run, or none that reads commands.
        DataError: the command is none, or the reason no text.
        StoreError: its store cannot be opened.
    """
    directory = RunDirectory.open(path)
    if not has_store(directory):
        raise RunError(
            f"{path} reads no commands: it has not begun, or it learns from data alone; heeler stop --hard ends a "
            "learner all the same"
        )
    reason = why(because)
    command = Command(id=str(uuid.uuid4()), kind=kind, value=value, person=person, asked_unix_s=time.time())

    def note() -> None:
        log = AuditLog(directory.path / AUDIT_NAME)
        log.append(person, f"command.{kind}", directory.path.absolute().name, id=command.id, value=value, **reason)

    with open_store(directory) as store:
        kept = store.ask_command(command, before_commit=note)
    if kind in URGENT_KINDS:
        call(directory.path)
    return kept


def outcome_of(path: Path, command: Command, *, within_s: float) -> str | None:
    """What came of a command, waited for; None where the learner has not answered within that time."""
    deadline_s = time.monotonic() + within_s
    with open_store(RunDirectory.open(path)) as store:
        while True:
            outcome = next((one.outcome for _, one in store.commands(limit=100) if one.id == command.id), None)
            if outcome is not None or time.monotonic() > deadline_s:
                return outcome
            time.sleep(_POLL_S)


def mark_hard_stop(path: Path, stop: HardStop) -> None:
    """Have the store of a run tell of a hard stop, where it has one."""
    directory = RunDirectory.open(path)
    if has_store(directory):
        with open_store(directory) as store:
            store.ask_command(of_hard_stop(stop))

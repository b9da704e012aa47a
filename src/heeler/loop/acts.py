"""What the learner did, in its run's hash-chained audit log: begun, resumed, obeyed, stopped, diverged, finished."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from heeler.core.audit import AUDIT_NAME, AuditEntry, AuditLog
from heeler.core.errors import HeelerError, LearningError, RunError, RunHalted, RunStopped, WorldError
from heeler.core.hard_stop import settle
from heeler.core.nouns import Command
from heeler.core.rundir import RunDirectory


class HasStep(Protocol):
    """Something that knows how far it has learned."""

    step: int


HALT = "run.halt"
"""The act of a run that overseers ended."""
LEARNER = "learner"
"""Who did what the learner did by itself."""
_MAX_WORDS = 1000


class Acts:
    """Writes the acts of one run's learner; a handful in a run, each of them flushed to the disk.

    A hard stop before this, whose stopper died before it had told the log, is told first.

    Args:
        directory: of the run, which is held; the log is its `audit.jsonl`.

    Raises:
        RunError: the log cannot be written, or was tampered with.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._run = directory.path.absolute().name
        self._log = AuditLog(directory.path / AUDIT_NAME)
        settle(directory)

    def note(self, act: str, **details: Any) -> AuditEntry:
        """Write that the learner did `act`; returns the line.

        Raises:
            RunError: the log cannot be written, or was tampered with.
        """
        return self._log.append(LEARNER, act, self._run, **details)

    def note_command(self, command: Command, outcome: str, *, obeyed: bool) -> None:
        """Write what became of a command. Before it is acknowledged: one cut short by a crash is obeyed and told again.

        Raises:
            RunError: the log cannot be written, or was tampered with.
        """
        act = "command.obeyed" if obeyed else "command.refused"
        told = {"id": command.id, "kind": command.kind, "value": command.value, "asked_by": command.person}
        self.note(act, **told, outcome=outcome[:_MAX_WORDS])

    @contextmanager
    def ending(self, online: HasStep) -> Generator[None]:
        """Write how the block ended, if it was cut short; the error that cut it short is raised as it is."""
        try:
            yield
        except (HeelerError, KeyboardInterrupt) as error:
            # The log may be what cannot be written; that must not hide what happened.
            with suppress(RunError):
                self.note(_ending(error), step=online.step, **_words(error))
            raise


def _ending(error: BaseException) -> str:
    match error:
        case RunHalted():
            return HALT
        case RunStopped():
            return "run.stop"
        case LearningError():
            return "run.diverge"
        case WorldError():
            return "run.world_failed"
        case KeyboardInterrupt():
            return "run.interrupt"
        case _:
            return "run.fail"


def _words(error: BaseException) -> dict[str, Any]:
    problem = {"problem": str(error)[:_MAX_WORDS]}
    if isinstance(error, RunHalted):
        return problem | {"evidence": error.evidence}
    return {} if isinstance(error, KeyboardInterrupt | RunStopped) else problem

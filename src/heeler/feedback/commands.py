"""What operators told the learner to do, as rows that it reads between two updates."""

import time
from typing import Any, cast

from sqlalchemy import Connection, Row, insert, select, update

from heeler.core.errors import ConflictError, DataError, did_you_mean
from heeler.core.hard_stop import HardStop
from heeler.core.nouns import COMMAND_KINDS, Command, CommandKind
from heeler.feedback import rows, schema
from heeler.feedback.form import check_text, check_whole
from heeler.feedback.intake import check_key

_TABLE = schema.commands
_MOST_WORDS = 1000
_WITH_VALUE = {"roll_back": "the step of a checkpoint", "set_budget": "a number of comparisons"}


def of_hard_stop(stop: HardStop) -> Command:
    """How a store is told of a hard stop: as a command that was obeyed before the learner could read it."""
    return Command(
        id=stop.id,
        kind="hard_stop",
        person=stop.person,
        asked_unix_s=stop.asked_unix_s,
        done_unix_s=time.time(),
        outcome=stop.outcome,
    )


def why(because: str | None) -> dict[str, str]:
    """What a command's line of the audit log says of the reason for it; nothing where nobody gave one.

    It stands there alone: a store would hand it on, and a checkpoint can forget nobody whom it names.

    Raises:
        DataError: it is blank, or too long.
    """
    return {} if because is None else {"because": check_text(because, "because", max_length=_MOST_WORDS)}


def check_command(command: Command) -> None:
    """Refuse what the learner could not obey.

    Raises:
        DataError: naming the field.
    """
    check_key(command.id, "id")
    if command.kind not in COMMAND_KINDS:
        raise DataError(f"kind: unknown kind {command.kind!r}.{did_you_mean(str(command.kind), COMMAND_KINDS)}")
    if command.kind in _WITH_VALUE:
        check_whole(command.value, "value", low=0 if command.kind == "roll_back" else 1, high=10**15)
    elif command.value is not None:
        raise DataError(f"value: {command.kind} takes none, got {command.value}; leave it out")


def ask(connection: Connection, command: Command) -> tuple[Command, bool]:
    """Keep a command; the same again is the one that was kept. Returns it, and whether it is new."""
    check_command(command)
    rows.check_fits(_TABLE, {"person": command.person})
    known = connection.execute(select(_TABLE).where(_TABLE.c.id == command.id)).one_or_none()
    if known is None:
        fields = ("id", "kind", "value", "person", "asked_unix_s", "done_unix_s", "outcome")
        connection.execute(insert(_TABLE).values({name: getattr(command, name) for name in fields}))
        return command, True
    kept = _command(known)
    if (kept.kind, kept.value, kept.person) != (command.kind, command.value, command.person):
        raise ConflictError(f"id: {command.id} came before with another command; a new command needs a new id")
    return kept, False


def finish(connection: Connection, command_id: str, outcome: str) -> None:
    """Note what came of a command; the first outcome stays."""
    unfinished = (_TABLE.c.id == command_id) & (_TABLE.c.done_unix_s.is_(None))
    connection.execute(update(_TABLE).where(unfinished).values(done_unix_s=time.time(), outcome=outcome))


def waiting(connection: Connection) -> list[Command]:
    """What was not obeyed yet, the oldest first."""
    wanted = select(_TABLE).where(_TABLE.c.done_unix_s.is_(None)).order_by(_TABLE.c.number)
    return [_command(row) for row in connection.execute(wanted)]


def newest(connection: Connection, *, limit: int, before: int | None) -> list[tuple[int, Command]]:
    """Commands with their numbers, the newest first."""
    wanted = select(_TABLE).order_by(_TABLE.c.number.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(_TABLE.c.number < before)
    return [(row.number, _command(row)) for row in connection.execute(wanted)]


def _command(row: Row[Any]) -> Command:
    return Command(
        id=row.id,
        kind=cast(CommandKind, row.kind),
        value=row.value,
        person=row.person,
        asked_unix_s=row.asked_unix_s,
        done_unix_s=row.done_unix_s,
        outcome=row.outcome,
    )

"""What operators tell a run: pause, slow, freeze, roll back, stop, and so on. A hard stop is done here."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import cast

from fastapi import Request

from heeler.core.attention import call
from heeler.core.hard_stop import HardStop, hard_stop
from heeler.core.nouns import URGENT_KINDS, Command, CommandKind
from heeler.feedback.commands import check_command, of_hard_stop, why
from heeler.feedback.stores import has_store
from heeler.service.bodies import CommandBody, CommandOut, Page
from heeler.service.context import Cursor, Limit, Service, caller_of, number_of, service_of
from heeler.service.permissions import Permission
from heeler.service.routes.table import Entry


def ask(request: Request, run: str, body: CommandBody) -> CommandOut:
    """Tell the learner something, once for each id: the same again changes nothing and is answered the same.

    `hard_stop` waits for no learner: its process, which must be one of this machine, has ended when this is answered.
    """
    service, person = service_of(request), caller_of(request).person.id
    command = Command(
        id=body.id,
        kind=cast(CommandKind, body.kind),
        value=body.value,
        person=person,
        asked_unix_s=time.time(),
    )

    reason = why(body.because)
    if command.kind == "hard_stop":
        return _stop_at_once(service, run, command, reason)
    opened = service.runs.open(run)

    def note() -> None:
        service.audit.append(person, f"command.{command.kind}", run, id=command.id, value=command.value, **reason)

    kept = opened.store.ask_command(command, before_commit=note)
    if kept.kind in URGENT_KINDS and kept.done_unix_s is None:
        call(opened.directory.path)
    return CommandOut(**asdict(kept))


def _stop_at_once(service: Service, run: str, command: Command, reason: Mapping[str, str]) -> CommandOut:
    """End the learner first; a store or a log that it keeps locked is free after that."""
    check_command(command)
    directory, kept = service.runs.directory(run), command

    def mark(stop: HardStop) -> None:
        nonlocal kept
        kept = of_hard_stop(stop)

        def note() -> None:
            service.audit.append(stop.person, "command.hard_stop", run, id=stop.id, outcome=stop.outcome, **reason)

        if has_store(directory):
            kept = service.runs.open(run).store.ask_command(kept, before_commit=note)
        else:
            note()

    hard_stop(directory, command.id, command.person, mark=mark)
    return CommandOut(**asdict(kept))


def list_commands(request: Request, run: str, limit: Limit = 100, cursor: Cursor = None) -> Page[CommandOut]:
    """Commands and what came of them, the newest first."""
    store = service_of(request).runs.open(run).store
    found = store.commands(limit=limit, before=None if cursor is None else number_of(cursor, 0))
    items = [CommandOut(**asdict(command)) for _, command in found]
    return Page(items=items, next=str(found[-1][0]) if len(found) == limit else None)


ROUTES = (
    Entry(method="POST", path="/runs/{run}/commands", permission=Permission.STEER, endpoint=ask, answer=CommandOut),
    Entry(
        method="GET",
        path="/runs/{run}/commands",
        permission=Permission.READ_RUNS,
        endpoint=list_commands,
        answer=Page[CommandOut],
    ),
)

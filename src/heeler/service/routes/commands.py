"""What operators tell a run: pause, resume, stop, roll back, another budget. The learner obeys between two updates."""

import time
from dataclasses import asdict
from typing import cast

from fastapi import Request

from heeler.core.nouns import Command, CommandKind
from heeler.service.bodies import CommandBody, CommandOut, Page
from heeler.service.context import Cursor, Limit, caller_of, number_of, service_of
from heeler.service.permissions import Permission
from heeler.service.routes.table import Entry


def ask(request: Request, run: str, body: CommandBody) -> CommandOut:
    """Tell the learner something, once for each id: the same again changes nothing and is answered the same."""
    service, person = service_of(request), caller_of(request).person.id
    store = service.runs.open(run).store
    command = Command(
        id=body.id,
        kind=cast(CommandKind, body.kind),
        value=body.value,
        person=person,
        asked_unix_s=time.time(),
    )

    def note() -> None:
        service.audit.append(person, f"command.{command.kind}", run, id=command.id, value=command.value)

    return CommandOut(**asdict(store.ask_command(command, before_commit=note)))


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

"""What routes share: the service that they belong to, who asks, and cursors."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Query, Request

from heeler.service.accounts.accounts import Accounts
from heeler.service.audit import Audit
from heeler.service.audit_pages import AuditChecks
from heeler.service.callers import Caller, Callers
from heeler.service.chat.chat import Chat
from heeler.service.clip import Clips
from heeler.service.config import ServiceConfig
from heeler.service.driving import Drives
from heeler.service.films import Films
from heeler.service.guard import Guard
from heeler.service.problems import Problem
from heeler.service.rate_limits import RateLimit
from heeler.service.runs import Runs
from heeler.service.static_files import StaticFiles
from heeler.service.work_book import WorkBook

Limit = Annotated[int, Query(ge=1, le=1000, description="the most items of one page")]
Cursor = Annotated[str | None, Query(max_length=300, description="`next` of the page before")]


@dataclass(kw_only=True)
class Service:
    """Everything that one service holds."""

    config: ServiceConfig
    audit: Audit
    accounts: Accounts
    callers: Callers
    guard: Guard
    book: WorkBook
    runs: Runs
    static: StaticFiles
    clips: Clips
    audit_checks: AuditChecks
    films: Films
    drives: Drives
    chat: Chat | None
    """What people talk to; None where no model is served."""
    logins_of_name: RateLimit
    logins_from: RateLimit
    first_password: str | None
    """Of `admin`, where this start made them; it is kept nowhere else."""
    stopping: bool = False
    num_streams: dict[str, int] = field(default_factory=dict)

    def close(self) -> None:
        """Write what waits and close everything."""
        if self.chat is not None:
            self.chat.close()
        self.book.close()
        self.films.close()
        self.drives.close()
        self.runs.close()
        self.accounts.close()


def service_of(request: Request) -> Service:
    """The service that is asked."""
    return request.app.state.service


def chat_of(service: Service) -> Chat:
    """What people talk to.

    Raises:
        Problem: 404, no model is served.
    """
    if service.chat is None:
        raise Problem(404, "no model is served here; start one with `heeler serve MODEL_OR_RUN`")
    return service.chat


def caller_of(request: Request) -> Caller:
    """Who asks; only in routes that are not public."""
    caller: Caller | None = request.state.caller
    assert caller is not None
    return caller


def number_of(cursor: str | None, default: int) -> int:
    """A cursor that is a number.

    Raises:
        Problem: 422, it is none of ours.
    """
    if cursor is None:
        return default
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 15:
        raise Problem(422, f"cursor: expected `next` of the page before, got {cursor!r}", field="cursor")
    return int(cursor)

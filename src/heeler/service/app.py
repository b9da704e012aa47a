"""The application: everything that one service holds, and its routes."""

import functools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from heeler import __version__
from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.errors import ConfigError
from heeler.service import pages, problems
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import FILE_NAME
from heeler.service.audit import Audit
from heeler.service.audit_pages import AuditChecks
from heeler.service.callers import Callers
from heeler.service.chat.chat import Chat
from heeler.service.chat.setup import ChatSetup
from heeler.service.clip import Clips
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
from heeler.service.driving import Drives
from heeler.service.films import Films
from heeler.service.forwarded import Forwarded
from heeler.service.guard import ApiRoute, Guard, check_guarded
from heeler.service.outer import Outer
from heeler.service.rate_limits import RateLimit
from heeler.service.routes import audit as audit_routes
from heeler.service.routes import (
    care,
    chat,
    commands,
    consent,
    drive,
    events,
    feedback,
    flags,
    forgetting,
    gold,
    health,
    leases,
    openai,
    operate,
    pay,
    people,
    queries,
    releases,
    session,
    shown,
    trust,
    watch,
)
from heeler.service.routes import runs as run_routes
from heeler.service.routes.table import route_of, schemas_of
from heeler.service.runs import Runs
from heeler.service.static_files import StaticFiles
from heeler.service.trouble import answered
from heeler.service.work_book import WorkBook

_OPERATING = (operate, releases, audit_routes)
# The first is asked most.
_ROUTES = (
    feedback,
    openai,
    chat,
    leases,
    shown,
    watch,
    drive,
    events,
    commands,
    run_routes,
    *_OPERATING,
    session,
    people,
    consent,
    care,
    flags,
    queries,
    gold,
    trust,
    pay,
    forgetting,
    health,
    pages,
)
_FASTAPIS_OWN = "HTTPValidationError"
_LOGINS_PER_S, _LOGINS_BURST = 1 / 60, 5
_LOGINS_FROM_PER_S, _LOGINS_FROM_BURST = 1 / 5, 30


def create_app(config: ServiceConfig, audit: Audit | None = None, chat: ChatSetup | None = None) -> FastAPI:
    """The application of a folder of runs.

    Args:
        config: of the service.
        audit: takes a line for every change before it is committed; without one, audit.jsonl in the folder.
        chat: the model that people talk to, if any.

    Raises:
        ConfigError: the folder is none, or a route has no permission.
        StoreError: people.db cannot be opened.
    """
    if not config.runs.is_dir():
        raise ConfigError(f"runs must be a folder, got {config.runs}, which is none; make it first")
    service = _service(config, audit if audit is not None else AuditLog(config.runs / AUDIT_NAME), chat)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        yield
        service.stopping = True
        service.close()

    # The pages of FastAPI's documentation load scripts from elsewhere; the document itself is a route of ours.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.openapi = _document
    app.state.service = service
    app.router.redirect_slashes = False
    app.router.routes.extend(_routes())
    problems.install(app, answered)
    app.add_middleware(Outer)
    if config.behind_proxy:
        app.add_middleware(Forwarded)
    check_guarded(app)
    return app


@functools.cache
def _routes() -> tuple[ApiRoute, ...]:
    """Every route. A route finds the service of its app in the request, so that all apps of a process share them."""
    return tuple(route_of(entry, module.__name__.rpartition(".")[2]) for module in _ROUTES for entry in module.ROUTES)


@functools.cache
def _document() -> dict[str, Any]:
    """The OpenAPI document, made when it is first asked for: that takes longer than all else at the start."""
    document = get_openapi(
        title="heeler",
        version=__version__,
        summary="Agents that go on learning from people while they work.",
        routes=_routes(),
    )
    schemas = document["components"]["schemas"]
    schemas |= schemas_of(entry for module in _ROUTES for entry in module.ROUTES)
    # FastAPI adds what it would answer by itself, where nothing can be wrong with the form of a request.
    for operation in (one for path in document["paths"].values() for one in path.values()):
        if _FASTAPIS_OWN in str(operation["responses"].get("422")):
            del operation["responses"]["422"]
    for name in (_FASTAPIS_OWN, "ValidationError"):
        schemas.pop(name, None)
    return document


def _service(config: ServiceConfig, audit: Audit, chat_setup: ChatSetup | None) -> Service:
    accounts = Accounts(
        config.runs / FILE_NAME, audit, session_idle_s=config.session_idle_s, session_s=config.session_s
    )
    callers, book = Callers(accounts), WorkBook(accounts)
    runs = Runs(config, audit, book)
    return Service(
        config=config,
        audit=audit,
        accounts=accounts,
        callers=callers,
        guard=Guard(config, callers),
        book=book,
        runs=runs,
        static=StaticFiles(),
        clips=Clips(),
        audit_checks=AuditChecks(),
        films=Films(),
        drives=Drives(),
        chat=None if chat_setup is None else Chat(chat_setup, runs, audit),
        logins_of_name=RateLimit(per_s=_LOGINS_PER_S, burst=_LOGINS_BURST),
        logins_from=RateLimit(per_s=_LOGINS_FROM_PER_S, burst=_LOGINS_FROM_BURST),
        first_password=accounts.people.make_first_admin(),
    )

"""Who did what, for operators: the service's audit log and those of its runs."""

from typing import Annotated

from fastapi import Query, Request

from heeler.core.audit import AUDIT_NAME
from heeler.core.errors import RunError
from heeler.service.audit_pages import AuditSource, of_run, page, without_answers
from heeler.service.bodies import Page
from heeler.service.bodies_operate import AuditPageOut, OperatorOut
from heeler.service.context import Limit, service_of
from heeler.service.permissions import ROLES, Permission
from heeler.service.routes.table import Entry

Cursor = Annotated[str | None, Query(max_length=100, description="`next` of the page before")]
Check = Annotated[bool, Query(description="verify the whole chain of each log as well")]
Answers = Annotated[bool, Query(description="with a line for every group of answers")]


def service_audit(
    request: Request, limit: Limit = 100, cursor: Cursor = None, check: Check = False, answers: Answers = True
) -> AuditPageOut:
    """The service's log, the newest entry first."""
    source = AuditSource(
        name="service",
        path=service_of(request).config.runs / AUDIT_NAME,
        is_wanted=lambda entry: answers or without_answers(entry),
    )
    return _page(request, [source], limit=limit, cursor=cursor, check=check)


def run_audit(
    request: Request, run: str, limit: Limit = 100, cursor: Cursor = None, check: Check = False, answers: Answers = True
) -> AuditPageOut:
    """What was done to a run, by its learner and through this service, the newest entry first."""
    service, is_of_run = service_of(request), of_run(run)
    directory = service.runs.directory(run)
    sources = [
        AuditSource(
            name="service",
            path=service.config.runs / AUDIT_NAME,
            is_wanted=lambda entry: is_of_run(entry) and (answers or without_answers(entry)),
        ),
        AuditSource(name="run", path=directory.path / AUDIT_NAME, is_wanted=lambda entry: True),
    ]
    return _page(request, sources, limit=limit, cursor=cursor, check=check)


def _page(request: Request, sources: list[AuditSource], *, limit: int, cursor: str | None, check: bool) -> AuditPageOut:
    service = service_of(request)
    checks = [service.audit_checks.check(source) for source in sources] if check else None
    try:
        found = page(sources, cursor=cursor, limit=limit)
    except RunError:
        # A log that was tampered with cannot be paged through; who asked for a check is told what is wrong with it.
        if checks is None or all(one.is_sound for one in checks):
            raise
        found = AuditPageOut(items=[], next=None, checks=None)
    return found.model_copy(update={"checks": checks})


def list_operators(request: Request) -> Page[OperatorOut]:
    """Names of those who steer runs, to be shown instead of their ids; those who only answer are not among them."""
    people = service_of(request).accounts.people
    items: list[OperatorOut] = []
    after = ""
    while found := people.page(after=after, limit=500):
        items += [OperatorOut(id=p.id, name=p.name) for p in found if Permission.STEER in ROLES[p.role]]
        after = found[-1].id
    return Page(items=items, next=None)


_AUDIT = Permission.READ_AUDIT
ROUTES = (
    Entry(method="GET", path="/audit", permission=_AUDIT, endpoint=service_audit, answer=AuditPageOut),
    Entry(method="GET", path="/runs/{run}/audit", permission=_AUDIT, endpoint=run_audit, answer=AuditPageOut),
    Entry(method="GET", path="/operators", permission=_AUDIT, endpoint=list_operators, answer=Page[OperatorOut]),
)

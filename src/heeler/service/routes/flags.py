"""Content that not everybody wants to see: people flag it while they answer, and admins look at the flags."""

from dataclasses import asdict

from fastapi import Request

from heeler.service.bodies import Page
from heeler.service.bodies_care import FlagBody, FlagOut
from heeler.service.care import require_consent
from heeler.service.context import Cursor, Limit, caller_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem, unknown
from heeler.service.routes.table import Entry


def flag(request: Request, run: str, query_id: str, body: FlagBody) -> None:
    """Say what a query shows that not everybody wants to see, and give it back. It is not asked again of who flagged
    it, nor of anybody who chose not to see such.
    """
    service, person = service_of(request), require_consent(request).person
    opened = service.runs.open(run)
    if not opened.knows(person):
        opened.introduce(person)

    def note() -> None:
        service.audit.append(person.id, "flags.add", run, query_id=query_id, category=body.category)

    opened.store.flags.add(query_id, person.id, body.category, body.note, before_commit=note)


def list_flags(request: Request, run: str, limit: Limit = 100, cursor: Cursor = None) -> Page[FlagOut]:
    """Flags by query."""
    store = service_of(request).runs.open(run).store
    found = store.flags.page(after=_place(cursor), limit=limit)
    items = [FlagOut(**asdict(flag)) for flag in found]
    last = found[-1] if len(found) == limit else None
    return Page(items=items, next=None if last is None else f"{last.query_id}|{last.category}|{last.annotator}"[:300])


def unflag(request: Request, run: str, query_id: str, category: str) -> None:
    """Take a flag away, whoever set it; everybody may be asked the query again."""
    service, by = service_of(request), caller_of(request).person.id
    store = service.runs.open(run).store

    def note() -> None:
        service.audit.append(by, "flags.remove", run, query_id=query_id, category=category)

    if not store.flags.remove(query_id, category, before_commit=note):
        raise unknown("flag", f"{query_id} {category}", "category")


def _place(cursor: str | None) -> tuple[str, str, str]:
    if cursor is None:
        return ("", "", "")
    parts = cursor.split("|", 2)
    if len(parts) != 3:
        raise Problem(422, f"cursor: expected `next` of the page before, got {cursor!r}", field="cursor")
    return parts[0], parts[2], parts[1]


ROUTES = (
    Entry(
        method="POST",
        path="/runs/{run}/leases/{query_id}/flag",
        permission=Permission.ANSWER,
        endpoint=flag,
        status=204,
    ),
    Entry(
        method="GET",
        path="/runs/{run}/flags",
        permission=Permission.READ_FEEDBACK,
        endpoint=list_flags,
        answer=Page[FlagOut],
    ),
    Entry(
        method="DELETE",
        path="/runs/{run}/flags/{query_id}/{category}",
        permission=Permission.SETTINGS,
        endpoint=unflag,
        status=204,
    ),
)

"""Queries as those look at them who answer for how people are asked: what they show, and that nobody is to be asked."""

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.kinds import KINDS, QUESTIONS
from heeler.service.bodies import Page
from heeler.service.bodies_care import AskedOut, QueryOut, SetAsideBody, SetAsideOut
from heeler.service.bodies_shown import ShownOut
from heeler.service.context import Cursor, Limit, caller_of, number_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import unknown
from heeler.service.routes.shown import KEPT, film_answer, segment_at, shown_of
from heeler.service.routes.table import Entry
from heeler.service.runs import OpenRun


def list_queries(request: Request, run: str, limit: Limit = 100, cursor: Cursor = None) -> Page[AskedOut]:
    """Queries, the newest first."""
    before = None if cursor is None else number_of(cursor, 0)
    found = service_of(request).runs.open(run).store.newest_queries(limit=limit, before=before)
    items = [AskedOut(query_id=query.id, kind=query.kind, num_answers=answers) for _, query, answers in found]
    return Page(items=items, next=str(found[-1][0]) if len(found) == limit else None)


def get_query(request: Request, run: str, query_id: str) -> QueryOut:
    """What a query asks."""
    opened = service_of(request).runs.open(run)
    query = _query(opened, query_id)
    return QueryOut(
        query_id=query.id,
        kind=query.kind,
        question=opened.store.setting(QUESTIONS, {}).get(query.kind, KINDS[query.kind].question),
        num_segments=len(query.segment_ids),
        set_aside=opened.store.flags.is_set_aside(query.id),
    )


def get_segment(request: Request, response: Response, run: str, query_id: str, place: int) -> ShownOut:
    """A segment that a query asks about: its numbers, and how its film is laid out."""
    opened = service_of(request).runs.open(run)
    segment_id = segment_at(_query(opened, query_id), place)
    response.headers.update(KEPT)
    return shown_of(opened, segment_id)


async def get_film(request: Request, run: str, query_id: str, place: int) -> Response:
    """The film of a segment that a query asks about: one WebP sheet of pictures."""
    opened = await run_in_threadpool(service_of(request).runs.open, run)
    query = await run_in_threadpool(_query, opened, query_id)
    return await film_answer(request, opened, segment_at(query, place))


def set_aside(request: Request, run: str, body: SetAsideBody) -> None:
    """Ask a query of nobody any more. Answers that it has stay."""
    service, by = service_of(request), caller_of(request).person.id

    def note() -> None:
        service.audit.append(by, "queries.set_aside", run, query_id=body.query_id)

    service.runs.open(run).store.flags.set_aside(body.query_id, by, before_commit=note)


def list_set_aside(request: Request, run: str, limit: Limit = 100, cursor: Cursor = None) -> Page[SetAsideOut]:
    """Queries that are asked of nobody any more."""
    found = service_of(request).runs.open(run).store.flags.set_aside_page(after=cursor or "", limit=limit)
    items = [SetAsideOut.model_validate(one, from_attributes=True) for one in found]
    return Page(items=items, next=found[-1].query_id if len(found) == limit else None)


def put_back(request: Request, run: str, query_id: str) -> None:
    """Ask a query again that was set aside."""
    service, by = service_of(request), caller_of(request).person.id

    def note() -> None:
        service.audit.append(by, "queries.put_back", run, query_id=query_id)

    if not service.runs.open(run).store.flags.put_back(query_id, before_commit=note):
        raise unknown("query that is set aside", query_id, "query_id")


def _query(opened: OpenRun, query_id: str) -> Query:
    try:
        return opened.store.queries([query_id])[0]
    except DataError:
        raise unknown("query", query_id, "query_id") from None


_READ, _SETTINGS = Permission.READ_FEEDBACK, Permission.SETTINGS
_QUERY, _ASIDE = "/runs/{run}/queries/{query_id}", "/runs/{run}/set-aside"
_SEGMENT = _QUERY + "/segments/{place}"
ROUTES = (
    Entry(method="GET", path="/runs/{run}/queries", permission=_READ, endpoint=list_queries, answer=Page[AskedOut]),
    Entry(method="GET", path=_QUERY, permission=_READ, endpoint=get_query, answer=QueryOut),
    Entry(method="GET", path=_SEGMENT, permission=_READ, endpoint=get_segment, answer=ShownOut),
    Entry(method="GET", path=f"{_SEGMENT}/film", permission=_READ, endpoint=get_film, media_type="image/webp"),
    Entry(method="POST", path=_ASIDE, permission=_SETTINGS, endpoint=set_aside, status=204),
    Entry(method="GET", path=_ASIDE, permission=_READ, endpoint=list_set_aside, answer=Page[SetAsideOut]),
    Entry(method="DELETE", path=f"{_ASIDE}/{{query_id}}", permission=_SETTINGS, endpoint=put_back, status=204),
)

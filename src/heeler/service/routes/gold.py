"""Gold items: queries whose right answer an admin knows, mixed in unseen. How people did is for admins alone."""

from dataclasses import asdict

from fastapi import Request

from heeler.service.bodies import Page
from heeler.service.bodies_gold import GoldBody, GoldOut, GoldResultOut
from heeler.service.context import Cursor, Limit, caller_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import unknown
from heeler.service.routes.table import Entry


def add(request: Request, run: str, body: GoldBody) -> None:
    """Say what the right answer to a query is: from then on everybody may be asked it, now and then."""
    service, by = service_of(request), caller_of(request).person.id

    def note() -> None:
        service.audit.append(by, "gold.add", run, query_id=body.query_id)

    service.runs.open(run).store.gold.add(body.query_id, body.value, by, before_commit=note)


def list_gold(request: Request, run: str, limit: Limit = 100, cursor: Cursor = None) -> Page[GoldOut]:
    """Gold items by query."""
    found = service_of(request).runs.open(run).store.gold.page(after=cursor or "", limit=limit)
    items = [GoldOut(**asdict(item)) for item in found]
    return Page(items=items, next=found[-1].query_id if len(found) == limit else None)


def remove(request: Request, run: str, query_id: str) -> None:
    """Make a gold item an ordinary query again; its answers stay."""
    service, by = service_of(request), caller_of(request).person.id

    def note() -> None:
        service.audit.append(by, "gold.remove", run, query_id=query_id)

    if not service.runs.open(run).store.gold.remove(query_id, before_commit=note):
        raise unknown("gold item", query_id, "query_id")


def results(request: Request, run: str) -> Page[GoldResultOut]:
    """How everybody did who was asked any."""
    found = service_of(request).runs.open(run).store.gold.results()
    items = [GoldResultOut(person_id=r.annotator, num_asked=r.num_asked, num_right=r.num_right) for r in found]
    return Page(items=items, next=None)


_GOLD, _SETTINGS = "/runs/{run}/gold", Permission.SETTINGS
ROUTES = (
    Entry(method="POST", path=_GOLD, permission=_SETTINGS, endpoint=add, status=204),
    Entry(method="GET", path=_GOLD, permission=_SETTINGS, endpoint=list_gold, answer=Page[GoldOut]),
    Entry(
        method="GET",
        path="/runs/{run}/gold-results",
        permission=_SETTINGS,
        endpoint=results,
        answer=Page[GoldResultOut],
    ),
    Entry(method="DELETE", path="/runs/{run}/gold/{query_id}", permission=_SETTINGS, endpoint=remove, status=204),
)

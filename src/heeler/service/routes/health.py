"""Whether the service works, and the description of its API."""

from fastapi import Request

from heeler.service.bodies import HealthOut
from heeler.service.context import service_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem
from heeler.service.routes.table import Entry


def health(request: Request) -> HealthOut:
    """Whether the service can read its database and is not stopping."""
    service = service_of(request)
    if service.stopping:
        raise Problem(503, "the service is stopping")
    service.accounts.people.page(after="", limit=1)
    return HealthOut(status="ok")


def openapi(request: Request) -> dict[str, object]:
    """This document."""
    return request.app.openapi()


ROUTES = (
    Entry(method="GET", path="/health", permission=Permission.PUBLIC, endpoint=health, answer=HealthOut),
    Entry(method="GET", path="/openapi.json", permission=Permission.PUBLIC, endpoint=openapi, answer=dict[str, object]),
)

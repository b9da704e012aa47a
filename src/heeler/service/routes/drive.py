"""Showing how it is done: a world of the run's kind, driven step by step, whose stretch becomes a segment."""

from fastapi import Request

from heeler.service.bodies_shown import DrivenOut, DriveOut, DriveStepsBody
from heeler.service.context import caller_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem
from heeler.service.routes.shown import held_query
from heeler.service.routes.table import Entry


def begin(request: Request, run: str, query_id: str) -> DriveOut:
    """Begin a world at its start. It moves only when it is told to; one that was begun before is closed."""
    service, person = service_of(request), caller_of(request).person
    opened = service.runs.open(run)
    query = held_query(request, opened, query_id)
    facts = opened.world
    if query.kind != "demonstration" or facts is None or not facts.can_be_driven:
        raise Problem(409, f"query {query_id} is none that a demonstration from the keyboard can answer")
    return service.drives.run(lambda: service.drives.begin(person.id, facts, query).out())


def step(request: Request, run: str, query_id: str, body: DriveStepsBody) -> DriveOut:
    """Do something, for one step or several; after the episode's end nothing more happens."""
    service, person = service_of(request), caller_of(request).person
    held_query(request, service.runs.open(run), query_id)
    return service.drives.run(lambda: service.drives.step(person.id, query_id, body.actions))


def finish(request: Request, run: str, query_id: str) -> DrivenOut:
    """Keep what was driven as a segment of the run, whose id is then the value of the demonstration. Asked again, it is
    the same segment.
    """
    service, person = service_of(request), caller_of(request).person
    opened = service.runs.open(run)
    held_query(request, opened, query_id)
    segment = service.drives.run(lambda: service.drives.of(person.id, query_id).finish(person.id))
    opened.store.add_segments(
        [segment],
        shown_by=person.id,
        before_commit=lambda: service.audit.append(person.id, "segments.add", run, segment=segment.id),
    )
    return DrivenOut(segment_id=segment.id, num_steps=len(segment))


_PATH = "/runs/{run}/leases/{query_id}/drive"
_ANSWER = Permission.ANSWER
ROUTES = (
    Entry(method="POST", path=_PATH, permission=_ANSWER, endpoint=begin, answer=DriveOut, status=201),
    Entry(method="POST", path=f"{_PATH}/steps", permission=_ANSWER, endpoint=step, answer=DriveOut),
    Entry(method="POST", path=f"{_PATH}/finish", permission=_ANSWER, endpoint=finish, answer=DrivenOut, status=201),
)

"""What a leased query shows, for whoever holds the lease and nobody else."""

import asyncio

import numpy as np
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from heeler.core.nouns import Query, Segment, TextSegment
from heeler.service.bodies_shown import ActionsOut, CurvesOut, MessageOut, ShownOut, TextOut
from heeler.service.context import caller_of, service_of
from heeler.service.films import film_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem, unknown
from heeler.service.routes.table import Entry
from heeler.service.runs import OpenRun
from heeler.service.worlds import DEFAULT_STEP_S, actions_of, can_be_drawn

MAX_CURVE_STEPS, MAX_CURVES = 400, 16
# Who answers next on this browser has another cookie, and is not shown what the cache holds of the one before.
KEPT = {"Cache-Control": "private, max-age=86400, immutable", "Vary": "Cookie"}


def get_segment(request: Request, response: Response, run: str, query_id: str, place: int) -> ShownOut:
    """A segment that is asked about: its numbers, and how its film is laid out."""
    opened = service_of(request).runs.open(run)
    response.headers.update(KEPT)
    return shown_of(opened, segment_id_of(request, opened, query_id, place))


def shown_of(opened: OpenRun, segment_id: str) -> ShownOut:
    """A segment as it is shown."""
    segment = opened.store.segment(segment_id)
    if isinstance(segment, TextSegment):
        prompt = [MessageOut(role=message.role, content=message.content) for message in segment.prompt]
        return ShownOut(num_steps=len(segment), text=TextOut(prompt=prompt, completion=segment.completion))
    facts = opened.world if opened.world is not None and opened.world.config.id == segment.env_id else None
    return ShownOut(
        num_steps=len(segment),
        step_s=DEFAULT_STEP_S if facts is None else facts.step_s,
        film=film_of(len(segment)) if can_be_drawn(segment) else None,
        actions=ActionsOut(**vars(actions_of(segment) if facts is None else facts.actions)),
        curves=_curves(segment),
        can_drive=facts is not None and facts.can_be_driven,
    )


async def get_film(request: Request, run: str, query_id: str, place: int) -> Response:
    """The film of a segment that is asked about: one WebP sheet of pictures."""
    opened = await run_in_threadpool(service_of(request).runs.open, run)
    segment_id = await run_in_threadpool(segment_id_of, request, opened, query_id, place)
    return await film_answer(request, opened, segment_id)


async def film_answer(request: Request, opened: OpenRun, segment_id: str) -> Response:
    """The film of a segment, drawn where it was not yet."""
    service = service_of(request)
    content = await run_in_threadpool(service.films.kept, opened.directory.path, segment_id)
    if content is None:
        content = await asyncio.get_running_loop().run_in_executor(
            service.films.worker, _draw, request, opened, segment_id
        )
    return Response(content, media_type="image/webp", headers=KEPT)


def _draw(request: Request, opened: OpenRun, segment_id: str) -> bytes:
    segment = opened.store.segment(segment_id)
    if isinstance(segment, TextSegment) or not can_be_drawn(segment):
        raise Problem(404, "there is no film of this, only numbers or words", field="place")
    return service_of(request).films.drawn(opened.directory.path, segment_id, segment)


def held_query(request: Request, opened: OpenRun, query_id: str) -> Query:
    """The query, for who holds a lease on it.

    Raises:
        Problem: 404, as for a query that there is not.
    """
    query = opened.store.held_query(caller_of(request).person.id, query_id)
    if query is None:
        raise unknown("lease of yours on query", query_id, "query_id")
    return query


def segment_id_of(request: Request, opened: OpenRun, query_id: str, place: int) -> str:
    """The segment at a place of a query, for who holds a lease on it.

    Raises:
        Problem: 404.
    """
    return segment_at(held_query(request, opened, query_id), place)


def segment_at(query: Query, place: int) -> str:
    """The segment at a place of a query.

    Raises:
        Problem: 404.
    """
    if not 0 <= place < len(query.segment_ids):
        raise unknown("segment", str(place), "place")
    return query.segment_ids[place]


def _curves(segment: Segment) -> CurvesOut:
    num_steps = len(segment)
    number = min(num_steps, MAX_CURVE_STEPS)
    steps = [round(index * (num_steps - 1) / max(1, number - 1)) for index in range(number)]
    return CurvesOut(
        steps=steps,
        observation=_rounded(segment.observation[steps][:, :MAX_CURVES]),
        action=_rounded(segment.action[steps]),
    )


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[float(f"{value:.5g}") for value in row] for row in values]


_PATH = "/runs/{run}/leases/{query_id}/segments/{place}"
ROUTES = (
    Entry(method="GET", path=_PATH, permission=Permission.ANSWER, endpoint=get_segment, answer=ShownOut),
    Entry(method="GET", path=f"{_PATH}/film", permission=Permission.ANSWER, endpoint=get_film, media_type="image/webp"),
)

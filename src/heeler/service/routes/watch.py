"""A run that is watched while it acts: what comes next on the screen, and good and bad that people press.

To ask for what comes next is to watch: the agent acts for as long as somebody asks now and then.
"""

from typing import Any

import numpy as np
from fastapi import Query, Request
from starlette.responses import Response

from heeler.core import live
from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, Segment
from heeler.core.nouns import Query as Question
from heeler.service import metrics_file
from heeler.service.bodies import ReceiptOut
from heeler.service.bodies_watch import MarkBody, StretchOut, WatchOut
from heeler.service.care import check_day, require_consent, today_of
from heeler.service.context import caller_of, service_of
from heeler.service.films import film_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem, unknown
from heeler.service.routes.shown import KEPT, film_answer
from heeler.service.routes.table import Entry
from heeler.service.run_state import state_of
from heeler.service.runs import OpenRun
from heeler.service.worlds import can_be_drawn

HELD_S = 5.0
"""For how long after a stretch's end a press about it is still taken."""
_JOIN, _MOST, _MAX_NUMBERS = 2, 20, 16


def get_watch(request: Request, run: str, after: int | None = Query(default=None, ge=0)) -> WatchOut:
    """Stretches after number `after`, the oldest first; without it the newest two, for who comes in. A run that is
    shown to nobody yet begins to act once somebody asks.
    """
    service, person = service_of(request), require_consent(request).person
    opened = service.runs.open(run)
    pace = _pace(opened)
    if person.kind == "person":
        check_day(today_of(service, person.id))
    if not opened.knows(person):
        opened.introduce(person)
    live.say_watching(opened.directory.path)
    config = opened.directory.config()
    row = metrics_file.last_row(opened.directory.metrics_path) or {}
    return WatchOut(
        env_id=str(config["env"]["id"]),
        steps_per_second=pace,
        held_s=HELD_S,
        minutes=float(row.get("minutes", 0.0)),
        num_signals=int(row.get("signals", 0)),
        state=state_of(service.runs, opened.directory, config=config, row=row or None),
        items=[_stretch(opened, number, query) for number, query in _after(opened, after)],
    )


async def get_watched_film(request: Request, run: str, query_id: str) -> Response:
    """The pictures of a stretch as one WebP sheet."""
    opened = service_of(request).runs.open(run)
    answer = await film_answer(request, opened, _live_query(opened, query_id).segment_ids[0])
    answer.headers.update(KEPT)
    return answer


def add_mark(request: Request, run: str, body: MarkBody) -> ReceiptOut:
    """Keep a press, once for each key: it is on the disk when this is answered."""
    service, person = service_of(request), require_consent(request).person
    opened = service.runs.open(run)
    pace = _pace(opened)
    query = _live_query(opened, body.query_id)
    facts = opened.store.segment_facts(query.segment_ids)[query.segment_ids[0]]
    longest_s = facts.num_steps / pace + HELD_S
    if not 0 <= body.time_s <= longest_s:
        raise DataError(
            f"time_s: expected 0 to {longest_s:g}, as the stretch is on the screen no longer, got {body.time_s:g}"
        )
    if not opened.knows(person):
        opened.introduce(person)
    answer = Feedback(
        key=body.key,
        query_id=query.id,
        kind="evaluation",
        value={"marks": [{"time_s": body.time_s, "sign": body.sign}]},
        annotator=caller_of(request).person.id,
    )
    return ReceiptOut(key=body.key, position=opened.keep_mark(answer))


def _pace(opened: OpenRun) -> float:
    pace: Any = opened.directory.config().get("steps_per_second")
    if not isinstance(pace, int | float):
        raise Problem(409, f"run {opened.name!r} is none that is watched while it acts; answer its questions instead")
    return float(pace)


def _after(opened: OpenRun, after: int | None) -> list[tuple[int, Question]]:
    """Numbers and queries of live stretches, the oldest first."""
    most = _JOIN if after is None else _MOST
    newest = opened.store.newest_queries(limit=500 if after is not None else 50)
    found = [(number, query) for number, query, _ in newest if query.acquisition == live.LIVE]
    if after is None:
        return found[:most][::-1]
    return [one for one in reversed(found) if one[0] > after][:most]


def _live_query(opened: OpenRun, query_id: str) -> Question:
    try:
        (query,) = opened.store.queries([query_id])
    except DataError:
        raise unknown("stretch", query_id, "query_id") from None
    if query.acquisition != live.LIVE:
        raise unknown("stretch", query_id, "query_id")
    return query


def _stretch(opened: OpenRun, number: int, query: Question) -> StretchOut:
    segment = opened.store.segment(query.segment_ids[0])
    assert isinstance(segment, Segment)
    return StretchOut(
        number=number,
        query_id=query.id,
        first_step=query.asked_step - len(segment),
        num_steps=len(segment),
        begins=segment.start_step == 0,
        film=film_of(len(segment)) if can_be_drawn(segment) else None,
        observation=_rounded(segment.observation[:, :_MAX_NUMBERS]),
        action=_rounded(segment.action),
    )


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[float(f"{value:.5g}") for value in row] for row in values]


_ANSWER, _PATH = Permission.ANSWER, "/runs/{run}/watch"
ROUTES = (
    Entry(method="GET", path=_PATH, permission=_ANSWER, endpoint=get_watch, answer=WatchOut),
    Entry(
        method="GET",
        path=f"{_PATH}/{{query_id}}/film",
        permission=_ANSWER,
        endpoint=get_watched_film,
        media_type="image/webp",
    ),
    Entry(method="POST", path=f"{_PATH}/marks", permission=_ANSWER, endpoint=add_mark, answer=ReceiptOut),
)

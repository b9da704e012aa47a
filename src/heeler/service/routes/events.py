"""New metrics of a run as server-sent events, for as long as somebody listens."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from heeler.service import metrics_file
from heeler.service.callers import Caller
from heeler.service.context import Service, caller_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem
from heeler.service.routes.table import Entry

POLL_S = 0.25
_BEAT_S = 10.0
_ROWS_AT_ONCE = 200


async def get_events(request: Request, run: str, after_step: int | None = None) -> StreamingResponse:
    """Each new row of metrics as an event `metrics` whose id is the place after it. Who comes back with that id in
    `Last-Event-ID` misses none. An event `rewind` says that the run was rolled back: its later rows are void.
    """
    service, caller = service_of(request), caller_of(request)
    path = service.runs.directory(run).metrics_path
    last_id = request.headers.get("last-event-id", "")
    if last_id.isascii() and last_id.isdigit() and len(last_id) <= 15:
        offset = int(last_id)
    elif after_step is not None:
        offset = await run_in_threadpool(metrics_file.place_after_step, path, after_step)
    else:
        offset = await run_in_threadpool(metrics_file.size_of, path)
    if service.num_streams.get(caller.credential, 0) >= service.config.max_streams:
        raise Problem(429, f"there are {service.config.max_streams} streams already; close one first")
    stream = _events(request, service, caller, path, offset)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(request: Request, service: Service, caller: Caller, path: Path, offset: int) -> AsyncGenerator[bytes]:
    counts, name = service.num_streams, caller.credential
    counts[name] = counts.get(name, 0) + 1
    try:
        yield b"retry: 2000\n\n"
        silent_s = 0.0
        while not service.stopping:
            if not await run_in_threadpool(metrics_file.is_place, path, offset):
                offset = await run_in_threadpool(metrics_file.size_of, path)
                row = await run_in_threadpool(metrics_file.last_row, path)
                yield _event("rewind", offset, {"step": 0 if row is None else row["step"]})
            page = await run_in_threadpool(
                lambda at: metrics_file.read_page(path, offset=at, limit=_ROWS_AT_ONCE), offset
            )
            for row in page.rows:
                yield _event("metrics", page.offset if row is page.rows[-1] else None, row)
            offset = page.offset
            if not page.is_end:
                continue
            silent_s = 0.0 if page.rows else silent_s + POLL_S
            if silent_s >= _BEAT_S:
                silent_s = 0.0
                yield b": still here\n\n"
                # A key that was revoked, or a session that ended, must not be listened to for ever.
                if not await service.callers.again(caller):
                    return
            await asyncio.sleep(POLL_S)
    finally:
        counts[name] -= 1
        if not counts[name]:
            del counts[name]


def _event(name: str, place: int | None, value: dict[str, object]) -> bytes:
    # Only after the last row of a page is the place known, and a stream goes on from what was seen whole.
    head = f"event: {name}\n" + ("" if place is None else f"id: {place}\n")
    return f"{head}data: {json.dumps(value)}\n\n".encode()


ROUTES = (
    Entry(
        method="GET",
        path="/runs/{run}/events",
        permission=Permission.READ_RUNS,
        endpoint=get_events,
        media_type="text/event-stream",
    ),
)

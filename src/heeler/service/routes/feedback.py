"""Answers: one, or a batch that is kept whole or not at all. What is acknowledged is on the disk.

These two routes carry nearly all of the load, so that their endpoints read the body themselves.
"""

from typing import cast

from fastapi import Request
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from heeler.core.errors import HeelerError
from heeler.core.nouns import Feedback, FeedbackKind
from heeler.service.bodies import AnswerBody, BatchBody, FeedbackOut, Page, ReceiptOut, ReceiptsOut
from heeler.service.care import require_consent
from heeler.service.context import Cursor, Limit, caller_of, number_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem, problem_of
from heeler.service.routes.table import Entry
from heeler.service.runs import OpenRun

_ONE, _BATCH = TypeAdapter(AnswerBody), TypeAdapter(BatchBody)


async def add(request: Request) -> Response:
    """Keep one answer. The same key with the same body is answered the same; with another body it is refused (409)."""
    body = _ONE.validate_json(await request.body())
    run, person = await _run(request), caller_of(request).person.id
    position = (await run.commits.submit([_feedback(body, person)]))[0]
    return Response(f'{{"key":"{body.key}","position":{position}}}', media_type="application/json")


async def add_batch(request: Request) -> Response:
    """Keep a batch of answers, all or none."""
    answers = _BATCH.validate_json(await request.body()).feedback
    most = service_of(request).config.max_batch
    if len(answers) > most:
        raise Problem(422, f"feedback: expected at most {most} answers, got {len(answers)}", field="feedback")
    run, person = await _run(request), caller_of(request).person.id
    try:
        positions = await run.commits.submit([_feedback(answer, person) for answer in answers])
    except HeelerError as error:
        raise problem_of(error, is_batch=True) from error
    # Every key was found to be a UUID, so that it can stand in JSON as it is.
    kept = zip(answers, positions, strict=True)
    items = ",".join([f'{{"key":"{answer.key}","position":{position}}}' for answer, position in kept])
    return Response(f'{{"items":[{items}]}}', media_type="application/json")


def list_feedback(request: Request, run: str, limit: Limit = 100, cursor: Cursor = None) -> Page[FeedbackOut]:
    """Everybody's answers in the order in which they came. `next` is never null: later ones are asked for by it."""
    store, after = service_of(request).runs.open(run).store, number_of(cursor, 0)
    found = store.feedback_after(after, limit=limit, up_to_step=None)
    items = [FeedbackOut(position=position, **vars(answer)) for position, answer in found]
    return Page(items=items, next=str(found[-1][0] if found else after))


async def _run(request: Request) -> OpenRun:
    """The run, opened, and told who answers."""
    name, person, runs = request.path_params["run"], require_consent(request).person, service_of(request).runs
    run = runs.opened(name) or await run_in_threadpool(runs.open, name)
    if not run.knows(person):
        await run_in_threadpool(run.introduce, person)
    return run


def _feedback(body: AnswerBody, person: str) -> Feedback:
    return Feedback(
        key=body.key,
        query_id=body.query_id,
        kind=cast(FeedbackKind, body.kind),
        value=body.value,
        annotator=person,
        time_taken_s=body.time_taken_s,
        confidence=body.confidence,
        view=None if body.view is None else body.view.model_dump(),
    )


ROUTES = (
    Entry(
        method="POST",
        path="/runs/{run}/feedback",
        permission=Permission.ANSWER,
        endpoint=add,
        answer=ReceiptOut,
        plain_body=AnswerBody,
    ),
    Entry(
        method="POST",
        path="/runs/{run}/feedback/batch",
        permission=Permission.ANSWER,
        endpoint=add_batch,
        answer=ReceiptsOut,
        plain_body=BatchBody,
    ),
    Entry(
        method="GET",
        path="/runs/{run}/feedback",
        permission=Permission.READ_FEEDBACK,
        endpoint=list_feedback,
        answer=Page[FeedbackOut],
    ),
)

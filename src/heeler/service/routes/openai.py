"""Chat in OpenAI's form: what is written for that API works with this one."""

import asyncio
import json
from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from heeler.core.errors import HeelerError
from heeler.feedback.sides import is_flipped
from heeler.service.care import require_consent
from heeler.service.chat.answers import Part
from heeler.service.chat.asking import CompletionBody, CompletionOut, ModelOut, ModelsOut, read
from heeler.service.chat.chat import Chat, Place
from heeler.service.chat.openai_form import DONE, Form
from heeler.service.chat.openai_problem import OPENAI_PREFIX, ChatProblem, chat_problem_of, error_json
from heeler.service.chat.saying import query_id
from heeler.service.context import chat_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem
from heeler.service.routes.table import Entry

_BEAT_S = 10.0


async def complete(request: Request) -> Response:
    """Answer the messages of a chat, whole or (`stream`) as it comes. What is acknowledged is kept, with the version
    that gave it; the id names the answer in feedback. Fields that would be ignored are refused.
    """
    chat, caller = chat_of(service_of(request)), require_consent(request)
    asked = read(await request.body())
    try:
        place = await chat.begin(caller, asked)
    except HeelerError as error:
        raise chat_problem_of(error) from error
    answers = place.answers
    assert answers is not None
    is_pair = asked.num_choices == 2 and asked.conversation is not None
    pair = query_id("preference", (answers.id, 0), (answers.id, 1))
    form = Form(answers, flip=is_flipped(pair, caller.person.id) if is_pair else None)
    if asked.stream:
        return _Stream(_chunks(place, form), place)
    try:
        return await _whole(request, place, form)
    finally:
        place.close()


class _Stream(StreamingResponse):
    """Server-sent events; however it ends, what it holds is let go of."""

    def __init__(self, chunks: AsyncGenerator[bytes], place: Place) -> None:
        super().__init__(chunks, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._place.close()


async def _chunks(place: Place, form: Form) -> AsyncGenerator[bytes]:
    answers = place.answers
    assert answers is not None
    begun: set[int] = set()
    version = answers.model.version
    parts = aiter(answers.parts())
    try:
        while True:
            waiting = asyncio.ensure_future(anext(parts))
            try:
                # Whoever waits behind a proxy is not to be taken for dead.
                while not (await asyncio.wait({waiting}, timeout=_BEAT_S))[0]:
                    yield b": still here\n\n"
            finally:
                waiting.cancel()
            part = waiting.result()
            version = part.version
            if part.choice not in begun:
                begun.add(part.choice)
                yield form.first(part.choice, version)
            yield form.chunk(part)
    except StopAsyncIteration:
        if answers.asked.include_usage:
            yield form.usage_chunk(version)
        yield DONE
    except Exception as error:
        # The head has left: all that can be said now is said in the stream, which then ends without its last line.
        yield b"data: %b\n\n" % error_json(chat_problem_of(error))


async def _whole(request: Request, place: Place, form: Form) -> Response:
    """All at once; where nobody waits for it any more, it is let be."""
    parts = asyncio.ensure_future(_all_parts(place))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({parts, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not parts.done():
            raise Problem(400, "the connection ended before the answer was complete")
        return Response(json.dumps(form.whole(parts.result())), media_type="application/json")
    except HeelerError as error:
        raise chat_problem_of(error) from error
    finally:
        parts.cancel()
        gone.cancel()


async def _all_parts(place: Place) -> list[Part]:
    assert place.answers is not None
    return [part async for part in place.answers.parts()]


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def list_models(request: Request) -> ModelsOut:
    """The model that answers, by its name and by its name and version."""
    return ModelsOut(object="list", data=await _models(chat_of(service_of(request))))


async def get_model(request: Request, model: str) -> ModelOut:
    """One of the names by which it can be asked."""
    found = await _models(chat_of(service_of(request)))
    for one in found:
        if one.id == model:
            return one
    raise ChatProblem(404, f"model: there is no {model!a:.120}", code="model_not_found", field="model")


async def _models(chat: Chat) -> list[ModelOut]:
    try:
        model = await run_in_threadpool(chat.setup.engine.model)
    except HeelerError as error:
        raise chat_problem_of(error) from error
    since = int(model.since_unix_s)
    return [ModelOut(id=name, object="model", created=since, owned_by="heeler") for name in (model.name, model.label)]


ROUTES = (
    Entry(
        method="POST",
        prefix=OPENAI_PREFIX,
        path="/chat/completions",
        permission=Permission.CHAT,
        endpoint=complete,
        answer=CompletionOut,
        plain_body=CompletionBody,
        also=(404,),
    ),
    Entry(
        method="GET",
        prefix=OPENAI_PREFIX,
        path="/models",
        permission=Permission.CHAT,
        endpoint=list_models,
        answer=ModelsOut,
        also=(404,),
    ),
    Entry(
        method="GET",
        prefix=OPENAI_PREFIX,
        path="/models/{model}",
        permission=Permission.CHAT,
        endpoint=get_model,
        answer=ModelOut,
    ),
)

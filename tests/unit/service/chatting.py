"""A model that says what it is told to, guards that do what they are told to, and a service with both."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from heeler.core.chat import ChatModel, ChatPiece, ChatRequest, ChatToken
from heeler.core.errors import ContextTooLong, RunError
from heeler.core.nouns import TEXT
from heeler.core.rundir import RunDirectory
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.feedback.store import Store
from heeler.feedback.stores import TEXTS, open_store
from heeler.service.app import create_app
from heeler.service.chat.setup import ChatSetup
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
from tests.unit.service.helpers import API, HERE, Lines, add_key, add_person, bearer, store_of

RUN = "talks"
CHAT = "/v1/chat/completions"


class ScriptedStream:
    """Says words one by one."""

    def __init__(self, engine: "ScriptedEngine", request: ChatRequest, words: Sequence[str]) -> None:
        self.engine, self.request, self.words = engine, request, words
        self.num_prompt_tokens = sum(len(message.content.split()) for message in request.messages)
        self.version, self.cancelled = engine.version, False

    async def __aiter__(self) -> AsyncIterator[ChatPiece]:
        most = self.request.max_tokens
        for number, word in enumerate(self.words):
            await asyncio.sleep(self.engine.pause_s)
            if self.engine.fails_after is not None and number >= self.engine.fails_after:
                raise RunError("the model failed")
            if most is not None and number == most:
                yield ChatPiece(text="", num_tokens=0, version=self.version, finish_reason="length")
                return
            tokens = (ChatToken(text=word, logprob=-0.5),) if self.request.logprobs else ()
            yield ChatPiece(text=word, num_tokens=1, version=self.version, tokens=tokens)
        yield ChatPiece(text="", num_tokens=1, version=self.version, finish_reason="stop")

    def cancel(self) -> None:
        self.cancelled = True


class ScriptedEngine:
    """Says `script(request)`, a word at a time."""

    def __init__(self, script: Callable[[ChatRequest], str] = lambda request: "Hello there. How are you?") -> None:
        self.script, self.version, self.pause_s = script, 3, 0.0
        self.fails_after: int | None = None
        self.stopped: Exception | None = None
        self.streams: list[ScriptedStream] = []
        self.closed = False

    def model(self) -> ChatModel:
        if self.stopped is not None:
            raise self.stopped
        return ChatModel(name="tiny", version=self.version, step=7, max_tokens=100, since_unix_s=1_700_000_000.0)

    async def start(self, request: ChatRequest) -> ScriptedStream:
        if self.stopped is not None:
            raise self.stopped
        if sum(len(message.content) for message in request.messages) > 10_000:
            raise ContextTooLong("messages: 10001 tokens, and the model's context holds 100; shorten them")
        words = self.script(request).split(" ")
        stream = ScriptedStream(self, request, [word if n == 0 else f" {word}" for n, word in enumerate(words)])
        self.streams.append(stream)
        return stream

    def close(self) -> None:
        self.closed = True


class Rule:
    """A guard that judges by a function."""

    def __init__(self, name: str, judge: Callable[[TextSample], Verdict]) -> None:
        self.name, self._judge = name, judge
        self.seen: list[TextSample] = []

    def review(self, sample: TextSample) -> Verdict:
        self.seen.append(sample)
        return self._judge(sample)


def without(word: str, decision: Any = "veto", **more: Any) -> Rule:
    """A guard against a word."""
    return Rule(
        "words", lambda s: Verdict(decision=decision, **more) if word in s.completion else Verdict(decision="allow")
    )


def slow(seconds: float) -> Rule:
    """A guard that takes its time."""

    def judge(sample: TextSample) -> Verdict:
        time.sleep(seconds)
        return Verdict(decision="allow")

    return Rule("slow", judge)


def make_talks(folder: Path) -> None:
    """A run in which nothing learns, for what is said."""
    directory = RunDirectory.create(folder / RUN, {"recipe": TEXTS, "env": {"id": TEXT}})
    open_store(directory).close()


def setup_of(engine: ScriptedEngine, **settings: Any) -> ChatSetup:
    return ChatSetup(engine=engine, run=RUN, **settings)


def ask(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    """A body that asks."""
    return {"model": "tiny", "messages": [{"role": "user", "content": text}]} | fields


def echo(request: ChatRequest) -> str:
    """What was said last, and by chance one of two endings, by the seed."""
    ending = random.Random(request.seed).choice(["Yes.", "No."])
    return f"You said {request.messages[-1].content} {ending}"


class Place:
    """A service with a chat."""

    def __init__(self, folder: Path, setup: ChatSetup, audit: Lines) -> None:
        self.folder, self.audit = folder, audit
        self.app = create_app(ServiceConfig(runs=folder), audit, setup)
        self.service: Service = self.app.state.service
        self.client = TestClient(self.app, base_url=HERE)
        self.ann = add_person(self.service, "ann", "annotator")
        self.key = bearer(add_key(self.service, self.ann, "chat"))

    def post(self, body: Any, **headers: str) -> Any:
        return self.client.post(CHAT, json=body, headers=self.key | headers)

    def stream(self, body: dict[str, Any]) -> list[Any]:
        """The events of a stream."""
        with self.client.stream("POST", CHAT, json=body | {"stream": True}, headers=self.key) as found:
            assert found.status_code == 200, found.read()
            assert found.headers["content-type"].startswith("text/event-stream")
            lines = [line.removeprefix("data: ") for line in found.iter_lines() if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]

    def store(self) -> Store:
        return store_of(self.folder, RUN)

    def said(self, body: dict[str, Any]) -> Any:
        return self.client.post(f"{API}/chat/feedback", json=body, headers=self.key)

    @property
    def num_kept(self) -> int:
        with self.store() as store:
            return store.counts()["segments"]


def text_of(events: list[Any], choice: int = 0) -> str:
    found = [one for event in events if event != "[DONE]" for one in event["choices"] if one["index"] == choice]
    return "".join(one["delta"].get("content", "") for one in found)

"""Chat over real connections: the `openai` client, clients that go away, read slowly or close their half."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn

from heeler.service import server
from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
from tests.unit.service.chatting import RUN, ScriptedEngine, ask, echo, make_talks, setup_of, without
from tests.unit.service.helpers import Lines, add_key, add_person, store_of

LONG = "word " * 2000


class Live:
    """A service that listens, in a thread of this process, so that its engine can be looked at."""

    def __init__(self, folder: Path, engine: ScriptedEngine, **settings: Any) -> None:
        self.folder, self.engine = folder, engine
        config = ServiceConfig(runs=folder, port=0, send_timeout_s=1.0)
        chat = settings.pop("chat", {})
        app = create_app(config, Lines(), setup_of(engine, **chat))
        self.service: Service = app.state.service
        person = add_person(self.service, "ann", "annotator")
        self.key = add_key(self.service, person, "chat")
        self.socket = server._bound(config)
        self.port = self.socket.getsockname()[1]
        self.server = uvicorn.Server(server._uvicorn_config(config, app))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)

    @property
    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=self.key, max_retries=0)

    @property
    def num_held(self) -> int:
        assert self.service.chat is not None
        return sum(self.service.chat._num_each.values())

    @property
    def num_kept(self) -> int:
        with store_of(self.folder, RUN) as store:
            return store.counts()["segments"]

    def raw(self, body: dict[str, Any]) -> socket.socket:
        """A connection on which a request was sent."""
        content = json.dumps(body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(head.encode() + content)
        return connection

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


def until(holds: Callable[[], bool], within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


Lives = Callable[..., Live]


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Lives]:
    opened: list[Live] = []
    make_talks(tmp_path)

    def make(engine: ScriptedEngine, **settings: Any) -> Live:
        opened.append(Live(tmp_path, engine, **settings))
        return opened[-1]

    yield make
    for live in opened:
        live.stop()
        assert live.engine.closed


def test_the_openai_client(lives: Lives) -> None:
    live = lives(ScriptedEngine(echo))
    with live.client as client:
        assert [model.id for model in client.models.list()] == ["tiny", "tiny@3"]
        whole = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hi"}], seed=1)
        assert whole.choices[0].message.content is not None
        assert whole.choices[0].message.content.startswith("You said Hi")
        assert (whole.model, whole.choices[0].finish_reason) == ("tiny@3", "stop")
        assert whole.usage is not None and whole.usage.total_tokens == 6
        stream = client.chat.completions.create(
            model="tiny",
            messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
            temperature=0.5,
            max_tokens=3,
            seed=1,
            logprobs=True,
        )
        chunks = list(stream)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "You said Hi"
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
        assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3
        assert len({c.id for c in chunks}) == 1
        several = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hi"}], n=3)
        assert [choice.index for choice in several.choices] == [0, 1, 2]
        with client.chat.completions.stream(model="tiny", messages=[{"role": "user", "content": "Hi"}]) as events:
            assert events.get_final_completion().choices[0].message.content is not None


def test_the_openai_client_reads_the_errors(lives: Lives) -> None:
    engine = ScriptedEngine()
    live = lives(engine, chat={"max_answers_each": 1})
    messages: Any = [{"role": "user", "content": "Hi"}]
    with live.client as client:
        with pytest.raises(openai.NotFoundError, match="expected 'tiny'") as missing:
            client.chat.completions.create(model="gpt", messages=messages)
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError) as unknown:
            client.chat.completions.create(model="tiny", messages=messages, extra_body={"surprise": 1})
        assert unknown.value.code == "unknown_parameter"
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="tiny", messages=messages, n=2)
        engine.fails_after = 1
        with pytest.raises(openai.APIError, match="the model failed"):
            list(client.chat.completions.create(model="tiny", messages=messages, stream=True))
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="hlr_0_no").models.list()


@pytest.mark.parametrize("stream", [True, False])
def test_who_goes_away_is_not_answered_any_more(lives: Lives, stream: bool) -> None:
    engine = ScriptedEngine(lambda request: LONG)
    engine.pause_s = 0.01
    live = lives(engine)
    connection = live.raw(ask(stream=stream))
    if stream:
        assert b"200 OK" in connection.recv(1000)
    until(lambda: bool(engine.streams))
    connection.close()
    until(lambda: engine.streams[0].cancelled and live.num_held == 0)
    assert live.num_kept == 0


def test_who_has_closed_their_half_still_reads_the_answer(lives: Lives) -> None:
    live = lives(ScriptedEngine())
    for stream in (True, False):
        connection = live.raw(ask(stream=stream))
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(4096):
            found += part
        assert b"How" in found and b"stop" in found
        connection.close()
    until(lambda: live.num_held == 0)
    assert live.num_kept == 1, "twice the same"


def test_who_reads_nothing_is_cut_off_and_holds_nothing_up(lives: Lives) -> None:
    engine = ScriptedEngine(lambda request: "x" * 2000 + LONG * 20 if request.max_tokens is None else "short one")
    live = lives(engine)
    slow = live.raw(ask(stream=True, n=8))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    with live.client as client:
        quick = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hi"}], max_tokens=9)
        assert quick.choices[0].message.content == "short one"
    until(lambda: live.num_held == 0)
    assert all(stream.cancelled for stream in engine.streams)
    slow.close()


def test_many_streams_at_once(lives: Lives) -> None:
    engine = ScriptedEngine(echo)
    engine.pause_s = 0.001
    live = lives(engine, chat={"outgoing": (without("never said"),)})
    texts: dict[int, str] = {}

    def talk(number: int) -> None:
        with live.client as client:
            messages: Any = [{"role": "user", "content": f"number {number}"}]
            stream = client.chat.completions.create(model="tiny", messages=messages, stream=True, seed=number)
            texts[number] = "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(texts[number].startswith(f"You said number {number} ") for number in range(20))
    assert live.num_kept == 20
    assert live.num_held == 0

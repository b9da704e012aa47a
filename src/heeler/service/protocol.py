"""HTTP connections that cannot be held for ever: by a head that never ends, or by an answer that nobody reads."""

import asyncio
from http import HTTPStatus
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from heeler.service.outer import ALWAYS, Outer
from heeler.service.problems import MEDIA_TYPE, Problem

MAX_HEAD_BYTES = 64 * 1024
_GO_ON, _ASK_EVERY_S = b"HTTP/1.1 100 Continue\r\n\r\n", 1.0


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    raise Problem(503, "there are too many connections; come back later", headers={"Connection": "close"})


_busy = cast(ASGI3Application, Outer(_refuse))
"""Answers in the app's place where there are too many connections."""


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with time limits; patient, but not for ever.

    Set `header_timeout_s` and `send_timeout_s` on a subclass made by `patient`.
    """

    header_timeout_s = 10.0
    send_timeout_s = 30.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._gone_timer: asyncio.TimerHandle | None = None
        self._num_head_bytes = 0
        self._in_head = True
        self._has_ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget every timer."""
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what comes, as long as a head is not too long."""
        self._num_head_bytes += len(data) if self._in_head else 0
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._num_head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("The head of the request is too long.")
        elif self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete):
            # Something came between two requests, and nothing else is waiting for the rest of it.
            self._await_head()

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with what is no HTTP, as everything that is wrong is said, and hang up."""
        problem = Problem(400, msg)
        body = problem.body()
        headers = [*ALWAYS, (b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        lines = [name + b": " + value for name, value in [*headers, (b"connection", b"close")]]
        phrase = HTTPStatus(problem.status).phrase.encode()
        self.transport.write(b"\r\n".join([b"HTTP/1.1 %d %b" % (problem.status, phrase), *lines, b"", body]))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, _busy if app is service_unavailable else app)

    def eof_received(self) -> bool | None:
        """Who has closed their half may still read the answer to what they sent whole."""
        self._has_ended = True
        is_answering = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        if is_answering and self.scheme == "http":
            self.cycle.keep_alive = False
            self._ask_whether_gone()
            return True
        return None

    def _ask_whether_gone(self) -> None:
        """Who has gone altogether looks as who has closed their half, until what is sent to them comes back."""
        if self.cycle is None or self.cycle.response_started or self.transport.is_closing():
            return
        # To who reads, this says nothing.
        self.transport.write(_GO_ON)
        self._gone_timer = self.loop.call_later(_ASK_EVERY_S, self._ask_whether_gone)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True
        self._await_head()

    def on_headers_complete(self) -> None:
        """A head has come."""
        self._in_head, self._num_head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """What comes next is a head."""
        super().on_response_complete()
        self._in_head = True

    def pause_writing(self) -> None:
        """The client reads too slowly: begin to wait for it."""
        super().pause_writing()
        if self._send_timer is None:
            self._send_timer = self.loop.call_later(self.send_timeout_s, self._abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _await_head(self) -> None:
        # One timer for the whole head: what trickles in does not move it.
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.header_timeout_s, self._abort)

    def _abort(self) -> None:
        self._stop_timers()
        self.transport.abort()

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._send_timer, self._gone_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._send_timer = self._gone_timer = None


def patient(*, header_timeout_s: float, send_timeout_s: float) -> type[PatientProtocol]:
    """The protocol with these limits."""
    limits = {"header_timeout_s": header_timeout_s, "send_timeout_s": send_timeout_s}
    return type("PatientProtocol", (PatientProtocol,), limits)

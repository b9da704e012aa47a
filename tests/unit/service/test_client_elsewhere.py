"""The client where what answers is no heeler service, is busy, or hangs."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from heeler.service.client import Client, ServiceError, TooMany, Unreachable


class Elsewhere(BaseHTTPRequestHandler):
    """Something on the way that is no heeler service: /STATUS/... answers so."""

    answers: list[tuple[int, dict[str, str], bytes]]

    def do_GET(self) -> None:
        status, headers, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {}, b"<html>"), "what answers at .* is no heeler service, or one of another version"),
        ((200, {}, b'{"status": 3}'), r"or one of another version: status: Input should be a valid string"),
        ((301, {"Location": "https://x.example/"}, b""), "the service sends to https://x.example/; give the client"),
        ((500, {}, b"<html>"), "HTTP 500"),
        ((418, {}, b""), "HTTP 418"),
    ],
)
def test_what_is_no_service_is_told(elsewhere: str, answer: tuple, message: str) -> None:
    Elsewhere.answers = [answer]
    with Client(elsewhere, key="hlr_0_0", patience_s=5) as client, pytest.raises(ServiceError, match=message):
        client.health()


def test_it_comes_again_when_it_is_told_to(elsewhere: str) -> None:
    Elsewhere.answers = [
        (429, {"Retry-After": "1"}, b""),
        (503, {"Retry-After": "1"}, b""),
        (200, {}, b'{"status":"ok"}'),
    ]
    began_s = time.monotonic()
    with Client(elsewhere, patience_s=10) as client:
        assert client.health().status == "ok"
    assert 2 <= time.monotonic() - began_s < 6


def test_a_wait_that_is_longer_than_its_patience_is_told_at_once(elsewhere: str) -> None:
    Elsewhere.answers = [(429, {"Retry-After": "36000"}, b"")]
    began_s = time.monotonic()
    with Client(elsewhere, patience_s=10) as client, pytest.raises(TooMany) as caught:
        client.health()
    assert caught.value.retry_after_s == 36000
    assert time.monotonic() - began_s < 2


def test_a_service_that_hangs_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url, began_s = f"http://127.0.0.1:{silent.getsockname()[1]}", time.monotonic()
        with Client(url, timeout_s=0.3, patience_s=1) as client, pytest.raises(Unreachable):
            client.health()
        assert time.monotonic() - began_s < 3

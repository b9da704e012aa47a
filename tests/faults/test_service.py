"""The service under bad luck: killed, on a full disk, with clients that are slow, silent or half gone; no answer that
was acknowledged is lost, none is kept twice, and nobody can hold the service for ever.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from heeler.core.audit import AuditLog
from heeler.core.nouns import Query
from heeler.core.rundir import RunDirectory
from heeler.loop.running import resume
from heeler.service.client import Client
from tests.faults.answering import NUM_UPDATES
from tests.unit.service.helpers import API, ENVIRONMENT, Served, answer_to, bearer, make_keys, make_run, store_of

ANSWERING = Path(__file__).parent / "answering.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "runs"
    made.mkdir()
    return made


def kept(folder: Path, name: str = "run") -> dict[str, int]:
    """Positions of the answers in a run's store, by key."""
    with store_of(folder, name) as store:
        return {answer.key: position for position, answer in store.feedback_after(0, limit=10**6, up_to_step=None)}


def test_people_teach_a_run_through_the_service(folder):
    """A learner, the service and two programs, each a process or thread of its own, on one run; with a pause."""
    path = folder / "run"
    command = [sys.executable, str(ANSWERING), str(path), "--as-learner"]
    keys = make_keys(folder, "annotator", number=2)
    (boss,) = make_keys(folder, "operator", "read_runs", "steer", "read_feedback")
    learner = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ended = threading.Event()

    def answer(url: str, key: str) -> None:
        with Client(url, key=key) as client:
            while not ended.is_set():
                for run in client.tasks():
                    for lease in client.lease(run, count=3):
                        client.answer(run, lease, {"choice": "left"}, time_taken_s=0.1)
                time.sleep(0.05)

    try:
        with Served(folder) as served, Client(served.url, key=boss) as olga:
            people = [threading.Thread(target=answer, args=(served.url, key)) for key in keys]
            for person in people:
                person.start()
            wait_for(lambda: (path / "heeler.db").exists() and olga.run("run").step)
            pause = olga.command("run", "pause")
            wait_for(lambda: next(olga.commands("run")).done_unix_s is not None)
            paused_by = olga.run("run").paused_by
            olga.command("run", "resume")
            out, err = learner.communicate(timeout=120)
            ended.set()
            for person in people:
                person.join(timeout=30)
            assert (learner.returncode, err) == (0, ""), out
            answers = list(olga.feedback("run"))
            outcomes = [(command.kind, command.outcome is not None) for command in olga.commands("run")]
    finally:
        ended.set()
        learner.kill()
        learner.communicate()
    assert paused_by == pause.person
    assert outcomes == [("resume", True), ("pause", True)]
    assert len({answer.query_id for answer in answers}) == len(answers) == 24, "each was asked once"
    assert 1 <= len({answer.annotator for answer in answers}) <= 2
    rows = RunDirectory.open(path).metrics()
    assert [row["update"] for row in rows if "elapsed_s" in row] == list(range(1, NUM_UPDATES + 1))
    assert rows[-1]["fits"] >= 1
    assert rows[-1]["labels_used"] >= 6
    resume(path)


def wait_for(condition, *, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_killed_service_has_lost_nothing_that_it_acknowledged(folder):
    queries = make_run(folder, num_queries=150)
    keys = make_keys(folder, number=3)
    acknowledged: dict[str, int] = {}
    sent: list[dict] = []

    def post(url: str, key: str, own: list) -> None:
        with httpx2.Client(base_url=url + API, headers=bearer(key)) as http:
            for query in own:
                body = answer_to(query)
                sent.append(body | {"sender": key})
                try:
                    answer = http.post("/runs/run/feedback", json=body)
                except httpx2.TransportError:
                    return
                assert answer.status_code == 200, answer.text
                acknowledged[body["key"]] = answer.json()["position"]

    with Served(folder) as served:
        posting = [
            threading.Thread(target=post, args=(served.url, key, queries[place::3])) for place, key in enumerate(keys)
        ]
        for thread in posting:
            thread.start()
        wait_for(lambda: len(acknowledged) >= 30)
        served.stop(signal.SIGKILL)
        for thread in posting:
            thread.join(timeout=30)
    assert 30 <= len(acknowledged) < 150
    found = kept(folder)
    assert acknowledged.items() <= found.items()
    with Served(folder) as served:
        # Who does not know whether it was kept sends it again.
        for body in sent:
            sender = body.pop("sender")
            answer = httpx2.post(f"{served.url}{API}/runs/run/feedback", json=body, headers=bearer(sender))
            assert answer.status_code == 200, answer.text
            assert answer.json()["position"] == found.get(body["key"], answer.json()["position"])
    assert kept(folder).keys() == {body["key"] for body in sent}


def test_every_answer_in_the_store_has_its_line_before_it(folder):
    """The audit log names as many answers as there are, at the least, wherever the service was killed."""
    queries = make_run(folder, num_queries=60)
    (key,) = make_keys(folder)
    with Served(folder) as served:
        with httpx2.Client(base_url=served.url + API, headers=bearer(key)) as http:
            for query in queries[:20]:
                assert http.post("/runs/run/feedback", json=answer_to(query)).status_code == 200
        served.stop(signal.SIGKILL)
    lines = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    named = sum(sum(line["details"]["by"].values()) for line in lines if line["act"] == "feedback.add")
    assert named >= len(kept(folder)) == 20


def limit_files(process: subprocess.Popen, size: int) -> None:
    """From now on the kernel refuses every write of the process beyond the size, as it would on a disk that is full."""
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.mark.parametrize("name", ["run/heeler.db-wal", "audit.jsonl"])
def test_on_a_full_disk_answers_are_refused_until_there_is_room(folder, name):
    queries = make_run(folder, num_queries=40)
    (key,) = make_keys(folder)
    with Served(folder) as served, httpx2.Client(base_url=served.url + API, headers=bearer(key)) as http:
        assert http.post("/runs/run/feedback", json=answer_to(queries[0])).status_code == 200
        if name == "audit.jsonl":
            # The larger of the two meets the limit first.
            log = AuditLog(folder / name)
            for _ in range(80):
                log.append("somebody", "test.much", text="x" * 50_000)
        limit_files(served.process, (folder / name).stat().st_size)
        bodies = [answer_to(query) for query in queries[1:]]
        refused = [http.post("/runs/run/feedback", json=body) for body in bodies]
        assert refused[-1].status_code == 503
        assert {answer.status_code for answer in refused} <= {200, 503}
        assert refused[-1].headers["retry-after"] == "2"
        assert "full" in refused[-1].json()["detail"] or "too large" in refused[-1].json()["detail"]
        assert http.get("/health").status_code == 200
        assert http.post("/runs/run/leases", json={}).status_code in (200, 503)
        limit_files(served.process, resource.RLIM_INFINITY)
        again = [http.post("/runs/run/feedback", json=body) for body in bodies]
        assert {answer.status_code for answer in again} == {200}
        told = {body["key"]: answer.json()["position"] for body, answer in zip(bodies, again, strict=True)}
        for body, answer in zip(bodies, refused, strict=True):
            if answer.status_code == 200:
                assert told[body["key"]] == answer.json()["position"]
    assert len(kept(folder)) == 40
    for line in (folder / "audit.jsonl").read_text().split("\n"):
        assert not line or json.loads(line)["act"]


SHORT = {"header_timeout_s": 1.0, "body_timeout_s": 1.0, "send_timeout_s": 1.0}


@dataclass(frozen=True)
class Hasty:
    """A service with little patience, and a run of a test's own in it."""

    served: Served
    folder: Path
    keys: list[str]
    """Of an annotator, and of an operator."""
    run: str
    queries: list[Query]

    @property
    def health(self) -> str:
        return f"{self.served.url}{API}/health"

    @property
    def path(self) -> str:
        """Of the run in the API."""
        return f"{API}/runs/{self.run}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.served.port), timeout=10)

    def kept(self) -> dict[str, int]:
        return kept(self.folder, self.run)


@pytest.fixture(scope="module")
def hasty_service(tmp_path_factory):
    """One for all: none of its clients may harm it for the next."""
    folder = tmp_path_factory.mktemp("runs")
    keys = make_keys(folder) + make_keys(folder, "operator", "read_runs")
    with Served(folder, **SHORT) as served:
        yield served, folder, keys


@pytest.fixture
def hasty(hasty_service):
    served, folder, keys = hasty_service
    name = f"run-{uuid.uuid4()}"
    hasty = Hasty(served, folder, keys, name, make_run(folder, name, num_queries=5))
    assert httpx2.get(hasty.health).status_code == 200
    yield hasty
    assert httpx2.get(hasty.health).json() == {"status": "ok"}, "it serves others all the while"


def seconds_until_hung_up(connection: socket.socket, trickle: bytes = b"") -> float:
    """How long the service keeps a connection on which nothing, or only a byte now and then, comes."""
    started = time.monotonic()
    connection.settimeout(0.2)
    while time.monotonic() - started < 15:
        try:
            if trickle:
                connection.sendall(trickle)
            if not connection.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("begin", "trickle"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"POST /api/v1/runs/run/feedback HTT", b""),
        (b"POST /api/v1/runs/run/feedback HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n"),
        (b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\nGET /api", b"/"),
        (b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n\r\n", b"\r\n"),
    ],
)
def test_a_head_that_never_ends_is_hung_up_on(hasty, begin, trickle):
    with hasty.connect() as connection:
        connection.sendall(begin)
        assert seconds_until_hung_up(connection, trickle) < 5


def test_a_head_without_measure_is_hung_up_on(hasty):
    with hasty.connect() as connection:
        connection.sendall(b"GET /api/v1/health HTTP/1.1\r\nX-Long: ")
        sent = 0
        with pytest.raises(OSError):
            while sent < 50_000_000:
                sent += connection.send(b"a" * 65536)
        assert sent < 20_000_000


def head(hasty: Hasty, length: int) -> bytes:
    lines = [
        f"POST {hasty.path}/feedback HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {hasty.keys[0]}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_body_that_never_ends_is_answered_and_hung_up_on(hasty):
    with hasty.connect() as connection:
        connection.sendall(head(hasty, 100) + b"{")
        started = time.monotonic()
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert seconds_until_hung_up(connection) + time.monotonic() - started < 5


def test_who_closes_their_half_still_gets_the_answer(hasty):
    body = json.dumps(answer_to(hasty.queries[0])).encode()
    with hasty.connect() as connection:
        connection.sendall(head(hasty, len(body)) + body)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    # Whether they have gone altogether is asked by an answer that says nothing yet.
    final = received.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    assert final.startswith(b"HTTP/1.1 200 ")
    assert final.endswith(b'"position":1}')


def test_who_goes_in_the_middle_of_a_body_leaves_nothing(hasty):
    body = json.dumps(answer_to(hasty.queries[0])).encode()
    for cut in (1, len(body) // 2, len(body) - 1):
        with hasty.connect() as connection:
            connection.sendall(head(hasty, len(body)) + body[:cut])
            connection.shutdown(socket.SHUT_WR)
            assert seconds_until_hung_up(connection) < 5
    assert hasty.kept() == {}


def test_who_goes_before_the_answer_has_been_kept_once(hasty):
    body = answer_to(hasty.queries[0])
    text = json.dumps(body).encode()
    with hasty.connect() as connection:
        connection.sendall(head(hasty, len(text)) + text)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    answer = httpx2.post(f"{hasty.served.url}{hasty.path}/feedback", json=body, headers=bearer(hasty.keys[0]))
    assert answer.json() == {"key": body["key"], "position": 1}
    assert len(hasty.kept()) == 1


def test_who_never_reads_is_hung_up_on(hasty):
    """A stream of metrics that comes faster than it is read, which is not at all."""
    idle = settled_sockets(hasty.served.process.pid)
    with hasty.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET {hasty.path}/events?after_step=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hasty.keys[1]}"
        connection.sendall(request.encode() + b"\r\n\r\n")
        assert connection.recv(10).startswith(b"HTTP/1.1 2")
        assert num_sockets(hasty.served.process.pid) > idle
        with (hasty.folder / hasty.run / "metrics.jsonl").open("a") as file:
            for step in range(8, 20_000):
                file.write(json.dumps({"step": step, "fill": "x" * 1000}) + "\n")
        memory = resident(hasty.served.process.pid)
        wait_for(lambda: num_sockets(hasty.served.process.pid) <= idle, timeout_s=10)
        assert resident(hasty.served.process.pid) - memory < 50 << 20


def settled_sockets(pid: int) -> int:
    """Sockets that a process holds once those of earlier clients are closed: the number that stays for a while."""
    number, since_s = num_sockets(pid), time.monotonic()
    while time.monotonic() - since_s < 1:
        time.sleep(0.05)
        if num_sockets(pid) != number:
            number, since_s = num_sockets(pid), time.monotonic()
    return number


def num_sockets(pid: int) -> int:
    """Sockets that a process holds."""
    number = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            number += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
    return number


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_many_silent_connections_do_not_shut_others_out(hasty):
    idle = settled_sockets(hasty.served.process.pid)
    silent = [hasty.connect() for _ in range(300)]
    try:
        assert httpx2.get(hasty.health).status_code == 200
        wait_for(lambda: num_sockets(hasty.served.process.pid) <= idle, timeout_s=10)
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"],
)
def test_what_is_no_http_is_hung_up_on(hasty, garbage):
    with hasty.connect() as connection:
        connection.sendall(garbage)
        assert seconds_until_hung_up(connection) < 5


def test_the_stores_own_errors_are_told_without_a_traceback(folder):
    make_run(folder)
    (folder / "run" / "heeler.db").write_bytes(b"notes that somebody would miss\n" * 100)
    keys = make_keys(folder) + make_keys(folder, "operator", "read_runs")
    with Served(folder) as served:
        answer = httpx2.post(f"{served.url}{API}/runs/run/leases", json={}, headers=bearer(keys[0]))
        assert answer.status_code == 503
        assert "it is not a heeler store" in answer.json()["detail"]
        body = {"key": str(uuid.uuid4()), "query_id": "q", "kind": "preference", "value": {}}
        assert (
            httpx2.post(f"{served.url}{API}/runs/run/feedback", json=body, headers=bearer(keys[0])).status_code == 503
        )
        assert httpx2.get(f"{served.url}{API}/runs", headers=bearer(keys[1])).status_code == 200
        assert "Traceback" not in served.stop()


def test_a_newer_database_of_people_is_refused_and_left_as_it_was(folder):
    make_keys(folder)
    with sqlite3.connect(folder / "people.db") as connection:
        connection.execute("UPDATE heeler_people_schema SET version_num = '9999'")
    connection.close()
    before = (folder / "people.db").read_bytes()
    command = [sys.executable, "-m", "heeler", "serve", str(folder), "--port", "0"]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "people's database" in ended.stderr
    assert "written by a newer heeler (schema 9999" in ended.stderr
    assert (folder / "people.db").read_bytes() == before

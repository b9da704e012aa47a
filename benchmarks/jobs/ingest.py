"""Answers a second that a real service keeps on SQLite, posted by 200 clients over TCP; this process makes the load.

The service is a process of its own, with uvicorn, on a store with queries enough for all. Every client has its own key
and connection and posts what it has as fast as it is answered: single answers, then batches of 100. For the p99,
answers come at a steady 1,000 a second from all clients together: where 200 clients wait for each other, the time that
an answer takes says only how many of them there are. In the same run a second service commits each answer by itself.
At the end every answer that was acknowledged must stand in the store under its position.
Prints {"single_per_s", "batch_per_s", "p99_ms", "ungrouped_per_s", "group_commit_ratio"}.
With --serve FOLDER it is the service instead.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import uvloop

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.nouns import PolicyVersion, Query, Segment, stable_id
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import FILE_NAME
from heeler.service.config import ServiceConfig
from heeler.service.runs import OVERLAP
from heeler.service.server import serve

NUM_CLIENTS, BATCH, ANSWERS_A_QUERY, PACE_PER_S = 200, 100, 4, 1000
RUN = "run"


class HttpClient(asyncio.Protocol):
    """One connection that posts bodies one after the other.

    Args:
        path: of the URL.
        key: of the API.
    """

    def __init__(self, path: str, key: str) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        self._head = f"{head}Content-Type: application/json\r\nContent-Length: ".encode()
        self._received = bytearray()
        self._answered: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("the service hung up"))

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._answered is None:
            return
        place = self._received.find(b"content-length: ") + 16
        length = int(self._received[place : self._received.find(b"\r\n", place)])
        if len(self._received) >= end + 4 + length:
            whole, self._received = bytes(self._received), bytearray()
            if whole.startswith(b"HTTP/1.1 200 "):
                self._answered.set_result(whole[end + 4 :])
            else:
                self._answered.set_exception(RuntimeError(whole[:2000].decode()))

    async def post(self, body: bytes) -> bytes:
        """Post and wait for the answer."""
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(self._head + str(len(body)).encode() + b"\r\n\r\n" + body)
        return await self._answered


class Plan:
    """Which client answers which query, so that nobody is refused.

    Args:
        query_ids: that there are.
    """

    def __init__(self, query_ids: Sequence[str]) -> None:
        self._query_ids, self._next = query_ids, [0] * NUM_CLIENTS
        self.kept: list[str] = []

    def answer(self, client: int) -> dict[str, object]:
        """The next answer of a client: each query is answered by ANSWERS_A_QUERY neighbours."""
        groups = NUM_CLIENTS // ANSWERS_A_QUERY
        place = self._next[client] * groups + client // ANSWERS_A_QUERY
        self._next[client] += 1
        value = {"choice": "left" if place % 2 else "right"}
        key = str(uuid.uuid4())
        self.kept.append(key)
        query_id = self._query_ids[place]
        return {"key": key, "query_id": query_id, "kind": "preference", "value": value, "time_taken_s": 3.5}


def prepare(folder: Path, num_queries: int) -> tuple[list[str], list[str]]:
    """A folder with one run; returns its queries' ids and the clients' keys."""
    path = folder / RUN
    path.mkdir()
    (path / "config.yaml").write_text("recipe: ingest\n")
    rng = np.random.default_rng(0)
    with Store.open(path / STORE_NAME, segments_dir=path / "segments") as store:
        store.add_policy_version(PolicyVersion(version=0, step=0))
        ids = store.add_segments([_segment(rng, place) for place in range(100)])
        pairs = [(a, b) for a in ids for b in ids if a != b]
        names = [stable_id("ingest", place) for place in range(num_queries)]
        asked = [_query(name, pairs[place % len(pairs)]) for place, name in enumerate(names)]
        for start in range(0, num_queries, 10_000):
            store.add_queries(asked[start : start + 10_000])
        store.set_setting(OVERLAP, ANSWERS_A_QUERY)
    accounts = Accounts(folder / FILE_NAME, AuditLog(folder / AUDIT_NAME), session_idle_s=3600, session_s=3600)
    keys: list[str] = []
    for place in range(NUM_CLIENTS):
        person, _ = accounts.people.add(
            "benchmark", name=f"client {place}", email=None, kind="program", role="annotator"
        )
        keys.append(accounts.keys.add("benchmark", person, label="load", scopes=["answer"], days=1)[1])
        with Store.open(path / STORE_NAME, segments_dir=None) as store:
            store.add_annotator(person.id, "program")
    accounts.close()
    return names, keys


def _segment(rng: np.random.Generator, place: int) -> Segment:
    def numbers(size: int) -> np.ndarray:
        return rng.normal(size=(50, size)).astype(np.float32)

    return Segment(
        observation=numbers(3),
        action=numbers(1),
        next_observation=numbers(3),
        env_id="Pendulum-v1",
        policy_version=0,
        trajectory_id=f"episode-{place}",
        start_step=0,
    )


def _query(name: str, pair: tuple[str, str]) -> Query:
    return Query(id=name, kind="preference", segment_ids=pair, policy_version=0, asked_step=0)


async def post_all(port: int, path: str, keys: Sequence[str], bodies: Sequence[Sequence[bytes]]) -> float:
    """Seconds until every client has posted all its bodies, each as soon as the one before was answered."""
    clients = await connect(port, path, keys)

    async def post(client: HttpClient, own: Sequence[bytes]) -> None:
        for body in own:
            await client.post(body)

    start = time.perf_counter()
    await asyncio.gather(*(post(client, own) for client, own in zip(clients, bodies, strict=True)))
    wall_s = time.perf_counter() - start
    for client in clients:
        client.transport.close()
    return wall_s


async def post_paced(port: int, path: str, keys: Sequence[str], bodies: Sequence[Sequence[bytes]]) -> list[float]:
    """Seconds that each answer took from when it was due, PACE_PER_S a second of all clients together."""
    clients = await connect(port, path, keys)
    took: list[float] = []
    start = time.perf_counter() + 0.5

    async def post(place: int) -> None:
        for turn, body in enumerate(bodies[place]):
            due = start + (turn * NUM_CLIENTS + place) / PACE_PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await clients[place].post(body)
            took.append(time.perf_counter() - due)

    await asyncio.gather(*(post(place) for place in range(NUM_CLIENTS)))
    for client in clients:
        client.transport.close()
    return took


async def connect(port: int, path: str, keys: Sequence[str]) -> list[HttpClient]:
    """One connection a key."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda k=key: HttpClient(path, k), "127.0.0.1", port))[1] for key in keys]


def singles(plan: Plan, number: int) -> list[list[bytes]]:
    """Bodies of single answers, `number` a client."""
    return [[json.dumps(plan.answer(client)).encode() for _ in range(number)] for client in range(NUM_CLIENTS)]


def batches(plan: Plan, number: int) -> list[list[bytes]]:
    """Bodies of batches, `number` a client."""

    def body(client: int) -> bytes:
        return json.dumps({"feedback": [plan.answer(client) for _ in range(BATCH)]}).encode()

    return [[body(client) for _ in range(number)] for client in range(NUM_CLIENTS)]


class Serving:
    """The service as a process, while the block lasts.

    Args:
        folder: of runs.
        grouped: whether posts share commits.
    """

    def __init__(self, folder: Path, *, grouped: bool) -> None:
        self._command = [sys.executable, "-m", "benchmarks.jobs.ingest", "--serve", str(folder)]
        self._command += [] if grouped else ["--ungrouped"]

    def __enter__(self) -> int:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the service did not start")
        return int(line)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)


def be_the_service(folder: Path, *, grouped: bool) -> None:
    """Serve, and print the port."""
    most = ServiceConfig(runs=folder).max_commit_answers if grouped else 1
    config = ServiceConfig(runs=folder, port=0, max_commit_answers=most)
    serve(config, on_start=lambda url, _: print(url.rpartition(":")[2], flush=True))


def measure(folder: Path, *, num_singles: int, num_batches: int, num_ungrouped: int) -> dict[str, float]:
    """Everything, for clients with so many posts each."""
    num_answers = num_singles * 2 + num_batches * BATCH + num_ungrouped + 2
    groups = NUM_CLIENTS // ANSWERS_A_QUERY
    names, keys = prepare(folder, num_answers * groups)
    plan = Plan(names)
    one, many = f"/api/v1/runs/{RUN}/feedback", f"/api/v1/runs/{RUN}/feedback/batch"
    with Serving(folder, grouped=False) as port:
        uvloop.run(post_all(port, one, keys, singles(plan, 1)))
        ungrouped_s = uvloop.run(post_all(port, one, keys, singles(plan, num_ungrouped)))
    with Serving(folder, grouped=True) as port:
        uvloop.run(post_all(port, one, keys, singles(plan, 1)))
        single_s = uvloop.run(post_all(port, one, keys, singles(plan, num_singles)))
        took = uvloop.run(post_paced(port, one, keys, singles(plan, num_singles)))
        batch_s = uvloop.run(post_all(port, many, keys, batches(plan, num_batches)))
    _expect_kept(folder, plan)
    single_per_s = NUM_CLIENTS * num_singles / single_s
    ungrouped_per_s = NUM_CLIENTS * num_ungrouped / ungrouped_s
    return {
        "single_per_s": single_per_s,
        "batch_per_s": NUM_CLIENTS * num_batches * BATCH / batch_s,
        "p99_ms": 1000 * float(np.quantile(took, 0.99)),
        "p50_ms": 1000 * float(np.quantile(took, 0.5)),
        "ungrouped_per_s": ungrouped_per_s,
        "group_commit_ratio": single_per_s / ungrouped_per_s,
    }


def _expect_kept(folder: Path, plan: Plan) -> None:
    with Store.open(folder / RUN / STORE_NAME, segments_dir=None) as store:
        kept: list[str] = []
        position = 0
        while page := store.feedback_after(position, limit=10_000, up_to_step=None):
            kept += [answer.key for _, answer in page]
            position = page[-1][0]
    if sorted(kept) != sorted(plan.kept):
        raise RuntimeError(f"{len(plan.kept)} answers were acknowledged, {len(kept)} are in the store")


def main() -> None:
    """Measure and print, or be the service."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--ungrouped", action="store_true")
    parser.add_argument("--singles", type=int, default=60)
    parser.add_argument("--batches", type=int, default=4)
    options = parser.parse_args()
    if options.serve is not None:
        be_the_service(options.serve, grouped=not options.ungrouped)
        return
    with tempfile.TemporaryDirectory() as folder:
        number = max(1, options.singles // 6)
        print(
            json.dumps(
                measure(Path(folder), num_singles=options.singles, num_batches=options.batches, num_ungrouped=number)
            )
        )


if __name__ == "__main__":
    main()

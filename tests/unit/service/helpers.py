"""A folder of runs, an app for it, people who are signed in, and the service as a process of its own."""

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from heeler.core.nouns import Query
from heeler.feedback.store import Store
from heeler.service.accounts.people import Person
from heeler.service.context import Service
from tests.unit.feedback.helpers import add_comparisons, make_query, make_segment, open_store

ROOT = Path(__file__).parents[3]
API = "/api/v1"
HERE = "http://testserver"
PASSWORD = "correct horse battery staple"


class Lines:
    """An audit log that remembers its lines; `fails` makes it refuse the next ones."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, dict[str, Any]]] = []
        self.fails: Exception | None = None

    def append(self, person: str, act: str, subject: str = "", **details: Any) -> None:
        if self.fails is not None:
            raise self.fails
        self.lines.append((person, act, subject, details))

    @property
    def acts(self) -> list[str]:
        return [act for _, act, _, _ in self.lines]


def make_run(folder: Path, name: str = "run", *, num_queries: int = 3) -> list[Query]:
    """A run with a store that asks comparisons, and some metrics."""
    path = folder / name
    path.mkdir()
    (path / "config.yaml").write_text("recipe: preferences\nseed: 7\nenv:\n  id: Hopper-v5\n")
    (path / "metrics.jsonl").write_text("".join(f'{{"step": {step}, "update": {step}}}\n' for step in range(1, 8)))
    with open_store(path) as store:
        return add_comparisons(store, num_queries)


def ask(folder: Path, kind: str, name: str = "run") -> Query:
    """One more query of a run, about one segment."""
    with store_of(folder, name) as store:
        ids = store.add_segments([make_segment(500 + len(kind))])
        query = make_query(kind, *ids, kind=kind)
        store.add_queries([query])
    return query


def store_of(folder: Path, name: str = "run") -> Store:
    return Store.open(folder / name / "heeler.db", segments_dir=folder / name / "segments")


def add_person(service: Service, name: str, role: str) -> Person:
    """Somebody with PASSWORD, who need not change it."""
    people = service.accounts.people
    person, _ = people.add("test", name=name, email=None, kind="person", role=role)
    people.set_password("test", person.id, PASSWORD)
    return people.get(person.id)


def add_key(service: Service, person: Person, *scopes: str, days: float = 1.0) -> str:
    return service.accounts.keys.add("test", person, label="test", scopes=scopes, days=days)[1]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def signed_in(client: TestClient, name: str, password: str = PASSWORD) -> TestClient:
    """Another browser, signed in."""
    browser = TestClient(client.app, headers={"Origin": HERE})
    answer = browser.post(f"{API}/session", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    return browser


def answer_to(query: Query, choice: str = "left", **changes: Any) -> dict[str, Any]:
    """A body that answers a comparison, with a new key."""
    body = {"key": str(uuid.uuid4()), "query_id": query.id, "kind": "preference", "value": {"choice": choice}}
    return body | changes


class Served:
    """`heeler serve` of a folder as a process of its own, for as long as the block lasts.

    Args:
        folder: of runs.
        arguments: more of the command line.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._command = [sys.executable, "-m", "heeler", "serve", str(folder), "--port", "0", *arguments]

    def __enter__(self) -> "Served":
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        self.process = subprocess.Popen(
            self._command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"https?://\S+", self.process.stdout.readline())
        assert found is not None, self.process.communicate(timeout=30)[1]
        self.url = found[0]
        self.port = int(self.url.rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it; returns what it wrote to its error stream."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.communicate(timeout=60)[1]

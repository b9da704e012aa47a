"""A folder of runs, an app for it, people who are signed in, and the service as a process of its own."""

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from heeler.core.audit import AuditLog
from heeler.core.nouns import Query
from heeler.feedback.store import Store
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import FILE_NAME, AccountsDatabase
from heeler.service.accounts.people import Person
from heeler.service.context import Service
from tests.unit.feedback.helpers import add_comparisons, make_query, make_segment, open_store

ROOT = Path(__file__).parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
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


def begin_people(folder: Path) -> None:
    """Put people.db there, with nobody in it yet, as the service would make it."""
    path = folder / FILE_NAME
    path.touch(mode=0o600)
    path.write_bytes(_new_people())


@functools.cache
def _new_people() -> bytes:
    """Once for all tests: to make the tables takes longer than most of them."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / FILE_NAME
        AccountsDatabase(path, Lines()).close()
        return path.read_bytes()


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
    agree(service, person.id)
    return people.get(person.id)


def agree(service: Service, person_id: str) -> None:
    """Have somebody agree to the text that is in force."""
    text = service.accounts.consents.current()
    service.accounts.consents.add(person_id, version=text.version, text_sha256=text.text_sha256)


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


SERVE = """
import json, sys
from pathlib import Path
from heeler.service.config import ServiceConfig
from heeler.service.server import serve
settings = json.loads(sys.argv[2])
chat = None
if settings.pop("chat", False):
    from tests.unit.service.chatting import ScriptedEngine, echo, setup_of
    chat = setup_of(ScriptedEngine(echo))
serve(ServiceConfig(runs=Path(sys.argv[1]), **settings), chat=chat, on_start=lambda url, _: print(url, flush=True))
"""


class Served:
    """The service of a folder as a process of its own, for as long as the block lasts.

    Args:
        folder: of runs.
        settings: of the service, but for the folder; `chat` serves a model that says what it is told.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        settings = {"port": 0} | settings
        self._command = [sys.executable, "-c", SERVE, str(folder), json.dumps(settings)]

    def __enter__(self) -> "Served":
        self.process = subprocess.Popen(
            self._command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.communicate(timeout=30)[1]
        self.port = int(self.url.rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it; returns what it wrote to its error stream."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        if self.process.stderr is None or self.process.stderr.closed:
            return ""
        return self.process.communicate(timeout=60)[1]


def make_keys(folder: Path, role: str = "annotator", *scopes: str, number: int = 1) -> list[str]:
    """Keys of as many new people, made before the service starts."""
    accounts = Accounts(folder / "people.db", AuditLog(folder / "audit.jsonl"), session_idle_s=1, session_s=1)
    keys: list[str] = []
    for _ in range(number):
        name = f"{role} {uuid.uuid4()}"
        person, _ = accounts.people.add("test", name=name, email=None, kind="program", role=role)
        keys.append(accounts.keys.add("test", person, label="test", scopes=scopes or ("answer",), days=1)[1])
    accounts.close()
    return keys

"""A folder of runs that knows somebody in every way there is, and what looks for traces of them."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import select

from heeler.core.audit import AUDIT_NAME, GENESIS, AuditLog
from heeler.core.nouns import Command, PolicyVersion
from heeler.core.releases import Releases
from heeler.core.rundir import REPORT_NAME, RunDirectory
from heeler.feedback import schema
from heeler.feedback.shown_by import trajectory_name
from heeler.feedback.store import Store
from heeler.feedback.stores import open_store
from heeler.feedback.withdrawal import id_sha256
from heeler.service.accounts.accounts import Accounts
from tests.unit.feedback.helpers import add_comparisons, make_answer, make_query, make_segment

NAME, EMAIL = "Annelise Quist-Okafor", "annelise.quist@example.org"
ANSWERED = ("first", "second")
NUM_ANSWERS = 4
"""Of her in each of those runs."""


@dataclass(frozen=True)
class Known:
    """Somebody whom a folder of runs knows."""

    folder: Path
    id: str
    admin: str
    token: str
    """Of a session."""
    key: str

    def run(self, name: str) -> Path:
        return self.folder / name

    @property
    def private(self) -> tuple[str, ...]:
        return (self.id, NAME, NAME.casefold(), EMAIL, id_sha256(self.id)[:32] + "/")

    def traces(self) -> list[str]:
        """Where any of it stands; the audit logs keep ids."""
        found = [
            f"{path.relative_to(self.folder)}: {private}"
            for path in sorted(self.folder.rglob("*"))
            for private in self.private
            if path.is_file() and private.encode() in path.read_bytes()
        ]
        found = [place for place in found if "audit" not in place or NAME in place or EMAIL in place]
        return found + self._traces_in_tables()

    def _traces_in_tables(self) -> list[str]:
        found: list[str] = []
        for name in (*ANSWERED, "unanswered"):
            with opened(self.run(name)) as store, store._database.reading() as connection:
                for table in schema.metadata.sorted_tables:
                    rows = repr(connection.execute(select(table)).all())
                    found += [f"{name}.{table.name}: {private}" for private in self.private if private in rows]
        return found


@contextmanager
def opened(run: Path) -> Iterator[Store]:
    with open_store(RunDirectory.open(run)) as store:
        yield store


@contextmanager
def accounts_of(folder: Path) -> Iterator[Accounts]:
    accounts = Accounts(folder / "people.db", AuditLog(folder / AUDIT_NAME), session_idle_s=3600.0, session_s=86_400.0)
    try:
        yield accounts
    finally:
        accounts.close()


def make_folder(folder: Path, new_url: Callable[[], str] | None = None) -> Known:
    """Two runs that she answered, one that she did not, and one that has not begun.

    Args:
        folder: made here.
        new_url: of databases for the stores; None for files.
    """
    folder.mkdir()
    known = _add_people(folder)
    for name in (*ANSWERED, "unanswered"):
        _make_run(folder / name, "" if new_url is None else new_url())
    for name in ANSWERED:
        _answer(known, known.run(name))
    RunDirectory.create(folder / "waiting", {"recipe": "preferences"})
    return known


def _add_people(folder: Path) -> Known:
    with accounts_of(folder) as accounts:
        admin, _ = accounts.people.add("test", name="boss", email=None, kind="person", role="admin")
        ann, _ = accounts.people.add("test", name=NAME, email=EMAIL, kind="person", role="operator")
        text = accounts.consents.current()
        accounts.consents.add(ann.id, version=text.version, text_sha256=text.text_sha256)
        accounts.options.set_own(ann.id, ann.id, {"time_zone": "Europe/Oslo"})
        money = {"amount_minor": 1200, "currency": "EUR", "note": f"to {NAME}"}
        paid = accounts.payments.note(admin.id, ann.id, payment_id=str(uuid.uuid4()), **money)
        accounts.payments.take_back(admin.id, ann.id, paid.id, f"{NAME} has another account")
        _, key = accounts.keys.add(admin.id, ann, label=f"of {NAME}", scopes=["answer"], days=1)
        token = accounts.sessions.begin(ann, instead_of=None)
    return Known(folder, ann.id, admin.id, token, key)


def _make_run(path: Path, url: str) -> None:
    config = {"recipe": "preferences", "seed": 7, "env": {"id": "Hopper"}}
    directory = RunDirectory.create(path, config | ({"store": url} if url else {}))
    with open_store(directory) as store:
        store.add_policy_version(PolicyVersion(version=0, step=0))
        store.add_annotator("ben", "person")
        queries = add_comparisons(store, 4)
        store.add_feedback([make_answer(queries[0], "b", annotator="ben")])
    directory.save_checkpoint(100, {"w": np.zeros(2)}, {"preferences": {"counts": [4]}}, keep=5)


def _answer(known: Known, path: Path) -> None:
    directory = RunDirectory.open(path)
    with opened(path) as store:
        store.add_annotator(known.id, "person")
        asked = store.open_queries(9)
        ids = store.add_segments([make_segment(99)])
        wanted = make_query("show", *ids, kind="demonstration")
        store.add_queries([wanted])
        shown = make_segment(98, trajectory_id=trajectory_name(id_sha256(known.id)))
        (segment_id,) = store.add_segments([shown], shown_by=known.id)
        store.add_feedback([make_answer(query, "k", annotator=known.id, time_taken_s=2.5) for query in asked])
        store.add_feedback([make_answer(wanted, "k", annotator=known.id, value={"segment_id": segment_id})])
        store.add_segments([make_segment(97, trajectory_id=f"demonstration/{known.id}/{uuid.uuid4()}")])
        store.lease(known.id, 3, overlap=3, duration_s=600.0)
        store.flags.add(asked[1].id, known.id, "hate", "a swear word")
        store.gold.add(asked[2].id, {"choice": "left"}, known.id)
        store.ask_command(Command(id=str(uuid.uuid4()), kind="pause", person=known.id, asked_unix_s=1.0))
        store.set_setting("paused", known.id)
    Releases(directory).propose(str(uuid.uuid4()), 100, known.id, audit_head=GENESIS)
    (path / REPORT_NAME).write_text(f"<p>Annotators: {known.id} (3)</p>")
    AuditLog(path / AUDIT_NAME).append("learner", "command.obeyed", path.name, asked_by=known.id)

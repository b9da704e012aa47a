"""Databases of every earlier schema, with something in every table: taken forward whole, whenever that is killed."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData, NullPool, create_engine, delete, insert, select

from heeler.cli import main
from heeler.core.audit import AuditLog
from heeler.feedback import schema
from heeler.feedback.database import STORE, Database, Migrations
from heeler.feedback.postgres import parsed_url
from heeler.feedback.store import Store
from heeler.service.accounts import schema as people_schema
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import PEOPLE
from tests.unit.feedback.helpers import Home
from tests.unit.service.helpers import ENVIRONMENT

Rows = dict[str, list[dict[str, Any]]]
Q1, Q2, S1, S2 = "q" * 64, "p" * 64, "a" * 64, "b" * 64
KEY1, KEY2, KEY3 = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
_SEGMENT = {"policy_version": 0, "start_step": 5, "num_steps": 25, "observation_size": 3, "action_size": 1}
_QUERY = {"kind": "preference", "policy_version": 0, "asked_step": 1024, "acquisition": "random", "score": 0.1}
_ANSWER = {"kind": "preference", "value": {"choice": "left"}, "time_taken_s": 1.5, "confidence": 0.3}
_CAME = {"answered_step": None, "received_unix_s": 1_700_000_000.123456}
FIRST_STORE: Rows = {
    "policy_versions": [
        {"version": 0, "step": 0, "checkpoint_sha256": None},
        {"version": 7, "step": 2**40, "checkpoint_sha256": "c" * 64},
    ],
    "annotators": [
        {"id": "ann", "kind": "person", "note": "näive ☃"},
        {"id": "ben", "kind": "simulated", "note": ""},
    ],
    "segments": [
        {"id": name, "env_id": "Hopper-v5", "trajectory_id": f"t/{name}", "action_discrete": name == S1, **_SEGMENT}
        for name in (S1, S2)
    ],
    "queries": [{"number": 1, "id": Q1, **_QUERY}, {"number": 4, "id": Q2, **_QUERY}],
    "query_segments": [
        {"query_id": query, "place": place, "segment_id": name}
        for query in (Q1, Q2)
        for place, name in enumerate((S1, S2))
    ],
    "feedback": [
        {"position": 1, "key": KEY1, "body_sha256": "d" * 64, "query_id": Q1, "annotator": "ann", **_ANSWER, **_CAME},
        {"position": 2, "key": KEY2, "body_sha256": "e" * 64, "query_id": Q1, "annotator": "ann", **_ANSWER, **_CAME},
        {"position": 9, "key": KEY3, "body_sha256": "f" * 64, "query_id": Q1, "annotator": "ben", **_ANSWER, **_CAME},
    ],
    "consumers": [{"name": "learner", "position": 9}],
}
SECOND_STORE: Rows = {
    **FIRST_STORE,
    "queries": [{**FIRST_STORE["queries"][0], "num_answers": 2}, {**FIRST_STORE["queries"][1], "num_answers": 0}],
    "leases": [{"query_id": Q2, "annotator": "ann", "expires_unix_s": 1_900_000_000.5}],
    "commands": [
        {"number": 3, "id": KEY1, "kind": "pause", "value": None, "person": "ann", "asked_unix_s": 1.5}
        | {"done_unix_s": 2.5, "outcome": "paused at step 1,024"},
        {"number": 5, "id": KEY2, "kind": "set_budget", "value": 900, "person": "ann", "asked_unix_s": 3.5}
        | {"done_unix_s": None, "outcome": None},
    ],
    "settings": [{"name": "overlap", "value": 2}, {"name": "run", "value": {"id": "x", "directory": "/d"}}],
}
THIRD_STORE: Rows = {
    **SECOND_STORE,
    "flags": [{"query_id": Q2, "annotator": "ann", "category": "hate", "note": "ö", "flagged_unix_s": 4.5}],
    "gold": [{"query_id": Q1, "value": {"choice": "left"}, "person": "ann", "added_unix_s": 5.5}],
    "withdrawals": [
        {"number": 2, "annotator_sha256": "c" * 64, "answers": "keep", "num_answers": 3}
        | {"first_position": 1, "withdrawn_unix_s": 6.5}
    ],
}
_PERSON = {"kind": "person", "must_change_password": False, "created_unix_s": 1_700_000_000.25}
FIRST_PEOPLE: Rows = {
    "people": [
        {"id": KEY1, "name": "Ann Ö", "folded_name": "ann ö", "email": "ann@example.org", "role": "admin"}
        | {"password_hash": "$argon2id$x", "disabled_unix_s": None, **_PERSON},
        {"id": KEY2, "name": "ben", "folded_name": "ben", "email": None, "role": "annotator"}
        | {"password_hash": None, "disabled_unix_s": 5.5, **_PERSON},
    ],
    "sessions": [
        {"token_sha256": "a" * 64, "person_id": KEY1, "created_unix_s": 1.0, "used_unix_s": 2.0, "expires_unix_s": 9e9}
    ],
    "api_keys": [
        {"id": KEY3, "person_id": KEY2, "prefix": "0a1b2c3d", "key_sha256": "b" * 64, "label": "of the robot"}
        | {"scopes": ["answer", "read_runs"], "created_unix_s": 1.0, "expires_unix_s": 9e9, "revoked_unix_s": None}
    ],
    "consents": [
        {"person_id": KEY1, "text_sha256": "c" * 64, "version": "1", "agreed_unix_s": 3.25},
        {"person_id": KEY2, "text_sha256": "c" * 64, "version": "1", "agreed_unix_s": 4.25},
    ],
}
SECOND_PEOPLE: Rows = {
    **FIRST_PEOPLE,
    "consent_texts": [
        {"number": 2, "version": "2", "text": "Anóther.\n", "text_sha256": "c" * 64, "created_unix_s": 6.5}
    ],
    "generation": [{"id": 1, "number": 7}],
    "settings": [{"name": "care", "value": {"rate_minor": 1200, "currency": "EUR"}}],
    "person_settings": [{"person_id": KEY2, "name": "day_hours", "value": 4.5}],
    "work": [
        {"person_id": KEY2, "day": "2026-01-31", "currency": "EUR", "rate_minor": 1200}
        | {"items": 3, "milliseconds": 2**40}
    ],
    "work_marks": [{"store": KEY1, "run": "r", "position": 2**40}],
    "work_clocks": [{"person_id": KEY2, "last_unix_s": 1.25, "free_s": 0.5, "stretch_s": 60.0}],
    "payments": [
        {"id": KEY3, "person_id": KEY2, "amount_minor": 10**12, "currency": "EUR", "note": "May ☃"}
        | {"paid_unix_s": 1_700_000_000.5}
    ],
    "forgettings": [{"person_id": KEY2, "answers": "keep", "began_unix_s": 7.5}],
}
FOURTH_STORE: Rows = {
    **THIRD_STORE,
    "completions": [
        {"number": 4, "id": "chatcmpl-1", "choice": 0, "segment_id": S1, "annotator": "ann", "conversation": None}
        | {"title": "Whät?", "marks": [{"sign": 1}], "created_unix_s": 7.5}
    ],
}
STORES = {"0001": FIRST_STORE, "0002": SECOND_STORE, "0003": THIRD_STORE, "0004": FOURTH_STORE}
PEOPLES = {"0001": FIRST_PEOPLE, "0002": SECOND_PEOPLE}
AT_COMMIT = -1
# Opens a database, and kills itself before the nth statement that changes it, or when all of them were carried out.
OPENER = """
import os, signal, sys
from sqlalchemy import Engine, event
from heeler.feedback.database import STORE, Database
from heeler.service.accounts.database import PEOPLE

number, changes, AT_COMMIT = int(sys.argv[1]), 0, -1

@event.listens_for(Engine, "before_cursor_execute")
def count(connection, cursor, statement, *rest):
    global changes
    if statement.split()[0].upper() in ("CREATE", "ALTER", "INSERT", "UPDATE", "DROP", "DELETE"):
        changes += 1
        if changes == number:
            os.kill(os.getpid(), signal.SIGKILL)

@event.listens_for(Engine, "commit")
def last(connection):
    if changes and number == AT_COMMIT:
        os.kill(os.getpid(), signal.SIGKILL)

Database(sys.argv[2], {"store": STORE, "people": PEOPLE}[sys.argv[3]]).close()
"""


def engine_of(target: str | Path) -> Engine:
    url = f"sqlite:///{target}" if isinstance(target, Path) else parsed_url(target)
    return create_engine(url, poolclass=NullPool)


def make_earlier(target: str | Path, migrations: Migrations, revision: str, rows: Rows) -> None:
    """A database as the heeler of that revision made it, with these rows."""
    config = Config()
    config.set_main_option("script_location", str(migrations.folder))
    with engine_of(target).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        tables = MetaData()
        tables.reflect(connection)
        assert set(tables.tables) == {*rows, migrations.version_table}, "something stands in every table"
        metadata = schema.metadata if migrations is STORE else people_schema.metadata
        for table in metadata.sorted_tables:
            if table.name in rows:
                # A migration puts rows of its own into some.
                connection.execute(delete(table))
                connection.execute(insert(table), rows[table.name])


def holds(target: str | Path, migrations: Migrations) -> tuple[str, Rows]:
    """The revision, and every row of every table that there is, read without opening it as a store."""
    tables = MetaData()
    metadata = schema.metadata if migrations is STORE else people_schema.metadata
    with engine_of(target).connect() as connection:
        tables.reflect(connection)
        (revision,) = connection.execute(select(tables.tables[migrations.version_table])).scalars()
        found: Rows = {}
        for table in metadata.sorted_tables:
            if table.name in tables.tables:
                there = [column for column in table.columns if column.name in tables.tables[table.name].columns]
                order = list(table.primary_key.columns)
                rows = connection.execute(select(*there).order_by(*order)).mappings()
                found[table.name] = [dict(row) for row in rows]
    return revision, found


def in_order(rows: Rows, metadata: MetaData) -> Rows:
    keys = {name: [column.name for column in metadata.tables[name].primary_key.columns] for name in rows}
    return {name: sorted(some, key=lambda row: [row[key] for key in keys[name]]) for name, some in rows.items()}


def open_in_process(target: str | Path, which: str, number: int) -> subprocess.CompletedProcess[str]:
    command_line = [sys.executable, "-c", OPENER, str(number), str(target), which]
    return subprocess.run(command_line, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)


def without_views(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers as they stand after a migration: of none is known whether a model's view was opened."""
    return [{**answer, "view": None} for answer in answers]


@pytest.mark.parametrize("revision", STORES)
def test_every_row_of_an_earlier_store_is_there_afterwards(home: Home, revision: str) -> None:
    make_earlier(home.target, STORE, revision, STORES[revision])
    Database(home.target).close()
    now, found = holds(home.target, STORE)
    assert now == "0005"
    # All began with rows of people and answers; the first schema did not count answers yet.
    before = {**FIRST_STORE, "queries": SECOND_STORE["queries"]} if revision == "0001" else STORES[revision]
    expected = {**before, "feedback": without_views(before["feedback"])}
    assert {name: rows for name, rows in found.items() if rows} == in_order(expected, schema.metadata)
    with Store.open(home.target, segments_dir=home.segments) as store:
        store.add_annotator("cid", "person")
        (lease,) = store.lease("cid", 9, overlap=2, duration_s=60)
        assert lease.query.id == Q2
        assert [answer.view for _, answer in store.feedback_after(0, limit=9, up_to_step=None)] == [None] * 3
        assert store.completions.conversations("ann", limit=9, before=None) == []
        assert store.withdrawals.forget("ann", "remove").num_answers == 2
        assert store.counts()["by_annotator"] == {"ben": 1}


def test_every_row_of_the_first_people_is_there_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    make_earlier(path, PEOPLE, "0001", FIRST_PEOPLE)
    Database(path, PEOPLE).close()
    now, found = holds(path, PEOPLE)
    assert now == "0003"
    assert {name: found[name] for name in FIRST_PEOPLE} == in_order(FIRST_PEOPLE, people_schema.metadata)
    (text,) = found["consent_texts"]
    assert text["version"] == "1"
    assert found["generation"] == [{"id": 1, "number": 0}]
    assert not any(found[name] for name in ("work", "payments", "forgettings", "person_settings", "work_clocks"))


def test_every_row_of_the_second_people_is_there_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    make_earlier(path, PEOPLE, "0002", SECOND_PEOPLE)
    before = holds(path, PEOPLE)[1]
    Database(path, PEOPLE).close()
    now, found = holds(path, PEOPLE)
    assert (now, found.pop("reversals")) == ("0003", [])
    assert found == before
    accounts = Accounts(path, AuditLog(tmp_path / "audit.jsonl"), session_idle_s=1, session_s=1)
    assert accounts.payments.take_back(KEY1, KEY2, KEY3, "by mistake") in accounts.payments.all(KEY2)
    accounts.close()


@pytest.mark.parametrize(
    ("revision", "number"),
    [
        *((revision, number) for revision in ("0001", "0002", "0003") for number in (1, 2, 4, AT_COMMIT)),
        *(("0004", number) for number in (1, 2, AT_COMMIT)),
    ],
)
def test_a_migration_that_is_killed_leaves_the_old_store(home: Home, revision: str, number: int) -> None:
    make_earlier(home.target, STORE, revision, STORES[revision])
    before = holds(home.target, STORE)
    killed = open_in_process(home.target, "store", number)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert holds(home.target, STORE) == before, "all of it, or nothing"
    Database(home.target).close()
    now, found = holds(home.target, STORE)
    assert (now, found["feedback"]) == ("0005", without_views(before[1]["feedback"]))


@pytest.mark.parametrize(
    ("revision", "number"),
    [*(("0001", number) for number in (1, 2, 4, AT_COMMIT)), *(("0002", number) for number in (1, 2, 3, AT_COMMIT))],
)
def test_a_migration_of_people_that_is_killed_leaves_the_old_ones(tmp_path: Path, revision: str, number: int) -> None:
    path = tmp_path / "people.db"
    make_earlier(path, PEOPLE, revision, PEOPLES[revision])
    before = holds(path, PEOPLE)
    killed = open_in_process(path, "people", number)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert holds(path, PEOPLE) == before
    assert open_in_process(path, "people", 0).returncode == 0
    now, found = holds(path, PEOPLE)
    assert (now, found["people"], found["api_keys"]) == ("0003", before[1]["people"], before[1]["api_keys"])


def test_people_of_a_newer_heeler_are_refused_and_left_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "people.db"
    Database(path, PEOPLE).close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE heeler_people_schema SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    for arguments in (["list"], ["forget", KEY1, "--answers", "remove"]):
        assert main(["people", *arguments, "--runs", str(tmp_path)]) == 2
        told = capsys.readouterr().err
        assert "people's database" in told
        assert "written by a newer heeler (schema 9999; this one knows up to 0003)" in told
    assert path.read_bytes() == before

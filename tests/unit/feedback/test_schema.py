"""Migrations make the tables of the schema, on SQLite with its settings and on PostgreSQL."""

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from heeler.core.errors import StoreError
from heeler.feedback import database as database_module
from heeler.feedback import schema
from heeler.feedback.database import Database
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import Home, add_comparisons, make_answer


def test_migrations_make_what_the_schema_says(home: Home) -> None:
    database = Database(home.target)
    with database.reading() as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": schema.VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata) == []
    database.close()


def test_migrations_make_what_the_schema_says_down_to_the_clause(tmp_path: Path) -> None:
    database = Database(tmp_path / "heeler.db")
    with database.reading() as connection:
        made = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all()
        tables = {name: sql for name, sql in made}
    database.close()
    # Alembic does not compare constraints' names, nor counters that never give a number twice.
    for table in schema.metadata.sorted_tables:
        wanted = str(CreateTable(table).compile(dialect=sqlite.dialect()))
        assert clauses(tables[table.name]) == clauses(wanted)


def clauses(create_table: str) -> list[str]:
    """What a table is made of, in any order: a column that was added later stands at the end."""
    body = create_table[create_table.index("(") + 1 : create_table.rindex(")")]
    return sorted(" ".join(sorted(clause.split())) for clause in body.split(","))


def migrate(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database_module.__file__).with_name("migrations")))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_downgrading_leaves_nothing_and_opening_makes_it_anew(home: Home) -> None:
    database = Database(home.target)
    migrate(database, "base")
    with database.reading() as connection:
        assert inspect(connection).get_table_names() == [schema.VERSION_TABLE]
    database.close()
    with Store.open(home.target, segments_dir=None) as store:
        assert store.query_count() == 0


def test_answers_of_the_first_schema_are_counted(home: Home) -> None:
    """A store of before there were leases: nobody is asked again what they answered then."""
    with home.open() as store:
        queries = add_comparisons(store, 3)
        store.add_annotator("ben", "person")
        # No limit on who answers: what a store of then may hold.
        store.add_feedback([make_answer(queries[0]), make_answer(queries[0], "again"), make_answer(queries[1])])
        store.add_feedback([make_answer(queries[0], "b", annotator="ben")])
    database = Database(home.target)
    migrate(database, "0001")
    database.close()
    with home.open() as store:
        assert [lease.query for lease in store.lease("ann", 9, overlap=2, duration_s=60)] == [queries[2]]
        assert [lease.query for lease in store.lease("ben", 9, overlap=2, duration_s=60)] == queries[1:]
        assert [position for position, _ in store.feedback_after(0, limit=9, up_to_step=None)] == [1, 2, 3, 4]


def test_a_store_of_the_second_schema_is_taken_forward(home: Home) -> None:
    """A store of before anybody could be forgotten, with leases, settings and answers."""
    with home.open() as store:
        queries = add_comparisons(store, 3)
        store.add_feedback([make_answer(queries[0])])
        held = store.lease("ann", 1, overlap=1, duration_s=600)
        store.set_setting("overlap", 2)
    database = Database(home.target)
    migrate(database, "0002")
    with database.reading() as connection:
        assert not {"flags", "gold", "withdrawals"} & set(inspect(connection).get_table_names())
    database.close()
    with home.open() as store:
        assert store.setting("overlap", None) == 2
        assert [lease.query for lease in store.lease("ann", 1, overlap=1, duration_s=600)] == [held[0].query]
        assert len(store.feedback_after(0, limit=9, up_to_step=None)) == 1
        store.gold.add(queries[2].id, {"choice": "left"}, "admin")
        store.flags.add(queries[1].id, "ann", "hate")
        assert store.withdrawals.forget("ann", "remove").num_answers == 1


def test_settings_of_sqlite(tmp_path: Path) -> None:
    database = Database(tmp_path / "heeler.db")
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")

    def settings(connection: object) -> dict[str, object]:
        return {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in names}

    shared = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    with database.writing() as connection:
        assert settings(connection) == shared | {"query_only": 0}
    with database.reading() as connection:
        assert settings(connection) == shared | {"query_only": 1}
    database.close()
    assert not (tmp_path / "heeler.db-wal").exists()


def test_readers_cannot_write_and_foreign_keys_hold(home: Home) -> None:
    database = Database(home.target)
    with pytest.raises(StoreError, match="read-only"), database.reading() as connection:
        connection.execute(schema.annotators.insert().values(id="ann", kind="person", note=""))
    orphan = {"query_id": "q", "place": 0, "segment_id": "s"}
    with pytest.raises(StoreError, match=r"(?i)foreign key"), database.writing() as connection:
        connection.execute(schema.query_segments.insert().values(orphan))
    with database.reading() as connection:
        assert connection.execute(schema.query_segments.select()).all() == []
    database.close()


def test_a_failed_write_is_rolled_back_and_the_next_one_works(home: Home) -> None:
    database = Database(home.target)

    def add(name: str) -> None:
        with database.writing() as connection:
            connection.execute(schema.annotators.insert().values(id=name, kind="person", note=""))
            if name == "bad":
                raise RuntimeError("in the middle")

    add("first")
    with pytest.raises(RuntimeError, match="in the middle"):
        add("bad")
    add("second")
    with database.reading() as connection:
        assert connection.execute(schema.annotators.select()).scalars().all() == ["first", "second"]
    database.close()


def test_tables_are_made_for_postgresql_too() -> None:
    made = {t.name: str(CreateTable(t).compile(dialect=postgresql.dialect())) for t in schema.metadata.sorted_tables}
    assert "position BIGSERIAL NOT NULL" in made["feedback"]
    assert "number BIGSERIAL NOT NULL" in made["queries"]
    assert "position BIGINT NOT NULL" in made["consumers"]
    assert "value JSON NOT NULL" in made["feedback"]


def test_a_url_works_like_a_path(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/with space.db").close()
    with sqlite3.connect(tmp_path / "with space.db") as connection:
        assert connection.execute("SELECT count(*) FROM feedback").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("nosuch://host/base", "not a database URL"),
        ("://", "not a database URL"),
        ("mysql+nosuch://host/base", "not a database URL"),
        ("mysql://host/base", "SQLite files or PostgreSQL databases"),
        ("postgresql+psycopg2://host/base", "SQLite files or PostgreSQL databases"),
        ("postgresql://host", "names a server and no database"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Database(url)

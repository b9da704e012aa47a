"""A store on PostgreSQL: which URLs name one, what messages tell, and that nobody overtakes anybody."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.core.errors import ConfigError, StoreError
from heeler.feedback import database, postgres
from heeler.feedback.database import Database
from heeler.feedback.store import Store
from tests.postgres import PostgresServer, database_of
from tests.unit.feedback.helpers import Home, add_comparisons, make_answer, open_store

SECRET = "hunter2"


@pytest.fixture
def server_home(postgres: PostgresServer, tmp_path: Path) -> Iterator[Home]:
    url = postgres.new_database()
    yield Home(tmp_path, url)
    postgres.drop(url)


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://ann:{SECRET}@host/base",
        f"postgresql://ann:{SECRET}@host:port/base",
        f"postgresql://ann:a/{SECRET}@host:12/base",
        f"postgresql://ann:{SECRET}@host",
        f"postgresql://ann:{SECRET}@host/base",
        f"postgresql://ann@host/base?password={SECRET}",
        f"postgresql://ann@host/base?sslpassword={SECRET}&password=",
        f"postgresql+psycopg2://ann:{SECRET}@host/base?password={SECRET}",
        f"mysql://ann:{SECRET}@host/base",
        f"nonsense://{SECRET}@host/base",
    ],
)
def test_a_password_is_refused_and_never_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        postgres.check_run_store(url)
    assert SECRET not in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None and not error.__suppress_context__:
        assert SECRET not in str(error)
        error = error.__cause__ or error.__context__


def test_a_password_has_its_places() -> None:
    with pytest.raises(ConfigError, match=r"no place for one; .* PGPASSWORD or in the file ~/\.pgpass"):
        postgres.check_run_store(f"postgresql://ann:{SECRET}@host/base")
    postgres.check_run_store("postgresql://ann@host:5433/base?sslmode=require")
    for path in ("runs/other/heeler.db", "sqlite:////tmp/other.db"):
        with pytest.raises(ConfigError, match="postgresql://HOST/DATABASE"):
            postgres.check_run_store(path)


def test_a_password_of_a_program_s_own_is_used_and_not_shown(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.new_database().replace("heeler@", f"nobody:{SECRET}@")
    with pytest.raises(StoreError, match='role "nobody" does not exist') as caught:
        open_store(tmp_path, url)
    assert SECRET not in str(caught.value)
    assert f"postgresql://nobody@/{url.partition('@/')[2].partition('?')[0]}" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((), r"permission denied for schema public\); let that user own the database"),
        (("heeler-pg-", "nowhere-"), r"cannot be reached .* start the server, or mend the URL"),
        (("@/run_", "@/nosuch_"), r'database "nosuch_\d+" does not exist'),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    postgres: PostgresServer, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    from psycopg import sql

    url = postgres.new_database()
    if not change:
        postgres.execute(sql.SQL("DROP ROLE IF EXISTS guest"))
        postgres.execute(sql.SQL("CREATE ROLE guest LOGIN"))
        change = ("heeler@", "guest@")
    with pytest.raises(StoreError, match=message) as caught:
        open_store(tmp_path, url.replace(*change))
    assert "\n" not in str(caught.value)


def test_a_database_of_another_program_is_left_alone(postgres: PostgresServer, server_home: Home) -> None:
    from psycopg import sql

    name = database_of(str(server_home.target))
    postgres.execute(sql.SQL("CREATE TABLE theirs (id integer)"), name)
    with pytest.raises(StoreError, match="belongs to another program; name an empty one"):
        server_home.open()
    tables = sql.SQL("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert postgres.execute(tables, name) == [("theirs",)]


def test_a_database_of_a_newer_version_is_left_alone(server_home: Home) -> None:
    with server_home.open():
        pass
    other = Database(server_home.target)
    with other.writing() as connection:
        connection.exec_driver_sql("UPDATE heeler_schema SET version_num = '9999'")
    other.close()
    with pytest.raises(StoreError, match="written by a newer heeler"):
        server_home.open()


def test_a_database_without_an_encoding_of_its_own_keeps_text(postgres: PostgresServer, tmp_path: Path) -> None:
    """As a server makes it that was set up where no language was."""
    from psycopg import sql

    statement = "CREATE DATABASE plain ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
    postgres.execute(sql.SQL("DROP DATABASE IF EXISTS plain"))
    postgres.execute(sql.SQL(statement))
    with open_store(tmp_path, postgres.url("plain")) as store:
        store.add_annotator("落ちる", "person")
        (query,) = add_comparisons(store, 1)
        store.add_feedback([make_answer(query, annotator="落ちる")])
        assert store.counts()["by_annotator"] == {"落ちる": 1}


def test_answers_are_synced_although_the_server_s_default_is_not(postgres: PostgresServer, server_home: Home) -> None:
    from psycopg import sql

    name = database_of(str(server_home.target))
    change = sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}")
    for default, used in (("off", "on"), ("remote_write", "remote_write")):
        postgres.execute(change.format(sql.Identifier(name), sql.Literal(default)))
        opened = Database(server_home.target)
        with opened.writing() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == used
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "30s"
        with opened.reading() as connection:
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
        opened.close()


def test_a_writer_that_never_ends_keeps_others_waiting_for_so_long_only(
    server_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    with server_home.open() as store:
        rival = Database(server_home.target)
        with rival.writing():
            with pytest.raises(StoreError, match="another program has been writing for too long"):
                store.set_consumed("learner", 1)
            assert store.consumed("learner") == 0
        store.set_consumed("learner", 1)
        rival.close()


def test_a_reader_that_follows_two_writers_misses_nothing(homes) -> None:
    """Positions become visible in their order, whoever writes."""
    with homes() as home, home.open() as store:
        queries = add_comparisons(store, 40)
        ended = threading.Event()

        def write(share: int) -> None:
            with Store.open(home.target, segments_dir=home.segments) as own:
                for query in queries[share::2]:
                    own.add_feedback([make_answer(query, name) for name in range(3)])

        writers = [threading.Thread(target=write, args=(share,)) for share in range(2)]
        for writer in writers:
            writer.start()
        position, read = 0, []
        while not ended.is_set():
            if not any(writer.is_alive() for writer in writers):
                ended.set()
            found = store.feedback_after(position, limit=1000, up_to_step=None)
            read += [answer.key for _, answer in found]
            position = found[-1][0] if found else position
        assert len(read) == len(set(read)) == 120


def test_one_learner_at_a_time(server_home: Home) -> None:
    with server_home.open() as store, server_home.open() as other:
        with store.sole_learner():
            with pytest.raises(StoreError, match="another learner is at work on it"), other.sole_learner():
                pass
            assert other.add_feedback([make_answer(query) for query in add_comparisons(other, 1)]) == [1]
        with other.sole_learner():
            pass


def test_a_store_belongs_to_one_run(homes) -> None:
    with homes() as home, home.open() as store:
        store.ownership.refuse_other_runs(None)
        with pytest.raises(StoreError, match="holds nothing of the run in runs/a, which has begun"):
            store.ownership.claim("a", "runs/a", begun=True)
        store.ownership.claim("a", "runs/a", begun=False)
        store.ownership.claim("a", "runs/moved", begun=True)
        for refused in (
            lambda: store.ownership.claim("b", "runs/b", begun=False),
            lambda: store.ownership.refuse_other_runs(None),
        ):
            with pytest.raises(StoreError, match="belongs to the run in runs/a; one database holds one run"):
                refused()

"""The server of a store is killed and started again: what was acknowledged is there, once, and the store goes on."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from heeler.core.errors import StoreAway, StoreError
from heeler.core.nouns import Feedback
from heeler.feedback import postgres as postgres_module
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import Home, add_comparisons, make_answer

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

ROUNDS = 3
WORDS = ("cannot be reached", "connection to its server was lost", "starting up", "shutting down", "recovery mode")


@pytest.fixture
def home(postgres: "PostgresServer", tmp_path: Path) -> Iterator[Home]:
    url = postgres.new_database()
    yield Home(tmp_path, url)
    postgres.drop(url)


class Sender(threading.Thread):
    """Posts its answers one after the other until each is acknowledged, as a browser does that keeps them till then."""

    def __init__(self, store: Store, answers: list[Feedback]) -> None:
        super().__init__()
        self.store, self.answers = store, answers
        self.positions: dict[str, int] = {}
        self.refusals: list[str] = []
        self.crash: BaseException | None = None

    def run(self) -> None:
        try:
            for answer in self.answers:
                while answer.key not in self.positions:
                    try:
                        (self.positions[answer.key],) = self.store.add_feedback([answer])
                    except StoreError as error:
                        self.refusals.append(str(error))
                        time.sleep(0.02)
        except BaseException as error:
            self.crash = error


@pytest.mark.parametrize("how", ["kill", "immediate", "fast"])
def test_acknowledged_answers_outlive_the_server(postgres: "PostgresServer", home: Home, how: str) -> None:
    def end() -> None:
        postgres.kill() if how == "kill" else postgres.stop(how)

    with home.open() as store, home.open() as other:
        answers = [make_answer(query, name) for query in add_comparisons(store, 40) for name in range(30)]
        senders = [Sender(store, answers[::3]), Sender(other, answers[1::3]), Sender(other, answers[2::3])]
        senders.append(Sender(store, answers[::7]))  # some come twice, through another process's connections
        for sender in senders:
            sender.start()
        try:
            acknowledged = _interrupt(postgres, end, senders)
        finally:
            for sender in senders:
                sender.join(timeout=120)
        assert [sender.crash for sender in senders] == [None] * len(senders)
        assert acknowledged > 0, "no answer had been acknowledged before the server died: nothing was tested"
        refusals = [message for sender in senders for message in sender.refusals]
        assert refusals, "nobody noticed: the server died between all posts"
        for message in refusals:
            assert any(words in message for words in WORDS), message
        read = store.feedback_after(0, limit=10**6, up_to_step=None)
        assert sorted(answer.key for _, answer in read) == sorted(answer.key for answer in answers)
        kept = {answer.key: position for position, answer in read}
        for sender in senders:
            assert {key: kept[key] for key in sender.positions} == sender.positions


def _interrupt(postgres: "PostgresServer", end: Callable[[], None], senders: list[Sender]) -> int:
    """End the server in the middle of posts and start it, several times; answers acknowledged before the last time."""
    moments = random.Random(0)
    acknowledged = 0
    for _ in range(ROUNDS):
        before = sum(len(sender.positions) for sender in senders)
        while sum(len(sender.positions) for sender in senders) < before + 20:
            if not any(sender.is_alive() for sender in senders):
                break
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.05))
        assert any(sender.is_alive() for sender in senders), "all was posted before the server could be killed"
        acknowledged = sum(len(sender.positions) for sender in senders)
        end()
        time.sleep(0.1)
        postgres.start()
    return acknowledged


def test_a_store_goes_on_after_its_server_was_away(postgres: "PostgresServer", home: Home) -> None:
    with home.open() as store:
        first, second = add_comparisons(store, 2)
        with store.sole_learner():
            store.add_feedback([make_answer(first)])
            postgres.kill()
            for use in (store.counts, lambda: store.add_feedback([make_answer(second)]), home.open):
                with pytest.raises(StoreError, match=r"cannot be reached .*; start the server") as caught:
                    use()
                assert "\n" not in str(caught.value)
            postgres.start()
            assert len(store.add_feedback([make_answer(second)])) == 1
            assert store.counts()["feedback"] == 2
        # Restarted while nobody asks anything: nobody notices.
        postgres.stop("immediate")
        postgres.start()
        assert store.counts()["feedback"] == 2
        with store.sole_learner():
            store.set_consumed("learner", 2)


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_learner_stays_the_only_one_after_its_server_was_away(
    postgres: "PostgresServer", home: Home, how: str
) -> None:
    def lose_connections() -> None:
        if how == "kill":
            postgres.kill()
            postgres.start()
        else:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heeler'"
            postgres.execute(sql.SQL(others))

    with home.open() as store, home.open() as rival:
        with store.sole_learner():
            for turn in range(3):
                lose_connections()
                store.set_consumed("learner", turn)
                with pytest.raises(StoreError, match="another learner is at work on it"), rival.sole_learner():
                    pass
        # It is let go of at the end, however often it was taken.
        with rival.sole_learner():
            pass


def test_a_learner_whose_place_was_taken_meanwhile_writes_nothing_more(postgres: "PostgresServer", home: Home) -> None:
    with home.open() as store, home.open() as rival:
        (query,) = add_comparisons(store, 1)
        with store.sole_learner():
            postgres.kill()
            postgres.start()
            with rival.sole_learner():
                rival.set_consumed("learner", 7)
                for write in (
                    lambda: store.set_consumed("learner", 3),
                    lambda: store.add_feedback([make_answer(query)]),
                ):
                    with pytest.raises(StoreError, match="another learner has taken it over while the connection"):
                        write()
            assert store.consumed("learner") == 7
            assert store.counts()["feedback"] == 0
            # The other one has gone, and the place is free again.
            store.set_consumed("learner", 8)
            with pytest.raises(StoreError, match="another learner is at work on it"), rival.sole_learner():
                pass


def test_a_connection_that_is_lost_while_the_place_is_taken_holds_nothing(
    postgres: "PostgresServer", home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(connection: object) -> bool:
        postgres.kill()
        return wait(connection)  # type: ignore[arg-type]

    wait = postgres_module._wait_for_learner_lock
    with home.open() as store, home.open() as rival, store.sole_learner():
        postgres.stop("fast")
        postgres.start()
        with monkeypatch.context() as patch:
            patch.setattr(postgres_module, "_wait_for_learner_lock", lost)
            with pytest.raises(StoreAway, match="the connection to its server was lost"):
                store.set_consumed("learner", 1)
        postgres.start()
        store.set_consumed("learner", 1)
        with pytest.raises(StoreError, match="another learner is at work on it"), rival.sole_learner():
            pass


def test_a_learner_asks_again_once_the_server_is_back(postgres: "PostgresServer", home: Home) -> None:
    with home.open() as store, home.open() as rival, store.sole_learner():
        postgres.kill()
        for _ in range(2):
            with pytest.raises(StoreError, match="cannot be reached"):
                store.set_consumed("learner", 1)
        postgres.start()
        store.set_consumed("learner", 1)
        with pytest.raises(StoreError, match="another learner is at work on it"), rival.sole_learner():
            pass


def test_a_server_that_dies_within_a_transaction_keeps_nothing_of_it(postgres: "PostgresServer", home: Home) -> None:
    with home.open() as store:
        database = store._database
        with pytest.raises(StoreError, match="the connection to its server was lost"), database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO annotators (id, kind, note) VALUES ('half', 'person', '')")
            postgres.kill()
            postgres.start()
            connection.exec_driver_sql("INSERT INTO annotators (id, kind, note) VALUES ('whole', 'person', '')")
        store.add_annotator("half", "program")

"""Calls of a store whose server is away are made again for a set time, and its watcher is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from heeler.core.errors import DataError, StoreAway, StoreError
from heeler.feedback import patience
from heeler.feedback.patience import Patience, patient
from heeler.feedback.store import Store
from heeler.feedback.withdrawal import Withdrawals
from tests.unit.feedback.helpers import add_comparisons, make_answer, open_store

AWAY = StoreAway("store postgresql://h/d: it cannot be reached")


class Told:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.away_s: list[float] = []
        self.back_s: list[float] = []

    def away(self, away_s: float, error: StoreAway) -> None:
        assert error is AWAY
        self.away_s.append(away_s)

    def back(self, away_s: float) -> None:
        self.back_s.append(away_s)


@pytest.fixture
def slept_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses so far, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr(patience.time, "sleep", pauses.append)
    monkeypatch.setattr(patience.time, "monotonic", lambda: 100.0 + sum(pauses))
    return pauses


def failing(times: int, error: Exception = AWAY) -> Callable[[], int]:
    """Fails so often, and then says how often it was called."""
    calls = [0]

    def call() -> int:
        calls[0] += 1
        if calls[0] <= times:
            raise error
        return calls[0]

    return call


def test_a_call_is_made_again_until_it_is_carried_out(slept_s: list[float]) -> None:
    told = Told()
    assert Patience(60.0, told).repeat(failing(6)) == 7
    assert slept_s == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert told.away_s == pytest.approx([0.0, 0.1, 0.3, 0.7, 1.5, 2.5])
    assert told.back_s == pytest.approx([3.5])


def test_patience_ends(slept_s: list[float]) -> None:
    told = Told()
    message = r"^store postgresql://h/d: it cannot be reached\. It was waited for, for 2 s \(store_patience_s\)$"
    with pytest.raises(StoreAway, match=message):
        Patience(2.0, told).repeat(failing(10**6))
    assert sum(slept_s) == pytest.approx(2.0)
    assert told.back_s == []


def test_without_patience_nobody_waits(slept_s: list[float]) -> None:
    told = Told()
    with pytest.raises(StoreAway):
        Patience(0.0, told).repeat(failing(1))
    assert (slept_s, told.away_s) == ([], [])


@pytest.mark.parametrize("error", [StoreError("the disk is full"), DataError("key: none")])
def test_what_waiting_does_not_mend_is_told_at_once(slept_s: list[float], error: Exception) -> None:
    told = Told()
    with pytest.raises(type(error)):
        Patience(60.0, told).repeat(failing(1, error))
    assert slept_s == []


def test_a_store_and_its_parts_are_patient(
    tmp_path: Path, slept_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    with open_store(tmp_path) as opened:
        (query,) = add_comparisons(opened, 1)
        for kind, name in ((Store, "add_feedback"), (Store, "consumed"), (Withdrawals, "newest")):
            monkeypatch.setattr(kind, name, once_away(getattr(kind, name)))
        store = patient(opened, Patience(60.0, told))
        assert store.add_feedback([make_answer(query)]) == [1]
        assert store.consumed("learner") == 0
        assert store.withdrawals.newest() == 0
        assert store.counts()["feedback"] == 1
    assert len(told.back_s) == 3


def once_away(method: Callable[..., object]) -> Callable[..., object]:
    """The method, on a connection that is lost the first time after all was done."""
    calls = [0]

    def call(*arguments: object) -> object:
        calls[0] += 1
        found = method(*arguments)
        if calls[0] == 1:
            raise AWAY
        return found

    return call

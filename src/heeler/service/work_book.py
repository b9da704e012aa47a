"""Counts people's working time from the answers in the stores, a few seconds' worth at a time.

Up to which position a store is counted is kept with the time itself, in one transaction. So nothing is counted twice,
and nothing is lost: after a crash the counting goes on from there. What came since is counted in memory first, so that
limits hold at once, and written every few seconds, never once for each answer.
"""

import heapq
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from heeler.core.errors import HeelerError, StoreError
from heeler.feedback.store import Store
from heeler.feedback.work_rows import WorkRow
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.care_settings import CareSettings, Preferences, care_of, preferences_of
from heeler.service.accounts.work import Amount, WorkKey
from heeler.service.accounts.work_clock import WorkClock, counted

WRITE_EVERY_S = 5.0
_ROWS_AT_ONCE = 2000
_MS = 1000
_log = logging.getLogger("heeler.service")


class WorkBook:
    """The working time of everybody who answers in this service.

    Args:
        accounts: of the service.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._lock = threading.RLock()
        self._stores: dict[str, tuple[str, Store]] = {}
        self._changed: set[str] = set()
        self._marks = accounts.work.marks()
        self._clocks: dict[str, WorkClock] = {}
        self._uncounted: dict[WorkKey, Amount] = {}
        self._moved: set[str] = set()
        self._wake, self._closing = threading.Event(), False
        self._thread: threading.Thread | None = None

    def runs_begun(self) -> set[str]:
        """Names of runs that people have answered: their answers of before this start may be uncounted."""
        return {run for run, _ in self._marks.values()}

    def begin(self, run: str, store: Store) -> None:
        """Have a store's answers counted: before the first answer of a person in this process."""
        identity = store.work.identity()
        with self._lock:
            if identity not in self._marks:
                self._accounts.work.begin(identity, run)
                self._marks[identity] = (run, 0)
            self._stores[identity] = (run, store)
            self._changed.add(identity)

    def note(self, run: str) -> None:
        """People have answered in a run; called by the writer of its store, which waits for nothing here."""
        for identity, (name, _) in list(self._stores.items()):
            if name == run:
                self._changed.add(identity)
        self._wake.set()
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._work, name="work-book", daemon=True)
            self._thread.start()

    def catch_up(self) -> None:
        """Count what has come since; when this returns, everything that was acknowledged before is counted."""
        with self._lock:
            changed, self._changed = self._changed, set()
            pages = [_Page(identity, *self._stores[identity], self._marks[identity][1]) for identity in changed]
            people = _People(self._accounts, self._clocks)
            try:
                # Within a store the order is that of the positions, between stores that of time.
                for page, row in heapq.merge(
                    *(page.rows() for page in pages), key=lambda item: item[1].received_unix_s
                ):
                    self._count(people, row)
                    page.position = row.position
            except StoreError as error:
                # It was closed, or cannot be read now: what is missing is counted the next time it is opened.
                _log.warning("working time: %s", error)
            for page in pages:
                if page.position > self._marks[page.identity][1]:
                    self._marks[page.identity] = (page.run, page.position)
                    self._moved.add(page.identity)

    def _count(self, people: "_People", row: WorkRow) -> None:
        who = people.get(row.annotator)
        if who is None:
            return
        care, preferences = who
        clock, seconds = counted(
            people.clock(row.annotator),
            row.received_unix_s,
            row.time_taken_s,
            longest_item_s=care.longest_item_s,
            break_s=care.break_min * 60,
        )
        self._clocks[row.annotator] = clock
        key = WorkKey(
            person_id=row.annotator,
            day=preferences.day(row.received_unix_s),
            currency=care.currency if care.rate_minor and care.currency else "",
            rate_minor=care.rate_minor or 0,
        )
        amount = self._uncounted.setdefault(key, Amount())
        amount.items += 1
        amount.milliseconds += round(seconds * _MS)

    def write(self) -> None:
        """Write what was counted."""
        with self._lock:
            if not self._moved and not self._uncounted:
                return
            people = {key.person_id for key in self._uncounted}
            clocks = {name: clock for name, clock in self._clocks.items() if name in people}
            self._accounts.work.count(self._uncounted, clocks, {i: self._marks[i] for i in self._moved})
            self._uncounted, self._moved = {}, set()

    def on_day(self, person_id: str, day: str) -> Amount:
        """What a person did on a day, up to this moment."""
        with self._lock:
            found = self._accounts.work.on_day(person_id, day)
            for key, amount in self._uncounted.items():
                if (key.person_id, key.day) == (person_id, day):
                    found.items += amount.items
                    found.milliseconds += amount.milliseconds
            return found

    def stretch_s(self, person_id: str, now_s: float, break_s: float) -> float:
        """How long a person has worked without a break."""
        with self._lock:
            clock = self._clocks.get(person_id) or self._accounts.work.clocks([person_id]).get(person_id)
        if clock is None or now_s - clock.last_unix_s >= break_s:
            return 0.0
        return clock.stretch_s

    def forget(self, person_id: str) -> None:
        """Forget a person; what was counted of them goes with them."""
        with self._lock:
            self._clocks.pop(person_id, None)
            self._uncounted = {key: amount for key, amount in self._uncounted.items() if key.person_id != person_id}

    def close(self) -> None:
        """Count and write what is there, while the stores are still open."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._turn()

    def _work(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            self._turn()
            # Answers that come meanwhile are counted together.
            for _ in range(int(WRITE_EVERY_S / 0.1)):
                if self._closing:
                    return
                time.sleep(0.1)

    def _turn(self) -> None:
        try:
            self.catch_up()
            self.write()
        except HeelerError as error:
            # It is all in the stores still, and is counted the next time.
            _log.error("working time could not be written: %s", error)


class _Page:
    """The answers of one store after a position, as they are read."""

    def __init__(self, identity: str, run: str, store: Store, position: int) -> None:
        self.identity, self.run, self.position = identity, run, position
        self._store = store

    def rows(self) -> Iterator[tuple["_Page", WorkRow]]:
        """Each answer, with this."""
        after = self.position
        while some := self._store.work.after(after, limit=_ROWS_AT_ONCE):
            yield from ((self, row) for row in some)
            after = some[-1].position


class _People:
    """What counting needs of people, looked up once each."""

    def __init__(self, accounts: Accounts, clocks: Mapping[str, WorkClock]) -> None:
        self._accounts, self._clocks = accounts, clocks
        self._known: dict[str, tuple[CareSettings, Preferences] | None] = {}

    def get(self, person_id: str) -> tuple[CareSettings, Preferences] | None:
        """What holds for a person; None for who is none, or was forgotten."""
        if person_id not in self._known:
            self._known[person_id] = self._look_up(person_id)
        return self._known[person_id]

    def _look_up(self, person_id: str) -> tuple[CareSettings, Preferences] | None:
        try:
            self._accounts.people.get(person_id)
        except KeyError:
            return None
        options = self._accounts.options
        return care_of(options, person_id), preferences_of(options, person_id)

    def clock(self, person_id: str) -> WorkClock | None:
        """Where the counting of a person's time stands."""
        return self._clocks.get(person_id) or self._accounts.work.clocks([person_id]).get(person_id)


def recount(stores: Sequence[Store], care: CareSettings, person_id: str) -> Amount:
    """A person's work from the stores alone, as if nothing had ever been counted."""
    clock: WorkClock | None = None
    total = Amount()
    pages = [_Page("", "", store, 0).rows() for store in stores]
    for _, row in heapq.merge(*pages, key=lambda item: item[1].received_unix_s):
        if row.annotator == person_id:
            clock, seconds = counted(
                clock,
                row.received_unix_s,
                row.time_taken_s,
                longest_item_s=care.longest_item_s,
                break_s=care.break_min * 60,
            )
            total = replace(total, items=total.items + 1, milliseconds=total.milliseconds + round(seconds * _MS))
    return total

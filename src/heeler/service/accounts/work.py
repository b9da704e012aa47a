"""Working time as people.db keeps it: by person and day, and by what an hour was worth then."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase
from heeler.service.accounts.work_clock import WorkClock

_WORK, _MARKS, _CLOCKS = schema.work, schema.work_marks, schema.work_clocks
_MS_AN_HOUR = 3_600_000


@dataclass(frozen=True, kw_only=True)
class WorkKey:
    """What working time is kept by."""

    person_id: str
    day: str
    currency: str = ""
    rate_minor: int = 0


@dataclass(kw_only=True)
class Amount:
    """Answers and the time that they took."""

    items: int = 0
    milliseconds: int = 0


@dataclass(frozen=True, kw_only=True)
class WorkDay:
    """What a person did on a day at one rate."""

    key: WorkKey
    items: int
    milliseconds: int

    @property
    def pay_minor(self) -> int:
        """What it is worth; a part of the smallest unit counts as a whole one, in the person's favour."""
        return -(-self.milliseconds * self.key.rate_minor // _MS_AN_HOUR)


class Work:
    """Who worked when, and what it is worth.

    Args:
        database: of people.
    """

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    # What the counting needs

    def marks(self) -> dict[str, tuple[str, int]]:
        """(run, position up to which it is counted) by the identity of its store."""
        with self._database.reading() as connection:
            return {row.store: (row.run, row.position) for row in connection.execute(select(_MARKS))}

    def clocks(self, people: Iterable[str]) -> dict[str, WorkClock]:
        """Where the counting stands of those people who have answered."""
        wanted = select(_CLOCKS).where(_CLOCKS.c.person_id.in_(list(people)))
        with self._database.reading() as connection:
            return {
                r.person_id: WorkClock(last_unix_s=r.last_unix_s, free_s=r.free_s, stretch_s=r.stretch_s)
                for r in connection.execute(wanted)
            }

    def count(
        self,
        amounts: Mapping[WorkKey, Amount],
        clocks: Mapping[str, WorkClock],
        marks: Mapping[str, tuple[str, int]],
    ) -> None:
        """Add working time, and note up to where it is counted, in one transaction. Who is gone is left out."""
        with self._database.noting() as connection:
            wanted = {key.person_id for key in amounts} | set(clocks)
            there = select(schema.people.c.id).where(schema.people.c.id.in_(wanted))
            people = set(connection.execute(there).scalars())
            for key, amount in amounts.items():
                if key.person_id in people:
                    _add(connection, key, amount)
            for person_id in set(clocks) & people:
                connection.execute(delete(_CLOCKS).where(_CLOCKS.c.person_id == person_id))
                connection.execute(insert(_CLOCKS).values(person_id=person_id, **vars(clocks[person_id])))
            for store, (run, position) in marks.items():
                connection.execute(delete(_MARKS).where(_MARKS.c.store == store))
                connection.execute(insert(_MARKS).values(store=store, run=run, position=position))

    def begin(self, store: str, run: str) -> None:
        """Have the answers of a store counted from the first on, if they are not yet."""
        with self._database.noting() as connection:
            known = connection.execute(select(_MARKS.c.position).where(_MARKS.c.store == store)).one_or_none()
            if known is None:
                connection.execute(insert(_MARKS).values(store=store, run=run, position=0))

    # Reports

    def on_day(self, person_id: str, day: str) -> Amount:
        """All that a person did on a day."""
        sums = func.coalesce(func.sum(_WORK.c["items"]), 0), func.coalesce(func.sum(_WORK.c.milliseconds), 0)
        with self._database.reading() as connection:
            wanted = select(*sums).where(_WORK.c.person_id == person_id, _WORK.c.day == day)
            row = connection.execute(wanted).one()
        return Amount(items=int(row[0]), milliseconds=int(row[1]))

    def days(self, person_id: str | None = None, *, first: str = "", last: str = "9999-12-31") -> list[WorkDay]:
        """What was done by day, of one person or of all, from day `first` to day `last`."""
        columns = (_WORK.c.person_id, _WORK.c.day, _WORK.c.currency, _WORK.c.rate_minor)
        wanted = select(_WORK).where(_WORK.c.day >= first, _WORK.c.day <= last).order_by(*columns)
        if person_id is not None:
            wanted = wanted.where(_WORK.c.person_id == person_id)
        with self._database.reading() as connection:
            return [
                WorkDay(
                    key=WorkKey(person_id=r.person_id, day=r.day, currency=r.currency, rate_minor=r.rate_minor),
                    items=r.items,
                    milliseconds=r.milliseconds,
                )
                for r in connection.execute(wanted)
            ]


def _add(connection: Connection, key: WorkKey, amount: Amount) -> None:
    same = [_WORK.c[name] == value for name, value in vars(key).items()]
    more = {"items": _WORK.c["items"] + amount.items, "milliseconds": _WORK.c.milliseconds + amount.milliseconds}
    if connection.execute(update(_WORK).where(*same).values(more)).rowcount == 0:
        connection.execute(insert(_WORK).values(**vars(key), **vars(amount)))

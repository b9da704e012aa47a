"""Working time and pay as people.db keeps them: by person and day, and by what an hour was worth then."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from heeler.core.errors import ConflictError
from heeler.feedback.intake import check_key
from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase
from heeler.service.accounts.work_clock import WorkClock

_WORK, _MARKS, _CLOCKS, _PAYMENTS = schema.work, schema.work_marks, schema.work_clocks, schema.payments
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


@dataclass(frozen=True, kw_only=True)
class Payment:
    """That somebody was paid."""

    id: str
    person_id: str
    amount_minor: int
    currency: str
    note: str
    paid_unix_s: float


class Work:
    """Who worked when, and what they were paid.

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

    def payments(self, person_id: str | None = None) -> list[Payment]:
        """What was paid, of one person or to all, the newest first."""
        wanted = select(_PAYMENTS).order_by(_PAYMENTS.c.paid_unix_s.desc(), _PAYMENTS.c.id)
        if person_id is not None:
            wanted = wanted.where(_PAYMENTS.c.person_id == person_id)
        with self._database.reading() as connection:
            return [Payment(**row) for row in connection.execute(wanted).mappings()]

    def pay(self, by: str, person_id: str, *, payment_id: str, amount_minor: int, currency: str, note: str) -> Payment:
        """Note a payment; the same again is the one that was noted.

        Raises:
            KeyError: there is no such person.
            DataError: the id is no UUID.
            ConflictError: the same id was another payment.
        """
        check_key(payment_id, "id")
        fields = {"person_id": person_id, "amount_minor": amount_minor, "currency": currency, "note": note}
        known = self._payment(payment_id)
        if known is None:
            row = {"id": payment_id, "paid_unix_s": time.time(), **fields}
            told = {"amount_minor": amount_minor, "currency": currency, "id": payment_id}
            with self._database.changing(by, "people.pay", person_id, **told) as connection:
                there = select(schema.people.c.id).where(schema.people.c.id == person_id)
                if connection.execute(there).one_or_none() is None:
                    raise KeyError(person_id)
                connection.execute(insert(_PAYMENTS).values(row))
            known = Payment(**row)
        if any(getattr(known, name) != value for name, value in fields.items()):
            raise ConflictError(f"id: {payment_id} was another payment; a new one needs a new id")
        return known

    def _payment(self, payment_id: str) -> Payment | None:
        with self._database.reading() as connection:
            row = connection.execute(select(_PAYMENTS).where(_PAYMENTS.c.id == payment_id)).mappings().one_or_none()
        return None if row is None else Payment(**row)


def owed(days: Iterable[WorkDay], payments: Iterable[Payment]) -> dict[str, int]:
    """What is owed in each currency, in its smallest unit; less than nothing where more was paid."""
    sums: dict[str, int] = {}
    for day in days:
        if day.key.currency:
            sums[day.key.currency] = sums.get(day.key.currency, 0) + day.pay_minor
    for payment in payments:
        sums[payment.currency] = sums.get(payment.currency, 0) - payment.amount_minor
    return sums


def _add(connection: Connection, key: WorkKey, amount: Amount) -> None:
    same = [_WORK.c[name] == value for name, value in vars(key).items()]
    more = {"items": _WORK.c["items"] + amount.items, "milliseconds": _WORK.c.milliseconds + amount.milliseconds}
    if connection.execute(update(_WORK).where(*same).values(more)).rowcount == 0:
        connection.execute(insert(_WORK).values(**vars(key), **vars(amount)))

"""Payments as people.db keeps them: noted once, taken back once, and never deleted while their person is known."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select

from heeler.core.errors import ConflictError, DataError
from heeler.feedback.intake import check_key
from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase
from heeler.service.accounts.work import WorkDay

_TABLE, _REVERSALS = schema.payments, schema.reversals


@dataclass(frozen=True, kw_only=True)
class Reversal:
    """That a payment was taken back."""

    reason: str
    reversed_unix_s: float


@dataclass(frozen=True, kw_only=True)
class Payment:
    """That somebody was paid."""

    id: str
    person_id: str
    amount_minor: int
    currency: str
    note: str
    paid_unix_s: float
    reversal: Reversal | None = None
    """Where it was noted by mistake; it then counts for nothing."""


class Payments:
    """What people were paid.

    Args:
        database: of people.
    """

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def all(self, person_id: str | None = None) -> list[Payment]:
        """What was paid, to one person or to all, the newest first."""
        with self._database.reading() as connection:
            return _found(connection, *([] if person_id is None else [_TABLE.c.person_id == person_id]))

    def note(self, by: str, person_id: str, *, payment_id: str, amount_minor: int, currency: str, note: str) -> Payment:
        """Note a payment; the same again is the one that was noted.

        Raises:
            KeyError: there is no such person.
            DataError: the id is no UUID.
            ConflictError: the same id was another payment.
        """
        check_key(payment_id, "id")
        fields = {"person_id": person_id, "amount_minor": amount_minor, "currency": currency, "note": note}
        known = self._get(payment_id)
        if known is None:
            row = {"id": payment_id, "paid_unix_s": time.time(), **fields}
            told = {"amount_minor": amount_minor, "currency": currency, "id": payment_id}
            with self._database.changing(by, "people.pay", person_id, **told) as connection:
                there = select(schema.people.c.id).where(schema.people.c.id == person_id)
                if connection.execute(there).one_or_none() is None:
                    raise KeyError(person_id)
                connection.execute(insert(_TABLE).values(row))
            known = Payment(**row)
        if any(getattr(known, name) != value for name, value in fields.items()):
            raise ConflictError(f"id: {payment_id} was another payment; a new one needs a new id")
        return known

    def take_back(self, by: str, person_id: str, payment_id: str, reason: str) -> Payment:
        """Take back a payment that was noted by mistake, once and for good; the same again changes nothing.

        Raises:
            KeyError: this person has no such payment.
            DataError: there is no reason.
            ConflictError: it was taken back for another reason.
        """
        reason = reason.strip()
        if not reason:
            raise DataError("reason: expected why the payment is taken back, got nothing; the person will read it")
        known = self._get(payment_id)
        if known is None or known.person_id != person_id:
            raise KeyError(payment_id)
        if known.reversal is None:
            known = self._reverse(by, known, reason)
        if known.reversal is None or known.reversal.reason != reason:
            raise ConflictError(
                f"payment_id: {payment_id} was taken back before, for another reason; a payment is taken back once"
            )
        return known

    def _reverse(self, by: str, payment: Payment, reason: str) -> Payment:
        told = {"amount_minor": payment.amount_minor, "currency": payment.currency, "id": payment.id}
        with self._database.changing(by, "people.take_back_payment", payment.person_id, **told) as connection:
            found = _found(connection, _TABLE.c.id == payment.id)
            if not found:
                raise KeyError(payment.id)
            if found[0].reversal is not None:
                raise ConflictError(f"payment_id: {payment.id} was taken back at the same moment; look at it first")
            row = {"payment_id": payment.id, "person_id": payment.person_id, "reason": reason}
            connection.execute(insert(_REVERSALS).values(row | {"reversed_unix_s": time.time()}))
            return _found(connection, _TABLE.c.id == payment.id)[0]

    def _get(self, payment_id: str) -> Payment | None:
        with self._database.reading() as connection:
            return next(iter(_found(connection, _TABLE.c.id == payment_id)), None)


def owed(days: Iterable[WorkDay], payments: Iterable[Payment]) -> dict[str, int]:
    """What is owed in each currency, in its smallest unit; less than nothing where more was paid."""
    sums: dict[str, int] = {}
    for day in days:
        if day.key.currency:
            sums[day.key.currency] = sums.get(day.key.currency, 0) + day.pay_minor
    for payment in payments:
        if payment.reversal is None:
            sums[payment.currency] = sums.get(payment.currency, 0) - payment.amount_minor
    return sums


def _found(connection: Connection, *wanted: ColumnElement[bool]) -> list[Payment]:
    columns = (*_TABLE.columns, _REVERSALS.c.reason, _REVERSALS.c.reversed_unix_s)
    joined = _TABLE.outerjoin(_REVERSALS, _REVERSALS.c.payment_id == _TABLE.c.id)
    chosen = select(*columns).select_from(joined).where(*wanted).order_by(_TABLE.c.paid_unix_s.desc(), _TABLE.c.id)
    return [_payment(row) for row in connection.execute(chosen).mappings()]


def _payment(row: RowMapping) -> Payment:
    fields = dict(row)
    reason, reversed_unix_s = fields.pop("reason"), fields.pop("reversed_unix_s")
    is_reversed = reason is not None
    return Payment(**fields, reversal=Reversal(reason=reason, reversed_unix_s=reversed_unix_s) if is_reversed else None)

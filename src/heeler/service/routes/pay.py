"""Time and pay: of everybody for admins, of oneself for everybody."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from heeler.service.accounts.payments import Payment, owed
from heeler.service.accounts.work import WorkDay
from heeler.service.bodies import Page
from heeler.service.bodies_care import PaymentBody, PaymentOut, ReversalBody, WorkDayOut, WorkOut, WorkSumOut
from heeler.service.context import Cursor, Limit, caller_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import unknown
from heeler.service.routes.table import Entry

Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$", description="a date such as 2026-01-31")]
_COLUMNS = ("person_id", "name", "day", "items", "hours", "currency", "rate_minor", "pay_minor")


def own_work(request: Request) -> WorkOut:
    """What who asks worked, is owed, and was paid."""
    return _work_of(request, caller_of(request).person.id)


def work_of(request: Request, person_id: str) -> WorkOut:
    """What one person worked, by day, is owed, and was paid."""
    _expect_person(request, person_id)
    return _work_of(request, person_id)


def work_of_all(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Page[WorkSumOut]:
    """What everybody worked and is owed."""
    accounts = _counted(request).accounts
    found = accounts.people.page(after=cursor or "", limit=limit)
    days, payments = _by_person(accounts.work.days()), _by_person(accounts.payments.all())
    items = [
        WorkSumOut(
            person_id=person.id,
            name=person.name,
            items=sum(day.items for day in days[person.id]),
            worked_s=sum(day.milliseconds for day in days[person.id]) / 1000,
            owed_minor=owed(days[person.id], payments[person.id]),
        )
        for person in found
        if person.kind == "person"
    ]
    return Page(items=items, next=found[-1].id if len(found) == limit else None)


def export(request: Request, first: Day = None, last: Day = None) -> Response:
    """Everybody's work by day, as CSV."""
    accounts = _counted(request).accounts
    names: dict[str, str] = {}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for day in accounts.work.days(first=first or "", last=last or "9999-12-31"):
        key = day.key
        if key.person_id not in names:
            names[key.person_id] = _cell(accounts.people.get(key.person_id).name)
        hours, paid = (
            f"{day.milliseconds / 3_600_000:.4f}",
            (key.rate_minor, day.pay_minor) if key.currency else ("", ""),
        )
        writer.writerow([key.person_id, names[key.person_id], key.day, day.items, hours, key.currency, *paid])
    headers = {"Content-Disposition": 'attachment; filename="work.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def pay(request: Request, person_id: str, body: PaymentBody) -> PaymentOut:
    """Note that somebody was paid; the same id again is the same payment."""
    _expect_person(request, person_id)
    payment = service_of(request).accounts.payments.note(
        caller_of(request).person.id,
        person_id,
        payment_id=body.id,
        amount_minor=body.amount_minor,
        currency=body.currency,
        note=body.note,
    )
    return _payment_out(payment)


def take_back(request: Request, person_id: str, payment_id: str, body: ReversalBody) -> PaymentOut:
    """Take back a payment that was noted by mistake: it stays, with the reason, and counts for nothing."""
    _expect_person(request, person_id)
    by, payments = caller_of(request).person.id, service_of(request).accounts.payments
    try:
        return _payment_out(payments.take_back(by, person_id, payment_id, body.reason))
    except KeyError:
        raise unknown("payment to this person", payment_id, "payment_id") from None


def _counted(request: Request):
    service = service_of(request)
    service.runs.count_work()
    service.book.write()
    return service


def _work_of(request: Request, person_id: str) -> WorkOut:
    accounts = _counted(request).accounts
    days, payments = accounts.work.days(person_id), accounts.payments.all(person_id)
    return WorkOut(
        person_id=person_id,
        days=[_day_out(day) for day in days],
        items=sum(day.items for day in days),
        worked_s=sum(day.milliseconds for day in days) / 1000,
        owed_minor=owed(days, payments),
        payments=[_payment_out(payment) for payment in payments],
    )


def _day_out(day: WorkDay) -> WorkDayOut:
    is_paid = bool(day.key.currency)
    return WorkDayOut(
        day=day.key.day,
        items=day.items,
        worked_s=day.milliseconds / 1000,
        currency=day.key.currency or None,
        rate_minor=day.key.rate_minor if is_paid else None,
        pay_minor=day.pay_minor if is_paid else None,
    )


def _payment_out(payment: Payment) -> PaymentOut:
    return PaymentOut.model_validate(payment, from_attributes=True)


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def _by_person(values: Iterable[WorkDay | Payment]) -> defaultdict[str, list]:
    found: defaultdict[str, list] = defaultdict(list)
    for value in values:
        found[value.key.person_id if isinstance(value, WorkDay) else value.person_id].append(value)
    return found


def _expect_person(request: Request, person_id: str) -> None:
    try:
        service_of(request).accounts.people.get(person_id)
    except KeyError:
        raise unknown("person", person_id, "person_id") from None


_CARE, _OF = Permission.CARE, "/people/{person_id}"
ROUTES = (
    Entry(method="GET", path="/session/work", permission=Permission.SIGNED_IN, endpoint=own_work, answer=WorkOut),
    Entry(method="GET", path=f"{_OF}/work", permission=_CARE, endpoint=work_of, answer=WorkOut),
    Entry(method="POST", path=f"{_OF}/payments", permission=_CARE, endpoint=pay, answer=PaymentOut, also=(409,)),
    Entry(
        method="POST",
        path=f"{_OF}/payments/{{payment_id}}/reversal",
        permission=_CARE,
        endpoint=take_back,
        answer=PaymentOut,
        also=(409,),
    ),
    Entry(method="GET", path="/work", permission=_CARE, endpoint=work_of_all, answer=Page[WorkSumOut]),
    Entry(method="GET", path="/work.csv", permission=_CARE, endpoint=export, media_type="text/csv"),
)

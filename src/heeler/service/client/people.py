"""People and their keys, their care and their pay, for admins."""

import uuid
from collections.abc import Iterator, Sequence
from typing import TypedDict, Unpack

from heeler.service.bodies import KeyOut, NewKeyOut, OneTimePasswordOut, Page, PersonOut
from heeler.service.bodies_care import (
    CareOut,
    ConsentTextOut,
    ForgottenOut,
    PaymentOut,
    PersonCareOut,
    WorkOut,
    WorkSumOut,
)
from heeler.service.client.account import Fate
from heeler.service.client.calls import Calls
from heeler.service.client.transport import Repeat, at, given

_PERSON = "/people/{person_id}"


class PersonChanges(TypedDict, total=False):
    """What changes of a person; what is left out stays."""

    name: str
    email: str | None
    role: str
    disabled: bool


class CareChanges(TypedDict, total=False):
    """How people are cared for and paid; what is left out stays, None is no limit, or what holds for everybody."""

    break_after_min: float | None
    break_min: float | None
    day_hours: float | None
    day_items: int | None
    longest_item_s: float | None
    rate_minor: int | None
    currency: str | None


class People(Calls):
    """People and their keys."""

    def all(self) -> Iterator[PersonOut]:
        """People, in no order that means anything."""
        return self._transport.pages("/people", Page[PersonOut])

    def get(self, person_id: str) -> PersonOut:
        """One person."""
        return self._transport.read("GET", at(_PERSON, person_id=person_id), PersonOut)

    def add(
        self, name: str, *, email: str | None = None, kind: str = "person", role: str = "annotator"
    ) -> OneTimePasswordOut:
        """Add a person; the one-time password is told here and never again.

        Raises:
            ConflictError: the name is taken.
            Unreachable: nobody knows whether it was done.
        """
        body = {"name": name, "email": email, "kind": kind, "role": role}
        return self._transport.read("POST", "/people", OneTimePasswordOut, body=body, repeat=Repeat.UNSENT)

    def change(self, person_id: str, **changes: Unpack[PersonChanges]) -> PersonOut:
        """Change a person. Who is disabled, or gets another role, is signed out at once."""
        return self._transport.read("PATCH", at(_PERSON, person_id=person_id), PersonOut, body=changes)

    def reset_password(self, person_id: str) -> OneTimePasswordOut:
        """Give a person a one-time password instead of theirs; they are signed out."""
        path = at(_PERSON + "/one-time-password", person_id=person_id)
        return self._transport.read("POST", path, OneTimePasswordOut)

    def forget(self, person_id: str, answers: Fate) -> ForgottenOut:
        """Forget a person for good. If it fails on the way, it can be asked again, and goes on where it was."""
        path = at(_PERSON + "/forget", person_id=person_id)
        return self._transport.read("POST", path, ForgottenOut, body={"answers": answers}, repeat=Repeat.UNSENT)

    def keys(self) -> Iterator[KeyOut]:
        """Keys of everybody, without their secrets."""
        return self._transport.pages("/keys", Page[KeyOut])

    def add_key(self, person_id: str, *, label: str, scopes: Sequence[str], days: float = 90) -> NewKeyOut:
        """Make a key; its text is told here and never again.

        Raises:
            Unreachable: nobody knows whether it was made; `keys` tells.
        """
        body = {"person_id": person_id, "label": label, "scopes": list(scopes), "days": days}
        return self._transport.read("POST", "/keys", NewKeyOut, body=body, repeat=Repeat.UNSENT)

    def revoke_key(self, key_id: str) -> None:
        """End a key at once, for good; a second time changes nothing."""
        self._transport.send("DELETE", at("/keys/{key_id}", key_id=key_id))


class Care(Calls):
    """Limits of people's work, breaks, what they agree to, their time and their pay."""

    def limits(self) -> CareOut:
        """What holds for everybody who has nothing of their own."""
        return self._transport.read("GET", "/care", CareOut)

    def change_limits(self, **changes: Unpack[CareChanges]) -> CareOut:
        """Change limits, breaks and pay, from the next answer on."""
        return self._transport.read("PATCH", "/care", CareOut, body=changes)

    def limits_of(self, person_id: str) -> PersonCareOut:
        """What holds for one person; `own` names what was set for them."""
        return self._transport.read("GET", at(_PERSON + "/care", person_id=person_id), PersonCareOut)

    def change_limits_of(self, person_id: str, **changes: Unpack[CareChanges]) -> PersonCareOut:
        """Change what holds for one person; None goes back to what holds for everybody."""
        return self._transport.read("PATCH", at(_PERSON + "/care", person_id=person_id), PersonCareOut, body=changes)

    def consent_text(self) -> ConsentTextOut:
        """The text that people agree to before they are asked anything."""
        return self._transport.read("GET", "/consent", ConsentTextOut)

    def change_consent_text(self, text: str) -> ConsentTextOut:
        """Make a new version of it; everybody is asked again before they go on."""
        return self._transport.read("PUT", "/consent", ConsentTextOut, body={"text": text})

    def work(self) -> Iterator[WorkSumOut]:
        """What everybody worked and is owed."""
        return self._transport.pages("/work", Page[WorkSumOut])

    def work_csv(self, *, first: str | None = None, last: str | None = None) -> str:
        """Everybody's work by day as CSV, from one date to another, such as 2026-01-31, both included."""
        return self._transport.send("GET", "/work.csv", query=given(first=first, last=last)).text

    def work_of(self, person_id: str) -> WorkOut:
        """What one person worked, by day, is owed, and was paid."""
        return self._transport.read("GET", at(_PERSON + "/work", person_id=person_id), WorkOut)

    def pay(
        self, person_id: str, amount_minor: int, currency: str, *, note: str = "", payment_id: str | None = None
    ) -> PaymentOut:
        """Note that somebody was paid.

        Args:
            person_id: who.
            amount_minor: in the currency's smallest unit.
            currency: of ISO 4217, such as EUR.
            note: of one's own.
            payment_id: a UUID, by which the same can be noted again after this has failed; a new one if not given.
        """
        body = {"id": payment_id or str(uuid.uuid4()), "amount_minor": amount_minor, "currency": currency, "note": note}
        return self._transport.read("POST", at(_PERSON + "/payments", person_id=person_id), PaymentOut, body=body)

    def take_back(self, person_id: str, payment_id: str, reason: str) -> PaymentOut:
        """Take back a payment that was noted by mistake: it stays, with the reason, and counts for nothing.

        The same again changes nothing. The person sees the reason.

        Raises:
            ConflictError: it was taken back before, for another reason.
        """
        path = at(_PERSON + "/payments/{payment_id}/reversal", person_id=person_id, payment_id=payment_id)
        return self._transport.read("POST", path, PaymentOut, body={"reason": reason})

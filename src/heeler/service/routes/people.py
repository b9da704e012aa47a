"""People and their keys, for admins."""

from dataclasses import asdict

from fastapi import Request

from heeler.service.accounts.keys import ApiKey
from heeler.service.accounts.people import Person
from heeler.service.bodies import (
    KeyBody,
    KeyOut,
    NewKeyOut,
    OneTimePasswordOut,
    Page,
    PersonBody,
    PersonChangeBody,
    PersonOut,
)
from heeler.service.context import Cursor, Limit, caller_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem, unknown
from heeler.service.routes.table import Entry


def list_people(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Page[PersonOut]:
    """People, in no order that means anything."""
    found = service_of(request).accounts.people.page(after=cursor or "", limit=limit)
    return Page(items=[_person_out(person) for person in found], next=found[-1].id if len(found) == limit else None)


def add_person(request: Request, body: PersonBody) -> OneTimePasswordOut:
    """Add a person; the one-time password is told here and never again."""
    by, people = caller_of(request).person.id, service_of(request).accounts.people
    person, password = people.add(by, name=body.name, email=body.email, kind=body.kind, role=body.role)
    return OneTimePasswordOut(person=_person_out(person), one_time_password=password)


def get_person(request: Request, person_id: str) -> PersonOut:
    """One person."""
    return _person_out(_person(request, person_id))


def change_person(request: Request, person_id: str, body: PersonChangeBody) -> PersonOut:
    """Change a person. Who is disabled, or gets another role, is signed out at once."""
    changes = body.model_dump(exclude_unset=True)
    for name in ("name", "role", "disabled"):
        if name in changes and changes[name] is None:
            raise Problem(422, f"{name}: expected a value, got null; leave it out to keep it", field=name)
    try:
        changed = service_of(request).accounts.people.change(caller_of(request).person.id, person_id, changes)
    except KeyError:
        raise unknown("person", person_id, "person_id") from None
    return _person_out(changed)


def reset_password(request: Request, person_id: str) -> OneTimePasswordOut:
    """Give a person a one-time password instead of theirs; they are signed out."""
    by, people = caller_of(request).person.id, service_of(request).accounts.people
    if _person(request, person_id).kind == "program":
        raise Problem(409, "a program has no password; make a key for it", field="person_id")
    password = people.set_password(by, person_id, None)
    return OneTimePasswordOut(person=_person_out(people.get(person_id)), one_time_password=password)


def list_keys(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Page[KeyOut]:
    """Keys of everybody, without their secrets."""
    found = service_of(request).accounts.keys.page(after=cursor or "", limit=limit)
    return Page(items=[_key_out(key) for key in found], next=found[-1].id if len(found) == limit else None)


def add_key(request: Request, body: KeyBody) -> NewKeyOut:
    """Make a key; its text is told here and never again. It can do no more than its person and its maker may."""
    caller, keys = caller_of(request), service_of(request).accounts.keys
    for index, scope in enumerate(body.scopes):
        if scope not in caller.permissions:
            raise Problem(422, f"scopes[{index}]: {scope!r:.60} is none of your own", field=f"scopes[{index}]")
    person = _person(request, body.person_id)
    key, text = keys.add(caller.person.id, person, label=body.label, scopes=body.scopes, days=body.days)
    return NewKeyOut(key=_key_out(key), text=text)


def revoke_key(request: Request, key_id: str) -> None:
    """End a key at once, for good."""
    try:
        service_of(request).accounts.keys.revoke(caller_of(request).person.id, key_id)
    except KeyError:
        raise unknown("key", key_id, "key_id") from None


def _person(request: Request, person_id: str) -> Person:
    try:
        return service_of(request).accounts.people.get(person_id)
    except KeyError:
        raise unknown("person", person_id, "person_id") from None


def _person_out(person: Person) -> PersonOut:
    return PersonOut.model_validate(person, from_attributes=True)


def _key_out(key: ApiKey) -> KeyOut:
    return KeyOut.model_validate(asdict(key) | {"scopes": sorted(key.scopes)})


_PEOPLE, _KEYS = Permission.PEOPLE, "/keys"
ROUTES = (
    Entry(method="GET", path="/people", permission=_PEOPLE, endpoint=list_people, answer=Page[PersonOut]),
    Entry(
        method="POST",
        path="/people",
        permission=_PEOPLE,
        endpoint=add_person,
        answer=OneTimePasswordOut,
        status=201,
        also=(409,),
    ),
    Entry(method="GET", path="/people/{person_id}", permission=_PEOPLE, endpoint=get_person, answer=PersonOut),
    Entry(
        method="PATCH",
        path="/people/{person_id}",
        permission=_PEOPLE,
        endpoint=change_person,
        answer=PersonOut,
        also=(409,),
    ),
    Entry(
        method="POST",
        path="/people/{person_id}/one-time-password",
        permission=_PEOPLE,
        endpoint=reset_password,
        answer=OneTimePasswordOut,
        also=(409,),
    ),
    Entry(method="GET", path=_KEYS, permission=_PEOPLE, endpoint=list_keys, answer=Page[KeyOut]),
    Entry(method="POST", path=_KEYS, permission=_PEOPLE, endpoint=add_key, answer=NewKeyOut, status=201, also=(404,)),
    Entry(method="DELETE", path="/keys/{key_id}", permission=_PEOPLE, endpoint=revoke_key, status=204),
)

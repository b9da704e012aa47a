"""People and their keys."""

import uuid

import pytest

from heeler.service.client import Client, NotFound, NotSignedIn
from tests.unit.service.client_calls.world import Calls, World

calls = Calls()


@calls.of("GET /people")
def _(w: World) -> None:
    assert {"olga", "omar"} <= {person.name for person in w.boss.people.all()}


@calls.of("POST /people")
def _(w: World) -> None:
    added = w.boss.people.add("bot " + str(uuid.uuid4()), kind="program", email="bot@example.org")
    assert (added.one_time_password, added.person.email) == (None, "bot@example.org")


@calls.of("GET /people/{person_id}")
def _(w: World) -> None:
    me = w.boss.me().person
    assert w.boss.people.get(me.id) == me


@calls.of("PATCH /people/{person_id}")
def _(w: World) -> None:
    person = w.boss.people.add(str(uuid.uuid4()), email="a@example.org").person
    changed = w.boss.people.change(person.id, role="operator", email=None)
    assert (changed.role, changed.email, changed.name) == ("operator", None, person.name)


@calls.of("POST /people/{person_id}/one-time-password")
def _(w: World) -> None:
    person = w.boss.people.add(str(uuid.uuid4())).person
    assert w.boss.people.reset_password(person.id).one_time_password


@calls.of("POST /people/{person_id}/forget")
def _(w: World) -> None:
    person = w.boss.people.add(str(uuid.uuid4())).person
    assert w.boss.people.forget(person.id, "remove").answers == "remove"
    with pytest.raises(NotFound):
        w.boss.people.get(person.id)


@calls.of("GET /keys")
def _(w: World) -> None:
    assert len(list(w.boss.people.keys())) >= 2


@calls.of("POST /keys")
def _(w: World) -> None:
    made = w.boss.people.add_key(w.boss.me().person.id, label="another", scopes=["read_runs"], days=1)
    with Client(w.url, key=made.text) as client:
        assert client.me().permissions == ["read_runs", "signed_in"]


@calls.of("DELETE /keys/{key_id}")
def _(w: World) -> None:
    made = w.boss.people.add_key(w.boss.me().person.id, label="short", scopes=["read_runs"])
    w.boss.people.revoke_key(made.key.id)
    with Client(w.url, key=made.text) as client, pytest.raises(NotSignedIn):
        client.me()

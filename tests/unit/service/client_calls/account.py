"""One's own account."""

import pytest

from heeler.service.client import NotFound, NotSignedIn
from tests.unit.service.client_calls.world import Calls, World
from tests.unit.service.helpers import PASSWORD

calls = Calls()


@calls.of("POST /session")
def _(w: World) -> None:
    with w.stranger() as client:
        assert client.account.sign_in("olga", PASSWORD).person.name == "olga"
        assert "promote" in client.me().permissions
        with pytest.raises(NotSignedIn, match="name or password is wrong"):
            client.account.sign_in("olga", "guess")


@calls.of("GET /session")
def _(w: World) -> None:
    assert w.ann.me().permissions == ["answer", "chat", "signed_in"]


@calls.of("DELETE /session")
def _(w: World) -> None:
    client, _ = w.newcomer()
    with client:
        client.account.sign_out()
        with pytest.raises(NotSignedIn):
            client.me()


@calls.of("PUT /session/password")
def _(w: World) -> None:
    client, _ = w.newcomer()
    with client:
        assert not client.account.change_password(PASSWORD, PASSWORD + "!").person.must_change_password
        assert "answer" in client.me().permissions


@calls.of("GET /session/consent")
def _(w: World) -> None:
    assert w.olga.account.consent().text


@calls.of("POST /session/consent")
def _(w: World) -> None:
    text = w.olga.account.consent()
    for _ in range(2):
        w.olga.account.agree(text)
    assert w.olga.account.consent().agreed


@calls.of("GET /session/preferences")
def _(w: World) -> None:
    assert "violence" in w.omar.account.preferences().categories


@calls.of("PATCH /session/preferences")
def _(w: World) -> None:
    at_first = w.omar.account.preferences().avoid
    assert w.omar.account.change_preferences(avoid=["violence"]).avoid == ["violence"]
    assert w.omar.account.change_preferences(time_zone="Europe/Berlin").avoid == ["violence"]
    assert w.omar.account.change_preferences(avoid=None).avoid == at_first


@calls.of("GET /session/care")
def _(w: World) -> None:
    assert w.olga.account.today().over is None


@calls.of("GET /session/work")
def _(w: World) -> None:
    assert w.olga.account.work().items == 0


@calls.of("POST /session/forget")
def _(w: World) -> None:
    client, person_id = w.newcomer()
    with client:
        assert client.account.forget_me("keep", PASSWORD).num_answers == 0
    with pytest.raises(NotFound):
        w.boss.people.get(person_id)

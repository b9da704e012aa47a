"""A call of the client for every route of the API, by the route, each with a look at what came of it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from heeler.service.bodies import LeaseOut
from heeler.service.client import Client, Invalid, NotFound, NotSignedIn, answer_body
from tests.unit.service.helpers import PASSWORD

WEBP = b"RIFF"


@dataclass(kw_only=True)
class World:
    """A service with a run that asks and one that is driven, and those who use it."""

    url: str
    ann: Client
    """Answers, by a key."""
    boss: Client
    """An admin, by a key."""
    olga: Client
    """An operator, signed in."""
    omar: Client
    """Another."""

    def lease(self, run: str = "run") -> LeaseOut:
        """A query that Ann holds."""
        return self.ann.lease(run)[0]

    def stranger(self) -> Client:
        """Nobody yet."""
        return Client(self.url, patience_s=5)

    def newcomer(self, **fields: Any) -> tuple[Client, str]:
        """Somebody new, signed in with a password of their own; their client and id."""
        added = self.boss.people.add(str(uuid.uuid4()), **fields)
        assert added.one_time_password is not None
        client = self.stranger()
        client.account.sign_in(added.person.name, added.one_time_password)
        client.account.change_password(added.one_time_password, PASSWORD)
        return client, added.person.id


Call = Callable[[World], None]
CALLS: dict[str, Call] = {}


def of(route: str) -> Callable[[Call], Call]:
    def keep(call: Call) -> Call:
        assert route not in CALLS
        CALLS[route] = call
        return call

    return keep


# Answering


@of("GET /tasks")
def _(w: World) -> None:
    assert w.ann.tasks() == ["cart", "run", "talks"]


@of("POST /runs/{run}/leases")
def _(w: World) -> None:
    held = w.ann.lease("run", count=2)
    assert [lease.query_id for lease in w.ann.lease("run", count=2)] == [lease.query_id for lease in held]
    assert held[0].form.controls[0].field == "choice"


@of("DELETE /runs/{run}/leases/{query_id}")
def _(w: World) -> None:
    lease = w.lease()
    w.ann.give_back("run", lease.query_id)
    with pytest.raises(NotFound):
        w.ann.shown("run", lease.query_id, 0)


@of("GET /runs/{run}/leases/{query_id}/segments/{place}")
def _(w: World) -> None:
    assert w.ann.shown("run", w.lease().query_id, 1).film is not None


@of("GET /runs/{run}/leases/{query_id}/segments/{place}/film")
def _(w: World) -> None:
    assert w.ann.film("run", w.lease().query_id, 0).startswith(WEBP)


@of("POST /runs/{run}/feedback")
def _(w: World) -> None:
    lease, key = w.lease(), str(uuid.uuid4())
    receipt = w.ann.answer("run", lease, {"choice": "left"}, time_taken_s=1.0, confidence=0.5, key=key)
    assert w.ann.answer("run", lease, {"choice": "left"}, time_taken_s=1.0, confidence=0.5, key=key) == receipt
    assert receipt.key == key


@of("POST /runs/{run}/feedback/batch")
def _(w: World) -> None:
    bodies = [answer_body(lease, {"choice": "equal"}) for lease in w.ann.lease("run", count=2)]
    receipts = w.ann.answer_all("run", bodies)
    assert [receipt.key for receipt in receipts] == [body["key"] for body in bodies]


@of("POST /runs/{run}/leases/{query_id}/flag")
def _(w: World) -> None:
    query_id = w.lease().query_id
    w.ann.flag("run", query_id, "violence", note="a fall")
    assert (query_id, "a fall") in [(flag.query_id, flag.note) for flag in w.boss.flags.all("run")]


@of("POST /runs/{run}/leases/{query_id}/drive")
def _(w: World) -> None:
    assert w.ann.drive("cart", w.lease("cart").query_id).num_steps == 0


@of("POST /runs/{run}/leases/{query_id}/drive/steps")
def _(w: World) -> None:
    query_id = w.lease("cart").query_id
    w.ann.drive("cart", query_id)
    assert w.ann.drive_on("cart", query_id, [(0,), (1,)]).num_steps == 2


@of("POST /runs/{run}/leases/{query_id}/drive/finish")
def _(w: World) -> None:
    query_id = w.lease("cart").query_id
    w.ann.drive("cart", query_id)
    w.ann.drive_on("cart", query_id, [[1]])
    driven = w.ann.finish_drive("cart", query_id)
    assert driven.num_steps == 1
    assert w.ann.finish_drive("cart", query_id) == driven


# Operating


@of("GET /runs")
def _(w: World) -> None:
    assert [run.name for run in w.boss.runs()] == ["cart", "run"]


@of("GET /runs/{run}")
def _(w: World) -> None:
    assert w.boss.run("run").step == 7


@of("GET /runs/{run}/feedback")
def _(w: World) -> None:
    receipt = w.ann.answer("run", w.lease(), {"choice": "right"})
    (found,) = w.boss.feedback("run", after=receipt.position - 1)
    assert (found.key, found.value) == (receipt.key, {"choice": "right"})


@of("GET /runs/{run}/metrics")
def _(w: World) -> None:
    assert [row["step"] for row in w.boss.metrics("run")] == [1, 2, 3, 4, 5, 6, 7]
    assert [row["step"] for row in w.boss.metrics("run", after_step=5)] == [6, 7]


@of("GET /runs/{run}/series")
def _(w: World) -> None:
    assert w.boss.series("run", ["update", "none"]).values["update"] == [1, 2, 3, 4, 5, 6, 7]


@of("GET /runs/{run}/checkpoints")
def _(w: World) -> None:
    assert [checkpoint.step for checkpoint in w.boss.checkpoints("run")] == [200, 100]


@of("GET /runs/{run}/alarms")
def _(w: World) -> None:
    assert all(alarm.advice for alarm in w.boss.alarms("run"))


@of("GET /runs/{run}/clip")
def _(w: World) -> None:
    clip = w.boss.clip("run")
    assert (clip.can_be_drawn, clip.step) == (True, 5)


@of("GET /runs/{run}/clip/{step}")
def _(w: World) -> None:
    assert w.boss.clip_sheet("run", 5).startswith(WEBP)


@of("POST /runs/{run}/commands")
def _(w: World) -> None:
    command_id = str(uuid.uuid4())
    told = w.boss.command("run", "set_budget", 30, command_id=command_id)
    assert w.boss.command("run", "set_budget", 30, command_id=command_id) == told
    assert (told.id, told.value) == (command_id, 30)


@of("GET /runs/{run}/commands")
def _(w: World) -> None:
    told = w.boss.command("run", "pause")
    assert next(w.boss.commands("run")) == told


@of("GET /runs/{run}/settings")
def _(w: World) -> None:
    assert w.boss.settings("run").overlap >= 1


@of("PATCH /runs/{run}/settings")
def _(w: World) -> None:
    assert w.boss.change_settings("run", lease_s=900.0).lease_s == 900


@of("GET /runs/{run}/events")
def _(w: World) -> None:
    stream = w.boss.watch("run", after_step=6)
    name, row = next(stream)
    assert (name, row["step"]) == ("metrics", 7)
    stream.close()  # type: ignore[attr-defined]


# Releases, gold items, flags, audit


@of("GET /runs/{run}/releases")
def _(w: World) -> None:
    release = w.olga.releases.propose("run", 100)
    assert w.boss.releases.all("run")[0].id == release.id


@of("POST /runs/{run}/releases")
def _(w: World) -> None:
    release_id = str(uuid.uuid4())
    release = w.olga.releases.propose("run", 200, release_id=release_id)
    assert w.olga.releases.propose("run", 200, release_id=release_id) == release
    assert (release.id, release.state) == (release_id, "proposed")


@of("POST /runs/{run}/releases/{release_id}/approve")
def _(w: World) -> None:
    release = w.olga.releases.propose("run", 200)
    assert w.omar.releases.approve("run", release.id).state == "in use"


@of("POST /runs/{run}/releases/{release_id}/withdraw")
def _(w: World) -> None:
    release = w.olga.releases.propose("run", 200)
    assert w.omar.releases.withdraw("run", release.id).state == "withdrawn"


@of("POST /runs/{run}/gold")
def _(w: World) -> None:
    query_id = w.lease().query_id
    w.boss.gold.add("run", query_id, {"choice": "left"})
    assert query_id in [item.query_id for item in w.boss.gold.all("run")]
    w.boss.gold.remove("run", query_id)


@of("GET /runs/{run}/gold")
def _(w: World) -> None:
    assert list(w.boss.gold.all("cart")) == []


@of("DELETE /runs/{run}/gold/{query_id}")
def _(w: World) -> None:
    query_id = w.lease().query_id
    w.boss.gold.add("run", query_id, {"choice": "left"})
    w.boss.gold.remove("run", query_id)
    assert query_id not in [item.query_id for item in w.boss.gold.all("run")]


@of("GET /runs/{run}/gold-results")
def _(w: World) -> None:
    assert w.boss.gold.results("cart") == []


@of("GET /runs/{run}/flags")
def _(w: World) -> None:
    assert list(w.boss.flags.all("cart")) == []


@of("DELETE /runs/{run}/flags/{query_id}/{category}")
def _(w: World) -> None:
    query_id = w.lease().query_id
    w.ann.flag("run", query_id, "violence")
    w.boss.flags.remove("run", query_id, "violence")
    assert query_id not in [flag.query_id for flag in w.boss.flags.all("run")]


@of("GET /audit")
def _(w: World) -> None:
    told = w.boss.command("run", "pause")
    assert told.id in [entry.details.get("id") for entry in w.boss.audit.service()]
    assert [check.is_sound for check in w.boss.audit.check_service()] == [True]


@of("GET /runs/{run}/audit")
def _(w: World) -> None:
    told = w.boss.command("run", "resume")
    acts = [entry.act for entry in w.boss.audit.run("run", answers=False) if entry.details.get("id") == told.id]
    assert acts == ["command.resume"]
    assert all(check.is_sound for check in w.boss.audit.check_run("run"))


@of("GET /operators")
def _(w: World) -> None:
    assert {"olga", "omar"} <= {person.name for person in w.boss.audit.operators()}


# One's own account


@of("POST /session")
def _(w: World) -> None:
    with w.stranger() as client:
        assert client.account.sign_in("olga", PASSWORD).person.name == "olga"
        assert "promote" in client.me().permissions
        with pytest.raises(NotSignedIn, match="name or password is wrong"):
            client.account.sign_in("olga", "guess")


@of("GET /session")
def _(w: World) -> None:
    assert w.ann.me().permissions == ["answer", "signed_in"]


@of("DELETE /session")
def _(w: World) -> None:
    client, _ = w.newcomer()
    with client:
        client.account.sign_out()
        with pytest.raises(NotSignedIn):
            client.me()


@of("PUT /session/password")
def _(w: World) -> None:
    client, _ = w.newcomer()
    with client:
        assert not client.account.change_password(PASSWORD, PASSWORD + "!").person.must_change_password
        assert "answer" in client.me().permissions


@of("GET /session/consent")
def _(w: World) -> None:
    assert w.olga.account.consent().text


@of("POST /session/consent")
def _(w: World) -> None:
    text = w.olga.account.consent()
    for _ in range(2):
        w.olga.account.agree(text)
    assert w.olga.account.consent().agreed


@of("GET /session/preferences")
def _(w: World) -> None:
    assert "violence" in w.omar.account.preferences().categories


@of("PATCH /session/preferences")
def _(w: World) -> None:
    at_first = w.omar.account.preferences().avoid
    assert w.omar.account.change_preferences(avoid=["violence"]).avoid == ["violence"]
    assert w.omar.account.change_preferences(time_zone="Europe/Berlin").avoid == ["violence"]
    assert w.omar.account.change_preferences(avoid=None).avoid == at_first


@of("GET /session/care")
def _(w: World) -> None:
    assert w.olga.account.today().over is None


@of("GET /session/work")
def _(w: World) -> None:
    assert w.olga.account.work().items == 0


@of("POST /session/forget")
def _(w: World) -> None:
    client, person_id = w.newcomer()
    with client:
        assert client.account.forget_me("keep", PASSWORD).num_answers == 0
    with pytest.raises(NotFound):
        w.boss.people.get(person_id)


# People, keys, care


@of("GET /people")
def _(w: World) -> None:
    assert {"olga", "omar"} <= {person.name for person in w.boss.people.all()}


@of("POST /people")
def _(w: World) -> None:
    added = w.boss.people.add("bot " + str(uuid.uuid4()), kind="program", email="bot@example.org")
    assert (added.one_time_password, added.person.email) == (None, "bot@example.org")


@of("GET /people/{person_id}")
def _(w: World) -> None:
    me = w.boss.me().person
    assert w.boss.people.get(me.id) == me


@of("PATCH /people/{person_id}")
def _(w: World) -> None:
    person = w.boss.people.add(str(uuid.uuid4()), email="a@example.org").person
    changed = w.boss.people.change(person.id, role="operator", email=None)
    assert (changed.role, changed.email, changed.name) == ("operator", None, person.name)


@of("POST /people/{person_id}/one-time-password")
def _(w: World) -> None:
    person = w.boss.people.add(str(uuid.uuid4())).person
    assert w.boss.people.reset_password(person.id).one_time_password


@of("POST /people/{person_id}/forget")
def _(w: World) -> None:
    person = w.boss.people.add(str(uuid.uuid4())).person
    assert w.boss.people.forget(person.id, "remove").answers == "remove"
    with pytest.raises(NotFound):
        w.boss.people.get(person.id)


@of("GET /keys")
def _(w: World) -> None:
    assert len(list(w.boss.people.keys())) >= 2


@of("POST /keys")
def _(w: World) -> None:
    made = w.boss.people.add_key(w.boss.me().person.id, label="another", scopes=["read_runs"], days=1)
    with Client(w.url, key=made.text) as client:
        assert client.me().permissions == ["read_runs", "signed_in"]


@of("DELETE /keys/{key_id}")
def _(w: World) -> None:
    made = w.boss.people.add_key(w.boss.me().person.id, label="short", scopes=["read_runs"])
    w.boss.people.revoke_key(made.key.id)
    with Client(w.url, key=made.text) as client, pytest.raises(NotSignedIn):
        client.me()


@of("GET /care")
def _(w: World) -> None:
    assert w.boss.care.limits().break_min > 0


@of("PATCH /care")
def _(w: World) -> None:
    assert w.boss.care.change_limits(longest_item_s=90.0).longest_item_s == 90


@of("GET /people/{person_id}/care")
def _(w: World) -> None:
    assert w.boss.care.limits_of(w.boss.me().person.id).day_items is None


@of("PATCH /people/{person_id}/care")
def _(w: World) -> None:
    person = w.boss.people.add(str(uuid.uuid4())).person
    assert w.boss.care.change_limits_of(person.id, day_items=9).day_items == 9
    assert w.boss.care.change_limits_of(person.id, day_items=None).day_items is None


@of("GET /consent")
def _(w: World) -> None:
    assert w.boss.care.consent_text().version


@of("PUT /consent")
def _(w: World) -> None:
    text = w.boss.care.consent_text().text
    assert w.boss.care.change_consent_text(text + "\n\nMore.\n").text.endswith("More.\n")


@of("GET /work")
def _(w: World) -> None:
    assert "olga" in [work.name for work in w.boss.care.work()]


@of("GET /work.csv")
def _(w: World) -> None:
    assert w.boss.care.work_csv(first="2026-01-01").startswith("person_id,name,day")


@of("GET /people/{person_id}/work")
def _(w: World) -> None:
    me = w.olga.me().person
    assert w.boss.care.work_of(me.id).person_id == me.id


@of("POST /people/{person_id}/payments")
def _(w: World) -> None:
    person, payment_id = w.boss.people.add(str(uuid.uuid4())).person, str(uuid.uuid4())
    paid = w.boss.care.pay(person.id, 1250, "EUR", note="May", payment_id=payment_id)
    assert w.boss.care.pay(person.id, 1250, "EUR", note="May", payment_id=payment_id) == paid
    assert w.boss.care.work_of(person.id).payments == [paid]


# The service itself


@of("GET /health")
def _(w: World) -> None:
    with w.stranger() as client:
        assert client.health().status == "ok"


@of("GET /openapi.json")
def _(w: World) -> None:
    with w.stranger() as client:
        assert "/api/v1/tasks" in client.description()["paths"]


# Chat

HI = [{"role": "user", "content": "Hi"}]


@of("GET /chat")
def _(w: World) -> None:
    assert (w.ann.chat.state().model, w.ann.chat.state().version) == ("tiny", 3)


@of("POST /v1/chat/completions")
def _(w: World) -> None:
    found = w.ann.chat.ask("tiny", HI, n=2, temperature=0.5)
    assert found.model == "tiny@3"
    assert all(choice.message.content.startswith("You said Hi") for choice in found.choices)
    with pytest.raises(Invalid, match=r"'surprise': unknown field") as refused:
        w.ann.chat.ask("tiny", HI, surprise=1)
    assert refused.value.field == "'surprise'"
    with pytest.raises(NotFound, match="expected 'tiny'"):
        w.ann.chat.ask("other", HI)


@of("GET /v1/models")
def _(w: World) -> None:
    assert [model.id for model in w.ann.chat.models()] == ["tiny", "tiny@3"]


@of("GET /v1/models/{model}")
def _(w: World) -> None:
    assert w.ann.chat.model("tiny@3").owned_by == "heeler"


@of("POST /chat/feedback")
def _(w: World) -> None:
    answer, key = w.ann.chat.ask("tiny", HI), str(uuid.uuid4())
    first = w.ann.chat.say(answer.id, "rating", {"stars": 5}, key=key)
    assert w.ann.chat.say(answer.id, "rating", {"stars": 5}, key=key) == first
    with pytest.raises(NotFound):
        w.boss.chat.say(answer.id, "rating", {"stars": 5})


@of("GET /chat/conversations")
def _(w: World) -> None:
    conversation = str(uuid.uuid4())
    w.ann.chat.ask("tiny", HI, conversation=conversation)
    assert next(w.ann.chat.conversations()).id == conversation


@of("GET /chat/conversations/{conversation}")
def _(w: World) -> None:
    conversation = str(uuid.uuid4())
    answer = w.ann.chat.ask("tiny", HI, conversation=conversation)
    messages = w.ann.chat.conversation(conversation).messages
    assert [message.completion_id for message in messages] == [None, answer.id]


@of("POST /chat/stop")
def _(w: World) -> None:
    w.boss.chat.stop()
    assert "stopped" in (w.ann.chat.state().stopped or "")
    w.boss.chat.resume()


@of("POST /chat/resume")
def _(w: World) -> None:
    w.boss.chat.resume()
    assert w.ann.chat.ask("tiny", HI).choices

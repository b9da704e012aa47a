"""Commands to the learner, and settings, as the store keeps them."""

import pytest

from heeler.core.errors import ConflictError, DataError
from heeler.core.hard_stop import HardStop
from heeler.core.nouns import URGENT_KINDS, Command, stable_id
from heeler.feedback.commands import of_hard_stop


def command(name: str, kind: str = "pause", value: object = None, **changes: object) -> Command:
    fields = {"id": stable_id(name), "kind": kind, "value": value, "person": "op", "asked_unix_s": 5.0}
    return Command(**(fields | changes))


def test_commands_wait_in_their_order_until_they_are_obeyed(store):
    first, second = command("a"), command("b", "set_budget", 40)
    for told in (first, second):
        store.ask_command(told)
    assert store.open_commands() == [first, second]
    store.finish_command(first.id, "paused at step 5")
    store.finish_command(first.id, "another outcome")
    assert store.open_commands() == [second]
    (_, newest), (number, oldest) = store.commands(limit=5)
    assert newest == second
    assert oldest.outcome == "paused at step 5"
    assert oldest.done_unix_s is not None
    assert store.commands(limit=5, before=number) == []


def test_the_same_command_again_is_one_command(store):
    kept = store.ask_command(command("a"))
    store.finish_command(kept.id, "paused")
    again = store.ask_command(command("a", asked_unix_s=9.0))
    assert (again.outcome, again.asked_unix_s) == ("paused", 5.0)
    assert store.open_commands() == []
    with pytest.raises(ConflictError, match="came before with another command"):
        store.ask_command(command("a", "stop"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "pawse"}, r"kind: unknown kind 'pawse'. Did you mean 'pause'\?"),
        ({"kind": "pause", "value": 3}, "value: pause takes none, got 3"),
        ({"kind": "roll_back"}, "value: expected a whole number, got None"),
        ({"kind": "roll_back", "value": -1}, "value: expected 0 to 1e"),
        ({"kind": "set_budget", "value": 0}, "value: expected 1 to 1e"),
        ({"kind": "set_budget", "value": True}, "value: expected a whole number, got True"),
        ({"id": "1"}, "id: expected a UUID"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(store, changes, message):
    with pytest.raises(DataError, match=message):
        store.ask_command(command("a", **changes))
    assert store.commands(limit=1) == []


def test_settings_are_kept(home):
    with home.open() as store:
        assert store.setting("overlap", 1) == 1
        store.set_setting("overlap", 2)
        store.set_setting("overlap", 3)
    with home.open() as store:
        assert store.setting("overlap", 1) == 3


def test_a_hard_stop_is_kept_as_obeyed_from_the_beginning(store):
    stop = HardStop(id=stable_id("h"), person="op", asked_unix_s=5.0, pid=7, num_processes=3, took_s=0.041)
    kept = store.ask_command(of_hard_stop(stop))
    assert store.open_commands() == []
    ((_, found),) = store.commands(limit=9)
    assert found == kept
    assert (found.kind, found.person, found.asked_unix_s) == ("hard_stop", "op", 5.0)
    assert found.outcome == "process 7 and 2 that it had started ended within 0.04 s; the newest checkpoint is kept"
    assert store.ask_command(of_hard_stop(stop)) == kept


@pytest.mark.parametrize("kind", sorted(URGENT_KINDS | {"slow", "thaw", "hard_stop"}))
def test_every_way_to_hold_and_to_stop_takes_no_value(store, kind):
    store.ask_command(command("a", kind))
    with pytest.raises(DataError, match=f"value: {kind} takes none, got 3"):
        store.ask_command(command("b", kind, 3))

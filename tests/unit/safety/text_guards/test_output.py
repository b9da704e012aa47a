"""An output guard allows, replaces or keeps back, and closes where it cannot tell."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.errors import ConfigError
from heeler.safety.text_guards.findings import Action
from heeler.safety.text_guards.output import OutputGuard
from heeler.safety.text_guards.rules import Custom, ListedWords, Pattern, PersonalData
from tests.unit.safety.text_guards.helpers import Breaks, Finds, answer


def test_what_no_rule_objects_to_is_allowed() -> None:
    verdict = OutputGuard([ListedWords(), PersonalData()]).review(answer("We open at nine."))
    assert (verdict.decision, verdict.evidence) == ("allow", {})


def test_a_replacement_stands_in_the_place_of_all_that_has_not_left() -> None:
    guard = OutputGuard([PersonalData()])
    text = "Hello. Write to jo@example.org now."
    assert guard.review(answer(text)).replacement == "Hello. Write to [e-mail] now."
    assert guard.review(answer(text, cleared=6)).replacement == " Write to [e-mail] now."


def test_what_has_left_is_not_judged_again_but_helps_to_see_what_begins_there() -> None:
    guard = OutputGuard([Finds("bad day", "resample")])
    assert guard.review(answer("A bad day. It is over.", cleared=10)).decision == "allow"
    assert guard.review(answer("A bad day. It is over.", cleared=5)).decision == "veto"


@pytest.mark.parametrize(("action", "decision"), [("resample", "veto"), ("block", "halt"), ("replace", "modify")])
def test_each_action_has_its_decision(action: Action, decision: str) -> None:
    assert OutputGuard([Finds("x", action)]).review(answer("a x b")).decision == decision


def test_the_stricter_of_two_rules_counts() -> None:
    rules = [Finds("a", "replace", "one"), Finds("a", "resample", "two"), Finds("a", "block", "three")]
    assert OutputGuard(rules[:2]).review(answer("a")).decision == "veto"
    assert OutputGuard(rules).review(answer("a")).decision == "halt"


def test_evidence_says_what_and_where_in_plain_json_without_the_words() -> None:
    verdict = OutputGuard([PersonalData()]).review(answer("Write to jo@example.org now.", cleared=0))
    finding = {"rule": "personal data", "what": "e-mail", "start": 9, "end": 23, "score": 1.0}
    assert json.loads(json.dumps(verdict.evidence)) == {"guard": "output", "findings": [finding]}
    assert "example.org" not in json.dumps([verdict.evidence, verdict.reason])


def test_places_count_from_the_beginning_of_the_whole_answer() -> None:
    text = "y" * 1000 + " x"
    verdict = OutputGuard([Finds("x", "resample")], context=10).review(answer(text, cleared=995))
    assert verdict.evidence["findings"][0]["start"] == 1001


def test_a_guard_that_fails_closes_and_tells_no_words() -> None:
    verdict = OutputGuard([Finds("zzz"), Breaks()]).review(answer("very private"))
    assert verdict.decision == "veto"
    assert verdict.evidence == {"guard": "output", "failed": True, "rule": "breaks"}
    assert "private" not in verdict.reason and "RuntimeError" in verdict.reason


def test_a_guard_that_times_out_closes() -> None:
    import threading

    waiting = threading.Event()
    verdict = OutputGuard([Custom(lambda _: waiting.wait(10), timeout_s=0.05, name="slow")]).review(answer("hello"))
    waiting.set()
    assert verdict.decision == "veto" and verdict.evidence["failed"]
    verdict = OutputGuard([Pattern(r"(a|aa)+$", timeout_s=0.05)]).review(answer("a" * 60 + "b"))
    assert verdict.decision == "veto" and "TimeoutError" in verdict.reason


def test_what_replaces_must_pass_too() -> None:
    # A mark that makes what it removes.
    verdict = OutputGuard([Finds("x", "replace", "xx")]).review(answer("a x b"))
    assert verdict.decision == "veto" and verdict.evidence["failed"]
    # A mark that completes something that another rule keeps back.
    guard = OutputGuard([Finds("x", "replace", "ee"), Finds("b[ee]r", "block", "beer")])
    assert guard.review(answer("bxr")).decision == "halt"


def test_overlapping_findings_are_replaced_once() -> None:
    guard = OutputGuard([Finds("abc", name="1"), Finds("bcd", name="2"), Finds("e", name="3")])
    assert guard.review(answer("_abcde_")).replacement == "_[1][3]_"


def test_no_place_in_the_answer_closes() -> None:
    for cleared in (-1, 99, "1"):
        sample = answer("hello", cleared=cleared)  # type: ignore[arg-type]
        assert OutputGuard([Finds("zzz")]).review(sample).decision == "veto"


@given(st.text("ab x", max_size=40), st.integers(0, 40))
def test_what_is_replaced_is_gone(text: str, cleared: int) -> None:
    cleared = min(cleared, len(text))
    verdict = OutputGuard([Finds("x", "replace", "o")]).review(answer(text, cleared))
    assert verdict.decision == ("modify" if "x" in text[cleared:] else "allow")
    if verdict.decision == "modify":
        assert verdict.replacement == text[cleared:].replace("x", "[o]")


def test_guards_that_guard_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one rule"):
        OutputGuard([])
    with pytest.raises(ConfigError, match="different names"):
        OutputGuard([Finds("a"), Finds("b")])
    with pytest.raises(ConfigError, match="mark"):
        OutputGuard([Finds("a")], mark="{who}")
    with pytest.raises(ConfigError, match="context"):
        OutputGuard([Finds("a")], context=-1)
    with pytest.raises(ConfigError, match="action"):
        ListedWords(action="shout")  # type: ignore[arg-type]

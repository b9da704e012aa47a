"""Between a model and whoever reads it: nothing leaves before its sentence is cleared, however the answer comes."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.core.chat import TextGuard
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.safety.text_guards.output import OutputGuard
from heeler.safety.text_guards.rules import ListedWords, PersonalData, Toxic
from heeler.service.chat.gate import Act, Gate, KeptBack
from tests.unit.safety.text_guards.helpers import PROMPT, Finds
from tests.unit.service.chatting import Rule

PIECES = st.sampled_from(
    [
        *("We open at nine. ", "Hello", "\n", "Dr. No. ", "You moron! ", "jo@example.org ", "i d i o t ", " ", "."),
        *("+49 30 1234567", "?", "x", "bad", "\u3002", "é", "😀"),
        "The kettle is blue, and the lamp is red, and so is the chair. ",
    ]
)
TEXTS = st.lists(PIECES, max_size=15).map("".join)
CUTS = st.lists(st.integers(0, 999), max_size=30)


def cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(one % (len(text) + 1) for one in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


def passed(guards: list[TextGuard], *pieces: str) -> tuple[list[str], str, list[Act]]:
    """What left with each piece and at the end, all that left or may, and what guards did."""
    gate = Gate(guards, PROMPT, timeout_s=30)
    told: list[str] = []

    async def pass_all() -> None:
        for piece in pieces:
            told.append(await gate.push(piece))
        told.append(await gate.close())

    try:
        asyncio.run(pass_all())
    except KeptBack as kept:
        return told, gate.left, [*gate.acts, kept.act]
    assert "".join(told) == gate.left
    return told, gate.left, gate.acts


@settings(deadline=None, max_examples=40)
@given(TEXTS, CUTS)
def test_what_leaves_does_not_depend_on_the_pieces(text: str, cuts: list[int]) -> None:
    guards: list[TextGuard] = [
        OutputGuard([PersonalData(), Finds("x", "replace")]),
        OutputGuard([ListedWords(action="block")], name="2"),
    ]
    _, left, acts = passed(guards, text)
    told, left_too, acts_too = passed(guards, *cut(text, cuts))
    assert (left_too, acts_too) == (left, acts)
    assert left.startswith("".join(told))


@settings(deadline=None, max_examples=40)
@given(TEXTS, CUTS)
def test_nothing_uncleared_leaves(text: str, cuts: list[int]) -> None:
    def judge(sample: TextSample) -> Verdict:
        before = recorder.seen[-2].completion if len(recorder.seen) > 1 else ""
        assert sample.completion.startswith(before) and sample.columns["cleared"] == len(before)
        return Verdict(decision="allow")

    recorder = Rule("recorder", judge)
    told, left, acts = passed([recorder], *cut(text, cuts))
    assert ("".join(told), left, acts) == (text, text, [])
    assert not text or recorder.seen[-1].completion == text


@settings(deadline=None, max_examples=40)
@given(TEXTS)
def test_no_listed_word_leaves(text: str) -> None:
    _, left, _ = passed([OutputGuard([ListedWords()])], *text)
    assert not ListedWords().look(left, PROMPT)


def test_what_came_before_the_sentence_that_is_kept_back_may_leave() -> None:
    text = "We open at nine o'clock. You are so very stupid. Have a nice day. And some more."
    told, left, acts = passed([OutputGuard([Toxic()])], text)
    assert (told, left) == ([], "We open at nine o'clock.")
    assert [act.verdict.decision for act in acts] == ["veto"]


def test_a_sentence_without_an_end_is_held_no_longer_than_the_most() -> None:
    told, _, _ = passed([OutputGuard([Finds("zzz")])], *["word "] * 300)
    assert max(map(len, told)) <= 400
    assert any(told[:-1]), "before the end"


def test_later_guards_see_what_earlier_ones_made_of_it() -> None:
    first, second = OutputGuard([Finds("x", "replace", "y")]), OutputGuard([Finds("[y]", "replace", "z")], name="2")
    _, left, acts = passed([first, second], "x")
    assert (left, [act.guard for act in acts]) == ("[z]", ["output", "2"])


def broken(_: TextSample) -> Verdict:
    raise OSError("gone")


def no_text(_: TextSample) -> Verdict:
    return Verdict(decision="modify", replacement=7)


@pytest.mark.parametrize("guard", [Rule("broken", broken), Rule("odd", no_text)], ids=["raises", "gives no text"])
def test_a_guard_that_fails_lets_nothing_pass(guard: Rule, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "heeler.service")
    told, left, (act,) = passed([guard], "Hello.")
    assert (told, left) == ([""], "")
    assert (act.verdict.decision, act.verdict.evidence["failed"]) == ("veto", True)

"""While an answer streams, nothing leaves before its sentence is cleared, however it comes."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.core.sentences import sentences
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.safety.text_guards.output import OutputGuard
from heeler.safety.text_guards.rules import ListedWords, PersonalData, Toxic
from heeler.safety.text_guards.stream import GuardedStream, clear, first_cleared
from tests.unit.safety.text_guards.helpers import PROMPT, Finds

PIECES = st.sampled_from(
    [
        *(
            "We open at nine. ",
            "Hello",
            "\n",
            "Dr. No. ",
            "You moron! ",
            "jo@example.org ",
            "i d i o t ",
            "+49 30 1234567",
        ),
        *(
            " ",
            ".",
            "?",
            "x",
            "bad",
            "The kettle is blue, and the lamp is red, and so is the chair. ",
            "\u3002",
            "é",
            "😀",
        ),
    ]
)
TEXTS = st.lists(PIECES, max_size=15).map("".join)


def cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(one % (len(text) + 1) for one in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@settings(deadline=None)
@given(TEXTS, st.lists(st.integers(0, 999), max_size=30))
def test_any_chunking_gives_the_same_output_and_verdict(text: str, cuts: list[int]) -> None:
    guards = [
        OutputGuard([PersonalData(), Finds("x", "replace")]),
        OutputGuard([ListedWords(action="block")], name="2"),
    ]
    whole = GuardedStream(guards, PROMPT, max_hold=60)
    expected = whole.push(text) + whole.close()
    stream = GuardedStream(guards, PROMPT, max_hold=60)
    assert "".join([*map(stream.push, cut(text, cuts)), stream.close()]) == expected
    assert stream.verdict == whole.verdict
    assert stream.left == expected


class Recorder:
    """Allows all, and keeps what it was shown."""

    name = "recorder"

    def __init__(self) -> None:
        self.cleared = ""

    def review(self, sample: TextSample) -> Verdict:
        assert sample.completion.startswith(self.cleared)
        assert sample.columns["cleared"] == len(self.cleared)
        self.cleared = sample.completion
        return Verdict(decision="allow")


@given(TEXTS, st.lists(st.integers(0, 999), max_size=30))
def test_nothing_uncleared_leaves(text: str, cuts: list[int]) -> None:
    recorder = Recorder()
    stream, left = GuardedStream([recorder], PROMPT), ""
    for piece in cut(text, cuts):
        left += stream.push(piece)
        assert recorder.cleared.startswith(left)
    assert left + stream.close() == text == recorder.cleared


@settings(deadline=None)
@given(TEXTS)
def test_no_listed_word_leaves(text: str) -> None:
    stream = GuardedStream([OutputGuard([ListedWords()])], PROMPT)
    left = "".join(map(stream.push, text)) + stream.close()
    assert not ListedWords().look(left, PROMPT)


def test_after_a_veto_nothing_leaves() -> None:
    stream = GuardedStream([OutputGuard([Toxic()])], PROMPT)
    said = stream.push("We open at nine o'clock. You are so very stupid. Have a nice day. And some more.")
    assert said == "We open at nine o'clock."
    assert stream.is_over and stream.verdict.decision == "veto"
    assert (stream.push("Sorry. That was wrong. "), stream.close()) == ("", "")


def test_a_sentence_without_an_end_is_held_no_longer_than_the_most() -> None:
    stream = GuardedStream([OutputGuard([Finds("zzz")])], PROMPT, max_hold=50)
    left = [stream.push("word ") for _ in range(40)]
    assert max(map(len, left)) <= 50
    assert sum(map(len, left)) >= 200 - 50


def test_later_guards_see_what_earlier_ones_made_of_it() -> None:
    first, second = OutputGuard([Finds("x", "replace", "y")]), OutputGuard([Finds("[y]", "replace", "z")], name="2")
    stream = GuardedStream([first, second], PROMPT)
    assert stream.push("x") + stream.close() == "[[z]]" or stream.left == "[z]"


def test_a_guard_that_raises_closes_the_stream() -> None:
    class Raises:
        name = "raises"

        def review(self, sample: TextSample) -> Verdict:
            raise OSError("gone")

    cleared = clear([Raises()], PROMPT, "Hello.")
    assert (cleared.text, cleared.verdict.decision) == ("", "veto")
    assert cleared.verdict.evidence["failed"]


def test_a_replacement_that_is_no_text_closes_the_stream() -> None:
    class Odd:
        name = "odd"

        def review(self, sample: TextSample) -> Verdict:
            return Verdict(decision="modify", replacement=7)

    assert clear([Odd()], PROMPT, "Hello.").verdict.decision == "veto"


def test_another_sample_is_tried_after_a_veto_and_not_after_a_halt() -> None:
    answers = ["You idiot.", "You moron.", "At nine.", "At ten."]
    found = first_cleared(answers.__getitem__, [OutputGuard([ListedWords()])], PROMPT, num_tries=4)
    assert (found.text, found.num_samples) == ("At nine.", 3)
    found = first_cleared(answers.__getitem__, [OutputGuard([ListedWords()])], PROMPT, num_tries=2)
    assert (found.text, found.verdict.decision, found.num_samples) == ("", "veto", 2)
    found = first_cleared(answers.__getitem__, [OutputGuard([ListedWords(action="block")])], PROMPT, num_tries=4)
    assert (found.verdict.decision, found.num_samples) == ("halt", 1)


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "Hello"])
def test_whole_answers_are_judged_as_streams_are(text: str) -> None:
    assert clear([OutputGuard([ListedWords()])], PROMPT, text).text == text == "".join(sentences(text))

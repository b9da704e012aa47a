"""What guards do is told before it takes effect, and becomes feedback on the words that were found."""

import pytest

from heeler.core.nouns import TEXT, Query
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.feedback.critique import validate
from heeler.feedback.form import SegmentFacts
from heeler.safety.text_guards.acts import GuardAct, Watched, as_feedback
from heeler.safety.text_guards.output import OutputGuard
from heeler.safety.text_guards.rules import ListedWords, PersonalData
from heeler.safety.text_guards.timing import within
from tests.unit.safety.text_guards.helpers import Breaks, answer


def test_acts_are_told_and_what_passes_is_not() -> None:
    acts: list[GuardAct] = []
    guard = Watched(OutputGuard([ListedWords()]), acts.append)
    assert guard.review(answer("At nine.")).decision == "allow"
    assert acts == []
    verdict = guard.review(answer("You idiot."))
    assert [(act.guard, act.verdict) for act in acts] == [("output", verdict)]


def test_a_change_that_cannot_be_told_is_a_veto() -> None:
    def full(act: GuardAct) -> None:
        raise OSError("disk full")

    assert Watched(OutputGuard([PersonalData()]), full).review(answer("a jo@example.org b")).decision == "veto"
    assert Watched(OutputGuard([ListedWords(action="block")]), full).review(answer("idiot")).decision == "halt"


def test_a_guard_that_raises_has_vetoed_and_that_is_told() -> None:
    class Raises:
        name = "raises"

        def review(self, sample: TextSample) -> Verdict:
            raise ValueError

    acts: list[GuardAct] = []
    assert Watched(Raises(), acts.append).review(answer("hello")).decision == "veto"
    assert acts[0].verdict.evidence["failed"]


def test_findings_become_critiques_of_the_words_found() -> None:
    acts: list[GuardAct] = []
    Watched(OutputGuard([ListedWords()]), acts.append).review(answer("You idiot, you moron."))
    first, second = as_feedback(acts[0], query_id="q1")
    assert first.value == {"text": "words: listed word", "start": 4, "end": 9}
    assert second.value["start"] == 15
    assert (first.kind, first.annotator, first.query_id) == ("critique", "guard:output", "q1")
    assert [first, second] == as_feedback(acts[0], query_id="q1")
    assert first.key != second.key
    query = Query(id="q1", kind="critique", segment_ids=("s",), policy_version=0, asked_step=0)
    length = len(acts[0].sample.completion)
    facts = SegmentFacts(
        env_id=TEXT,
        trajectory_id="t",
        num_steps=length,
        observation_size=0,
        action_size=0,
        action_discrete=False,
    )
    assert validate(first.value, query, {"s": facts}) == first.value


def test_a_guard_that_failed_teaches_nothing() -> None:
    acts: list[GuardAct] = []
    Watched(OutputGuard([Breaks()]), acts.append).review(answer("hello"))
    assert as_feedback(acts[0], query_id="q1") == []


def test_a_function_is_given_its_time() -> None:
    assert within(5, lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)

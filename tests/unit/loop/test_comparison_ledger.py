"""What became of each answer: the first to a question counts, and what is withdrawn might never have been there."""

import pytest

from heeler.core.nouns import Feedback
from heeler.loop.comparison_ledger import ComparisonLedger


def answer(key: str, query: str, choice: str) -> Feedback:
    return Feedback(key=key, query_id=query, annotator="ann", kind="preference", value={"choice": choice})


# By position in the store.
GIVEN = {
    1: answer("a", "q", "left"),
    2: answer("b", "r", "cant_tell"),
    4: answer("c", "q", "right"),
    5: answer("d", "r", "equal"),
}


@pytest.fixture
def ledger() -> ComparisonLedger:
    made = ComparisonLedger()
    first, more = made.first(list(GIVEN.values()))
    assert ([one.key for one in first], [one.key for one in more]) == (["a", "b"], ["c", "d"])
    made.add({one.key: position for position, one in GIVEN.items()}, first + more, num_first=len(first))
    return made


def test_the_first_answer_to_a_question_counts(ledger: ComparisonLedger) -> None:
    assert ledger.taken == {1: "q", 4: "q", 5: "r"} and ledger.cant_tell == {2: "r"}
    assert (ledger.num_answered, ledger.num_cant_tell, ledger.num_useful) == (2, 1, 1)
    assert ledger.first([GIVEN[1]]) == ([], [GIVEN[1]])


def test_where_a_first_answer_is_withdrawn_the_next_one_counts(ledger: ComparisonLedger) -> None:
    assert ledger.leave_out({2}) == {"r"}
    assert (ledger.num_answered, ledger.num_cant_tell) == (2, 0)
    assert ledger.leave_out({1, 4}) == {"q"}
    assert ledger.answered == {"r"} and ledger.taken == {5: "r"}
    assert ledger.leave_out({77}) == set()


def test_questions_that_only_held_out_people_answered_are_set_aside(ledger: ComparisonLedger) -> None:
    ledger.held_out = {6: "q", 7: "s", 8: "s"}
    assert ledger.num_set_aside == 1
    assert ledger.leave_out({7, 8}) == set() and ledger.num_set_aside == 0


def test_a_ledger_goes_on_from_its_state_and_finds_answers_that_an_old_one_does_not_name(
    ledger: ComparisonLedger,
) -> None:
    again, old = ComparisonLedger(), ComparisonLedger()
    again.load(ledger.state(), num_cant_tell=ledger.num_cant_tell)
    assert vars(again) == vars(ledger)
    old.load({"answered": ["q", "r"]}, num_cant_tell=1)
    old.find(GIVEN.items())
    assert (old.taken, old.cant_tell, old.num_useful) == ({1: "q"}, {2: "r"}, 1)

"""What is told of groups: few people are never shown, nor to be worked out, and agreement is counted by hand."""

import itertools

import numpy as np
import pytest

from heeler.evaluation.fairness import (
    NOWHERE,
    GroupedAnswers,
    agreement_between,
    foretold_by,
    most_different,
    placed_in,
)
from heeler.evaluation.small_groups import shown_groups


def test_no_size_that_is_hidden_can_be_worked_out_from_those_that_are_shown() -> None:
    for num in (2, 3, 4):
        for sizes in itertools.product(range(7), repeat=num):
            shown = shown_groups(sizes, 3)
            assert all(size >= 3 for size, one in zip(sizes, shown, strict=True) if one)
            hidden = [size for size, one in zip(sizes, shown, strict=True) if not one]
            # Whoever takes what is shown from the whole is left with at least two groups of together at least three,
            # unless nothing at all is shown.
            assert not hidden or len(hidden) == num or (len(hidden) >= 2 and sum(hidden) >= 3)
            assert hidden or min(sizes) >= 3


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ((9, 5), (True, True)),
        ((9, 2), (False, False)),
        ((9, 5, 2), (True, False, False)),
        ((9, 5, 4, 0), (True, True, False, False)),
        ((9, 2, 2), (True, False, False)),
        ((9, 5, 1, 1), (True, False, False, False)),
    ],
)
def test_sizes_by_hand(sizes: tuple[int, ...], shown: tuple[bool, ...]) -> None:
    assert shown_groups(sizes, 3) == shown


def test_people_are_placed_where_it_is_sure() -> None:
    assert placed_in(np.array([[0.9, 0.1], [0.3, 0.7], [0.1, 0.9]])).tolist() == [0, NOWHERE, 1]


def answers() -> GroupedAnswers:
    """Two groups of two; three questions, of which the last has one answer, and one person is nowhere."""
    question = [0, 0, 0, 0, 1, 1, 1, 2, 0]
    person = [0, 1, 2, 3, 0, 1, 2, 3, 4]
    group = [0, 0, 1, 1, 0, 0, 1, 1, NOWHERE]
    outcome = [0, 0, 1, 0, 1, 0, 0, 2, 1]
    margin = np.array([[2.0, -2.0]] * 9)
    unseen = np.array([True] * 8 + [False])
    return GroupedAnswers(
        question_Q=np.array(question),
        person_Q=np.array(person),
        group_Q=np.array(group),
        outcome_Q=np.array(outcome),
        margin_QG=margin,
        is_unseen_Q=unseen,
    )


def test_agreement_is_a_mean_over_questions_of_pairs_of_different_people() -> None:
    within = agreement_between(answers(), 0, 0, 2)
    assert within is not None and (within.mean, within.count) == (0.5, 2), "agreed on the first, not on the second"
    across = agreement_between(answers(), 0, 1, 2)
    assert across is not None and across.mean == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert 0 <= across.low < across.mean < across.high <= 1
    assert agreement_between(answers(), 0, 1, 3) is None, "two people of each are too few"
    assert agreement_between(answers(), 1, 1, 2) is not None
    assert agreement_between(answers(), 1, 1, 3) is None


def test_what_a_groups_reward_foretells_is_counted_over_answers_that_it_did_not_learn_from() -> None:
    first, second = (foretold_by(answers(), 0, reward, 2) for reward in (0, 1))
    assert first is not None and (first.mean, first.count) == (0.75, 4)
    assert second is not None and second.mean == 0.25
    assert foretold_by(answers(), 0, 0, 3) is None


def test_questions_with_the_greatest_difference_come_first_each_once() -> None:
    margin = np.array([[0.0, 0.1, 9.0], [5.0, -5.0, 0.0], [5.0, -4.9, 0.0], [1.0, -1.0, 0.0]])
    found = most_different(margin, np.array([7, 8, 8, 9]), [0, 1], 2)
    assert [question for question, _ in found] == [8, 9]
    assert found[0][1] == pytest.approx([1 / (1 + np.exp(-5)), 1 / (1 + np.exp(5))])

"""What may be told of groups of people, how far they agree, and where they differ most.

No figure tells of a group of few people, nor lets one be worked out from others. Everything is on plain arrays. Shapes:
P people, G groups, Q answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heeler.evaluation.agreement import Share, wilson_interval
from heeler.feedback.annotators.answers import LEFT, RIGHT, Floats, Ints

_SURE = 0.8
NOWHERE = -1
"""In place of a group's number: too little is known of a person."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupedAnswers:
    """Answers with the group of whoever gave them."""

    question_Q: Ints
    """The same number for the same question."""
    person_Q: Ints
    group_Q: Ints
    """Of the person; `NOWHERE` where they are in none."""
    outcome_Q: Ints
    """0 left, 1 right; others name no side."""
    margin_QG: Floats
    """Log-odds of left by every group's reward, by what did not learn from the answer."""
    is_unseen_Q: np.ndarray
    """Whether of every group something did not."""

    @property
    def names_side_Q(self) -> np.ndarray:
        """Whether an answer says which is better."""
        return (self.outcome_Q == LEFT) | (self.outcome_Q == RIGHT)


def placed_in(member_PG: Floats) -> Ints:
    """[P] whose group is how surely known, at least 80 %: its number, else `NOWHERE`."""
    return np.where(member_PG.max(1) >= _SURE, member_PG.argmax(1), NOWHERE).astype(np.int64)


def agreement_between(answers: GroupedAnswers, first: int, second: int, min_people: int) -> Share | None:
    """How often two people, one of each group, name the same side of one question; of one group where it is the same.

    Every question counts the same however many pairs it has, and the interval is of questions, as pairs of one are not
    independent.

    Returns:
        None where of either group fewer than `min_people` answered such a question.
    """
    shares, people = list[float](), (set[int](), set[int]())
    rows = answers.names_side_Q
    for question in np.unique(answers.question_Q[rows]):
        of_it = rows & (answers.question_Q == question)
        a = np.flatnonzero(of_it & (answers.group_Q == first))
        b = np.flatnonzero(of_it & (answers.group_Q == second))
        pairs = [(i, j) for i in a for j in b if answers.person_Q[i] != answers.person_Q[j]]
        if pairs:
            shares.append(float(np.mean([answers.outcome_Q[i] == answers.outcome_Q[j] for i, j in pairs])))
            for side, one in enumerate(zip(*pairs, strict=True)):
                people[side].update(answers.person_Q[list(one)].tolist())
    return _share(shares) if min(len(side) for side in people) >= min_people else None


def foretold_by(answers: GroupedAnswers, whose: int, reward: int, min_people: int) -> Share | None:
    """How often the reward of one group foretells the side that people of another name, answers not learned from.

    Returns:
        None where fewer than `min_people` of them gave such an answer.
    """
    rows = answers.names_side_Q & answers.is_unseen_Q & (answers.group_Q == whose)
    if len(np.unique(answers.person_Q[rows])) < min_people:
        return None
    return _share(((answers.margin_QG[rows, reward] > 0) == (answers.outcome_Q[rows] == LEFT)).astype(float).tolist())


def most_different(margin_QG: Floats, question_Q: Ints, groups: Sequence[int], number: int) -> list[tuple[int, Floats]]:
    """Questions on which some groups' rewards differ most: [(question, [G] probability of left of each of `groups`)].

    The greatest difference of probabilities comes first; each question stands once.
    """
    left_QG = 1 / (1 + np.exp(-np.clip(margin_QG[:, list(groups)], -500, 500)))
    gap_Q = left_QG.max(1) - left_QG.min(1)
    found: dict[int, Floats] = {}
    for row in np.argsort(-gap_Q, kind="stable"):
        found.setdefault(int(question_Q[row]), left_QG[row])
        if len(found) == number:
            break
    return list(found.items())


def _share(values: Sequence[float]) -> Share | None:
    if not values:
        return None
    mean = float(np.mean(values))
    low, high = wilson_interval(np.array([mean]), np.array([len(values)]))
    return Share(mean=mean, low=float(low[0]), high=float(high[0]), count=len(values))

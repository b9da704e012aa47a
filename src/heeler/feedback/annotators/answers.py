"""Comparisons as arrays, with who gave them. Shapes: N answers, P people, K items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heeler.core.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OUTCOMES: Mapping[str, int] = {"left": 0, "right": 1, "equal": 2, "cant_tell": 3}
"""Numbers of the choices; `cant_tell` says nothing of the items, and is counted."""
LEFT, RIGHT, EQUAL, CANT_TELL = 0, 1, 2, 3


def sums_by(number_N: Ints, value_N: Floats, size: int) -> Floats:
    """[size] sums of the values that share a number."""
    return np.bincount(number_N, value_N, size).astype(np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """One answer to a comparison, as it comes from a store or a file."""

    person: str
    left: str
    """Item."""
    right: str
    """Item."""
    choice: str
    """`left`, `right`, `equal` or `cant_tell`."""
    time_taken_s: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """N comparisons; people and items are numbered in the order in which they come."""

    people: tuple[str, ...]
    """Names, by number."""
    items: tuple[str, ...]
    """Names, by number; empty where only pairs are known, as of a reward that is learned from features."""
    person_N: Ints
    outcome_N: Ints
    """As of `OUTCOMES`."""
    left_N: Ints
    right_N: Ints
    """Items, or in `left_N` the number of the question, and -1, where `items` is empty."""
    time_s_N: Floats
    """Seconds that each took; NaN where nobody knows."""

    def __len__(self) -> int:
        return len(self.person_N)

    def those(self, wanted_N: NDArray[np.bool_]) -> "Answers":
        """Some of them; people and items keep their numbers."""
        return replace(
            self,
            person_N=self.person_N[wanted_N],
            outcome_N=self.outcome_N[wanted_N],
            left_N=self.left_N[wanted_N],
            right_N=self.right_N[wanted_N],
            time_s_N=self.time_s_N[wanted_N],
        )

    @property
    def num_people(self) -> int:
        """P."""
        return len(self.people)

    @property
    def question_N(self) -> Ints:
        """The same number for the same pair, whichever way round it was shown."""
        low, high = np.minimum(self.left_N, self.right_N), np.maximum(self.left_N, self.right_N)
        _, number = np.unique(low * (int(high.max(initial=0)) + 2) + high, return_inverse=True)
        return number.reshape(-1).astype(np.int64)

    @property
    def is_turned_N(self) -> NDArray[np.bool_]:
        """Whether a pair is shown the other way round than its lower item first."""
        return self.left_N > self.right_N if self.items else np.zeros(len(self), bool)


def answers_of(comparisons: Sequence[Comparison]) -> Answers:
    """Comparisons as arrays.

    Raises:
        DataError: there is none, or one's choice, items or time cannot be; the row is named.
    """
    if not comparisons:
        raise DataError("comparisons: there is none; ask somebody first")
    for row, one in enumerate(comparisons):
        if one.choice not in OUTCOMES:
            raise DataError(f"comparisons, row {row}: choice must be {', '.join(OUTCOMES)}, got {one.choice!r:.60}")
        if one.left == one.right:
            raise DataError(f"comparisons, row {row}: an item is compared with itself: {one.left!r:.60}")
        if one.time_taken_s is not None and not 0 <= one.time_taken_s < float("inf"):
            raise DataError(f"comparisons, row {row}: time_taken_s must be >= 0 and finite, got {one.time_taken_s}")
    person = _numbers([one.person for one in comparisons])
    item = _numbers([name for one in comparisons for name in (one.left, one.right)])
    return Answers(
        people=tuple(person),
        items=tuple(item),
        person_N=np.array([person[one.person] for one in comparisons], np.int64),
        outcome_N=np.array([OUTCOMES[one.choice] for one in comparisons], np.int64),
        left_N=np.array([item[one.left] for one in comparisons], np.int64),
        right_N=np.array([item[one.right] for one in comparisons], np.int64),
        time_s_N=np.array([np.nan if one.time_taken_s is None else one.time_taken_s for one in comparisons]),
    )


def gold_of(answers: Answers, gold: Mapping[tuple[str, str], str]) -> Ints:
    """[N] the right outcome of each answer as it was shown, -1 where nobody knows it.

    Args:
        answers: of named items.
        gold: the right choice (`left`, `right` or `equal`) of pairs of items, as (left, right).

    Raises:
        DataError: a choice is no right answer, an item is unknown, or gold items contradict one another.
    """
    number = {name: place for place, name in enumerate(answers.items)}
    better: dict[tuple[int, int], int] = {}
    for (left, right), choice in gold.items():
        if choice not in ("left", "right", "equal"):
            raise DataError(
                f"gold {left!r:.40} against {right!r:.40}: must be left, right or equal, got {choice!r:.40}"
            )
        for name in (left, right):
            if name not in number:
                raise DataError(f"gold: nobody was asked about item {name!r:.60}; leave it out")
        a, b = number[left], number[right]
        known = better.get((a, b))
        if known is not None and known != OUTCOMES[choice]:
            raise DataError(f"gold contradicts itself: {left!r:.40} against {right!r:.40} has two right answers")
        better[a, b], better[b, a] = OUTCOMES[choice], _turned(OUTCOMES[choice])
    _refuse_circle([(a, b) for (a, b), outcome in better.items() if outcome == LEFT], answers.items)
    pairs = zip(answers.left_N.tolist(), answers.right_N.tolist(), strict=True)
    return np.array([better.get(pair, -1) for pair in pairs], np.int64)


def _turned(outcome: int) -> int:
    return {LEFT: RIGHT, RIGHT: LEFT}.get(outcome, outcome)


def _refuse_circle(above: Sequence[tuple[int, int]], names: Sequence[str]) -> None:
    """Take away items that nothing is better than, until none is left; what cannot be taken away goes in a circle."""
    left = set(above)
    while left:
        beaten = {b for _, b in left}
        free = {pair for pair in left if pair[0] not in beaten}
        if not free:
            shown = ", ".join(sorted({repr(names[a])[:40] for a, _ in left})[:5])
            raise DataError(f"gold contradicts itself: each of {shown} is better than another of them, in a circle")
        left -= free


def _numbers(names: Sequence[Any]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}

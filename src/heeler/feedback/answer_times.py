"""How long answers take: expected seconds of each kind and person, learned from the times that were taken."""

from collections.abc import Iterable, Mapping
from typing import Any

from heeler.core.nouns import FeedbackKind


class AnswerTimes:
    """Means that begin at a guess: of each kind, and of how slow each person is beside the others.

    Plain means rather than medians or logarithms: a budget is spent by the sum. A person's factor is over all kinds, as
    who is slow is slow at all of them; each guess counts as `weight` answers.

    Args:
        guess_s: of each kind, before anybody answered.
        most_s: what is above counts as so much: somebody left the page open.
        weight: answers that a guess counts for.
    """

    def __init__(self, guess_s: Mapping[FeedbackKind, float], *, most_s: float, weight: float = 5.0) -> None:
        self._guess_s, self._most_s, self._weight = guess_s, most_s, weight
        self._taken: dict[tuple[FeedbackKind, str], tuple[int, float]] = {}
        """Of each kind and person: number of answers, and their seconds."""

    def add(self, kind: FeedbackKind, person: str, seconds: float | None) -> float:
        """Take in an answer's time; returns the seconds that it counts for, the expected ones where none is known."""
        if seconds is None or not seconds >= 0:
            return self.expected_s(kind, person)
        counted = min(seconds, self._most_s)
        number, total = self._taken.get((kind, person), (0, 0.0))
        self._taken[kind, person] = (number + 1, total + counted)
        return counted

    def expected_s(self, kind: FeedbackKind, person: str | None = None) -> float:
        """Seconds that a question of this kind will take: this person, or anybody where it is not known whom."""
        return self._of_kind_s(kind) * (1.0 if person is None else self.slowness(person))

    def slowness(self, person: str) -> float:
        """How many times as long as usual somebody takes; 1 of a stranger."""
        mine: dict[FeedbackKind, tuple[int, float]] = {}
        mine |= {kind: taken for (kind, who), taken in self._taken.items() if who == person}
        ratio = sum(total / self._of_kind_s(kind) for kind, (_, total) in mine.items())
        return (self._weight + ratio) / (self._weight + sum(number for number, _ in mine.values()))

    def _of_kind_s(self, kind: FeedbackKind) -> float:
        of_kind = [taken for (which, _), taken in self._taken.items() if which == kind]
        total = self._weight * self._guess_s[kind] + sum(seconds for _, seconds in of_kind)
        return total / (self._weight + sum(number for number, _ in of_kind))

    def state_dict(self) -> list[list[Any]]:
        """JSON-ready."""
        return [[kind, person, number, total] for (kind, person), (number, total) in self._taken.items()]

    def load_state_dict(self, state: Iterable[list[Any]]) -> None:
        """Go on from what `state_dict` returned."""
        self._taken = {(kind, person): (number, total) for kind, person, number, total in state}

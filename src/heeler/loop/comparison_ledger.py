"""Which answers to comparisons a run has taken in.

One to a question counts, the first, however many people answer; where it matters who answers, others are learned from
too. Answers are known by their positions in the store, so that those that are withdrawn there can be left out here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from heeler.core.nouns import Feedback


def says_nothing(feedback: Feedback) -> bool:
    """Whether a comparison was answered by "can't tell"."""
    return feedback.value["choice"] == "cant_tell"


class ComparisonLedger:
    """Answers of one run, by what became of them."""

    def __init__(self) -> None:
        self.answered: set[str] = set()
        """Queries whose first answer was taken in."""
        self.num_cant_tell = 0
        """Queries whose first answer says nothing."""
        self.taken: dict[int, str] = {}
        """Query of each answer that the reward learns from, by the answer's position: a row of its data each."""
        self.cant_tell: dict[int, str] = {}
        """The same for answers that say nothing."""
        self.held_out: dict[int, str] = {}
        """The same for answers by people who are held out: read, and never learned from."""

    @property
    def num_answered(self) -> int:
        """Queries that were answered."""
        return len(self.answered)

    @property
    def num_useful(self) -> int:
        """Answers that count against the budget: all but "can't tell"."""
        return self.num_answered - self.num_cant_tell

    @property
    def num_set_aside(self) -> int:
        """Questions that people who are held out alone have answered; others are asked in their place."""
        return len(set(self.held_out.values()) - self.answered)

    def first(self, found: Sequence[Feedback]) -> tuple[list[Feedback], list[Feedback]]:
        """The first answers to their queries among some, which count as answered from now on; and all others."""
        first: list[Feedback] = []
        more: list[Feedback] = []
        for feedback in found:
            (more if feedback.query_id in self.answered else first).append(feedback)
            self.answered.add(feedback.query_id)
        return first, more

    def add(self, positions: Mapping[str, int], answers: Sequence[Feedback], *, num_first: int) -> None:
        """Note what was taken in.

        Args:
            positions: by the answers' keys.
            answers: in the order of the rows of data; those that say nothing make none.
            num_first: how many of them, from the beginning, are the first to their query.
        """
        self.num_cant_tell += sum(map(says_nothing, answers[:num_first]))
        for feedback in answers:
            into = self.cant_tell if says_nothing(feedback) else self.taken
            into[positions[feedback.key]] = feedback.query_id

    def leave_out(self, gone: Collection[int]) -> set[str]:
        """Strike answers that were withdrawn; returns the queries of those that were learned from, or said nothing."""
        lost = {query_id for p, query_id in (self.taken | self.cant_tell).items() if p in gone}
        self.held_out = _without(self.held_out, gone)
        self.taken, self.cant_tell = _without(self.taken, gone), _without(self.cant_tell, gone)
        if lost:
            self._recount()
        return lost

    def _recount(self) -> None:
        """Count from what is left; the first answer to a query says whether it was of use."""
        first: dict[str, bool] = {}
        for position in sorted([*self.taken, *self.cant_tell]):
            is_useful = position in self.taken
            first.setdefault(self.taken[position] if is_useful else self.cant_tell[position], is_useful)
        self.answered = set(first)
        self.num_cant_tell = len(first) - sum(first.values())

    def state(self) -> dict[str, Any]:
        """JSON-ready values that a checkpoint keeps, beside `num_cant_tell`."""
        return {
            "taken": list(self.taken.items()),
            "cant_tell": list(self.cant_tell.items()),
            "held_out": list(self.held_out.items()),
            "answered": sorted(self.answered),
        }

    def load(self, state: Mapping[str, Any], *, num_cant_tell: int) -> None:
        """Go on from what `state` returned; checkpoints of earlier versions do not say which answers they hold."""
        self.answered, self.num_cant_tell = set(state["answered"]), num_cant_tell
        self.taken, self.cant_tell = dict(state.get("taken", [])), dict(state.get("cant_tell", []))
        self.held_out = dict(state.get("held_out", []))

    def find(self, given: Iterable[tuple[int, Feedback]]) -> None:
        """Find the answers that the queries were answered by: of those that were given, the first to each."""
        unseen = set(self.answered)
        for position, feedback in given:
            if feedback.kind == "preference" and feedback.query_id in unseen:
                unseen.remove(feedback.query_id)
                into = self.cant_tell if says_nothing(feedback) else self.taken
                into[position] = feedback.query_id


def _without(queries: Mapping[int, str], gone: Collection[int]) -> dict[int, str]:
    return {position: query_id for position, query_id in queries.items() if position not in gone}

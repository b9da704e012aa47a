"""What people want has changed: noticed from answers that are foretold less often, and answered by forgetting.

Every answer is foretold before it is learned from. Where the share that comes true falls, of all or of one person, the
answer is found at which that began (`oversight.monitors.falling`). If it is all, answers from before weigh little from
then on, say nothing of who is reliable, and the reward is fitted anew from nothing; if it is one person alone, what
they said before says nothing of them any more. Nothing is forgotten where nothing was noticed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from heeler.feedback.withdrawal import id_sha256
from heeler.oversight.monitors.falling import Falling, where_it_fell
from heeler.rewards.answerers import DriftConfig

_KEPT, _LATELY = 500, 40


@dataclass(frozen=True, kw_only=True)
class Change:
    """That what people want was found to have changed."""

    after_position: int
    """Of the last answer before, in the store."""
    noticed_after: int
    """Answers between the change, as it was placed, and when it was noticed."""
    before: float
    """Share of answers that were foretold before."""
    since: float
    """And since."""
    annotator: str | None = None
    """Who alone has changed; None for all."""

    @property
    def in_words(self) -> str:
        """What the operator is told."""
        who = "people want" if self.annotator is None else f"{self.annotator} wants"
        return (
            f"what {who} has changed after answer {self.after_position:,}: {self.since:.0%} of answers were foretold "
            f"since, and {self.before:.0%} before"
        )


class Drifting:
    """Follows one run's answers.

    Args:
        config: how readily a change is seen, and what becomes of older answers.
        num_answers: that the run may ask for.
    """

    def __init__(self, config: DriftConfig, num_answers: int) -> None:
        self.config, self._num_looks = config, num_answers
        self.overall = self._watch(1.0)
        self._told: list[tuple[int, bool, str]] = []
        """Position, whether it was foretold, and the person's hash, of answers since the last change."""
        self._of_person: dict[str, tuple[int, Falling, list[tuple[int, bool]]]] = {}
        """By the hash of a person: as the how-manieth they came, their watch, and their answers."""
        self._num_came = 0
        self.changed_after: list[int] = []
        """Positions of the last answers before what all want changed."""
        self.since: dict[str, int] = {}
        """By the hash of a person who changed alone: position of their last answer from before."""
        self.news: list[Change] = []
        """That nobody was told of yet."""

    def _watch(self, share: float) -> Falling:
        return Falling(self.config.error_rate * share, self._num_looks)

    def _watch_person(self, number: int) -> Falling:
        return self._watch(1 / (number * (number + 1)))

    def add(self, position: int, annotator: str, is_foretold: bool) -> bool:
        """Take in an answer; whether what all want has changed, and the reward must begin anew."""
        name = id_sha256(annotator)
        self._told = [*self._told[-_KEPT:], (position, is_foretold, name)]
        if self.overall.add(is_foretold):
            self._change([(at, success) for at, success, _ in self._told], None)
            self.changed_after.append(self.news[-1].after_position)
            self.begin_anew()
            return True
        self._add_of_person(position, annotator, name, is_foretold)
        return False

    def _add_of_person(self, position: int, annotator: str, name: str, is_foretold: bool) -> None:
        if name not in self._of_person:
            # The i-th who comes has the share 1 / (i (i + 1)), so that all together keep to the rate.
            self._num_came += 1
            self._of_person[name] = self._num_came, self._watch_person(self._num_came), []
        _, watch, told = self._of_person[name]
        told.append((position, is_foretold))
        del told[:-_KEPT]
        # Where everybody's share falls it is not this person who has changed.
        if watch.add(is_foretold) and self._others_stay(name):
            self._change(told, annotator)
            self.since[name] = self.news[-1].after_position
            del self._of_person[name]

    def _others_stay(self, name: str) -> bool:
        others = [success for _, success, who in self._told if who != name]
        return len(others) >= _LATELY and bool(np.mean(others[-_LATELY:]) >= np.mean(others) - 0.15)

    def _change(self, told: list[tuple[int, bool]], annotator: str | None) -> None:
        successes = [success for _, success in told]
        place = max(1, where_it_fell(successes))
        self.news.append(
            Change(
                after_position=told[place - 1][0],
                noticed_after=len(told) - place,
                before=float(np.mean(successes[:place])),
                since=float(np.mean(successes[place:] or [0.0])),
                annotator=annotator,
            )
        )

    def begin_anew(self) -> None:
        """The reward begins anew: what it foretold before is no measure of what it will."""
        self.overall, self._told, self._of_person = self._watch(1.0), [], {}

    def forgotten(self, positions: list[int]) -> np.ndarray:
        """[Q] what of each answer's weight is left."""
        newest = self.changed_after[-1] if self.changed_after else 0
        return np.where(np.array(positions) <= newest, self.config.old_weight, 1.0)

    def tells(self, positions: list[int], annotators: list[str]) -> np.ndarray:
        """[N] 1 where an answer still tells of who gave it."""
        return (np.array(positions) > self.since_when(annotators)).astype(np.float64)

    def since_when(self, annotators: list[str]) -> np.ndarray:
        """[N] position up to which each one's answers say nothing of them any more; 0 where all do."""
        newest = self.changed_after[-1] if self.changed_after else 0
        hashed = {name: id_sha256(name) for name in set(annotators)}
        since = [self.since.get(hashed[name], 0) for name in annotators]
        return np.maximum(np.array(since, np.int64), newest)

    def take_news(self) -> list[Change]:
        """Changes since it was last called."""
        news, self.news = self.news, []
        return news

    def state(self) -> dict[str, Any]:
        """JSON-ready values that a checkpoint keeps; nobody is named in them."""
        of_person = self._of_person.items()
        return {
            "overall": self.overall.state_dict(),
            "told": self._told,
            "of_person": {name: [number, one.state_dict(), told] for name, (number, one, told) in of_person},
            "num_came": self._num_came,
            "changed_after": self.changed_after,
            "since": self.since,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.begin_anew()
        self.overall.load_state_dict(state["overall"])
        self._told = [(position, success, name) for position, success, name in state["told"]]
        for name, (number, watch_state, told) in state["of_person"].items():
            watch = self._watch_person(number)
            watch.load_state_dict(watch_state)
            self._of_person[name] = number, watch, [(position, success) for position, success in told]
        self._num_came = int(state["num_came"])
        self.changed_after, self.since, self.news = list(state["changed_after"]), dict(state["since"]), []

"""Waiting for the first answers of people, without which there is nothing to learn from."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from heeler.feedback.store import Store
from heeler.feedback.told import WAITING

_POLL_S = 0.2


class Asking(Protocol):
    """Whoever puts questions to people."""

    @property
    def waits_for_people(self) -> bool:
        """Whether all first questions are put, and people are still answering them."""
        ...

    @property
    def has_enough(self) -> bool:
        """Whether the first answers are in."""
        ...

    def listen(self, step: int) -> int:
        """Take in the answers that have come; returns how many."""
        ...


class FirstAnswers:
    """The first answers that a run needs of people.

    Args:
        store: of the run, whose readers are told while they are waited for.
        asking: whoever asks people; nobody in a run that nobody teaches.
    """

    def __init__(self, store: Store, asking: Sequence[Asking]) -> None:
        self._store, self._asking = store, asking
        self._says_waiting: bool | None = None

    def are_missing(self, step: int, *, beat: Callable[[], None]) -> bool:
        """Whether they are still to be given; waits for them a moment.

        Args:
            step: the run's.
            beat: called before the wait, which is no stall.
        """
        waiting = [one for one in self._asking if one.waits_for_people]
        if waiting:
            self._say(True)
            beat()
            time.sleep(_POLL_S)
            for one in waiting:
                one.listen(step)
            if not all(one.has_enough for one in waiting):
                return True
        if self._asking:
            self._say(False)
        return False

    def _say(self, waits: bool) -> None:
        """Tell those who look at the store whether, and since when, this learner waits for people."""
        if self._says_waiting != waits:
            self._store.set_setting(WAITING, time.time() if waits else None)
            self._says_waiting = waits

"""What a run tells of its store's server while that is away: in its audit log, and to whoever watches it."""

import math
from collections.abc import Callable
from typing import Protocol

from heeler.core.errors import StoreAway
from heeler.loop.acts import Acts
from heeler.loop.words import duration

Metrics = dict[str, float]
AWAY = "store_away_s"
"""In what is told of a run that waits: for how many seconds its store's server has been away."""
_MAX_WORDS = 1000


class Waiting(Protocol):
    """A run that may have to wait."""

    @property
    def step(self) -> int:
        """How far it is."""
        ...

    def waiting(self) -> Metrics:
        """Where it stands."""
        ...


class Absence:
    """Tells that a store's server went, is still away, and is back.

    Args:
        acts: takes a line when it goes and when it comes back.
        on_metrics: called with where the run stands, now and then while it is away.
    """

    def __init__(self, acts: Acts, on_metrics: Callable[[Metrics], None] | None) -> None:
        self._acts, self._on_metrics = acts, on_metrics
        self.run: Waiting | None = None
        """The run, once it is made."""

    def away(self, away_s: float, error: StoreAway) -> None:
        """It has been away for so long."""
        if away_s == 0:
            self._acts.note("store.away", step=self._step, problem=str(error)[:_MAX_WORDS])
        if self._on_metrics is not None:
            row: Metrics = {"step": 0, "update": 0} if self.run is None else self.run.waiting()
            self._on_metrics(row | {AWAY: away_s})

    def back(self, away_s: float) -> None:
        """It is back, after so long."""
        self._acts.note("store.back", step=self._step, away_s=round(away_s, 1))

    @property
    def _step(self) -> int:
        return 0 if self.run is None else self.run.step


def away_in_words(away_s: float, patience_s: float) -> str:
    """For how long the server has been away, and how long it is waited for."""
    at_most = "" if math.isinf(patience_s) else f" for {duration(patience_s)} at most"
    return f"the store's server has been away for {duration(away_s)}: trying again{at_most}"

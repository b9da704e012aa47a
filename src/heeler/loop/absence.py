"""What a run tells of its store's server while that is away: in its audit log, and to whoever watches it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from heeler.core.errors import StoreAway
from heeler.loop.acts import Acts

if TYPE_CHECKING:
    from heeler.loop.online import OnlineRun

Metrics = dict[str, float]
AWAY = "store_away_s"
"""In what is told of a run that waits: for how many seconds its store's server has been away."""
_MAX_WORDS = 1000


class Absence:
    """Tells that a store's server went, is still away, and is back.

    Args:
        acts: takes a line when it goes and when it comes back.
        on_metrics: called with where the run stands, now and then while it is away.
    """

    def __init__(self, acts: Acts, on_metrics: Callable[[Metrics], None] | None) -> None:
        self._acts, self._on_metrics = acts, on_metrics
        self.online: OnlineRun | None = None
        """The run, once it is made."""

    def away(self, away_s: float, error: StoreAway) -> None:
        """It has been away for so long."""
        if away_s == 0:
            self._acts.note("store.away", step=self._step, problem=str(error)[:_MAX_WORDS])
        if self._on_metrics is not None:
            row: Metrics = {"step": 0, "update": 0} if self.online is None else self.online.waiting()
            self._on_metrics(row | {AWAY: away_s})

    def back(self, away_s: float) -> None:
        """It is back, after so long."""
        self._acts.note("store.back", step=self._step, away_s=round(away_s, 1))

    @property
    def _step(self) -> int:
        return 0 if self.online is None else self.online.step

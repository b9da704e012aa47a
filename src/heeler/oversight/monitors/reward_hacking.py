"""The learned reward does not rise without what it stands for."""

import math
import statistics
from typing import Any

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen
from heeler.oversight.over_optimisation import HELD_OUT, REWARD, STEP, WatchConfig, review

_MAX_POINTS = 128
_FIRST = 8
_LAGS = (3, 6, 12)


class RewardHacking(Monitor):
    """The test of `over_optimisation`, on a run's learned reward and the true returns of its episodes.

    The latter are known where a simulated teacher answers; in people's runs there is nothing to hold the learned reward
    against. Returns are in units of sixteen times what the first ones wavered by. At most 128 points are compared,
    each the mean of as many updates as that takes; some forty of them have to be bad.
    """

    name = "reward_hacking"
    about = "metric predicted_reward_mean rises and true returns do not"
    kept = ("points", "waiting", "first", "middle", "unit")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.num_each = math.ceil(setup.num_updates / _MAX_POINTS)
        self.watch = WatchConfig(error_rate=self.rate, lags=_LAGS)
        self.points: list[list[float]] = []
        """Step, learned reward and held-out measure."""
        self.waiting: list[list[float]] = []
        self.first: list[float] = []
        self.middle = self.unit = 0.0

    def look(self, seen: Seen) -> Finding | None:
        """Add a point where there is one, and judge."""
        learned = seen.row.get("predicted_reward_mean")
        if learned is None or not len(seen.returns) or not math.isfinite(learned):
            return None
        measured = statistics.fmean(seen.returns)
        if len(self.first) < _FIRST:
            self.first = [*self.first, measured]
            self.middle, self.unit = statistics.fmean(self.first), 16 * statistics.pstdev(self.first) or 1.0
            return None
        self.waiting = [*self.waiting, [float(seen.step), learned, (measured - self.middle) / self.unit]]
        if len(self.waiting) < self.num_each:
            return None
        step, reward, held_out = (statistics.fmean(one) for one in zip(*self.waiting, strict=True))
        self.points, self.waiting = [*self.points, [step, reward, held_out]], []
        if not self._sinks():
            return None
        rows: list[dict[str, Any]] = [dict(zip((STEP, REWARD, HELD_OUT), point, strict=True)) for point in self.points]
        verdict = review(self.watch, rows)
        if verdict.decision != "halt":
            return None
        self.points = []
        first, last = verdict.evidence["first_step"], verdict.evidence["last_step"]
        return self.found(
            seen,
            f"Between steps {first:,.0f} and {last:,.0f} the learned reward rose and true returns did not: the policy "
            "may be exploiting what the reward has wrong",
            first_step=first,
            last_step=last,
        )

    def _sinks(self) -> bool:
        """Whether returns are lower now than a little before: without that there is nothing to look into, at length."""
        now, before = ([point[2] for point in part] for part in (self.points[-3:], self.points[-6:-3]))
        return bool(before) and statistics.fmean(now) < statistics.fmean(before)

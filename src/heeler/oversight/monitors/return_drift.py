"""Returns do not fall for good."""

import statistics

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.adwin import Adwin
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.page_hinkley import PageHinkley
from heeler.oversight.monitors.seen import Seen

_FIRST = 8
_MEMORY, _SMOOTH = 0.1, 0.3
_LEAST_SHARE, _LEAST_OF_ALL = 0.25, 0.05


class ReturnDrift(Monitor):
    """Follows the mean return of the episodes that ended in each update, downwards alone.

    Page and Hinkley's test sees a fall within a few updates: in units of what returns waver by from one update to the
    next, and of a quarter of what has been gained since the run began, as those that learn stumble. ADWIN sees a small
    one that stays, in runs of many hundred updates. Each has half of the error rate.
    """

    name = "return_drift"
    about = "mean return of the episodes of an update: falls (Page-Hinkley, ADWIN)"
    kept = ("page", "adwin", "num_seen", "last", "reference", "smooth", "low", "high", "change")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.page = PageHinkley(self.rate / 2, setup.num_updates)
        self.adwin = Adwin(self.rate / 2, setup.num_updates)
        self.num_seen = 0
        self.last = self.reference = self.smooth = self.low = self.high = self.change = 0.0

    def look(self, seen: Seen) -> Finding | None:
        """Compare with what was reached."""
        if not len(seen.returns):
            return None
        value = statistics.fmean(seen.returns)
        if self.num_seen == 0:
            self.last = self.reference = self.smooth = self.low = self.high = value
        self.num_seen += 1
        gained = self.high - self.low
        scale = max(1.5 * self.change, _LEAST_SHARE * gained, _LEAST_OF_ALL * abs(self.reference)) or 1e-9
        reference = self.reference
        fell = self.num_seen > _FIRST and self.page.add(min((reference - value) / scale, 10.0))
        sank = self._sinks(value, gained)
        self._take_in(value, anew=fell)
        if not (fell or sank):
            return None
        by = "Page-Hinkley" if fell else "ADWIN"
        return self.found(
            seen,
            f"Returns fell: {value:.4g}, from about {reference:.4g} ({by})",
            mean_return=value,
            before=reference,
            test=by,
        )

    def _sinks(self, value: float, gained: float) -> bool:
        if gained <= 0 or self.num_seen <= _FIRST:
            return False
        share = min(1.0, max(0.0, (value - self.low) / gained))
        return self.adwin.add(share) and self.adwin.changed_by < -_LEAST_SHARE

    def _take_in(self, value: float, *, anew: bool) -> None:
        memory = max(_MEMORY, 1 / self.num_seen)
        self.change += memory * (abs(value - self.last) - self.change)
        self.reference = value if anew else self.reference + memory * (value - self.reference)
        self.smooth += _SMOOTH * (value - self.smooth)
        self.low, self.high, self.last = min(self.low, self.smooth), max(self.high, self.smooth), value

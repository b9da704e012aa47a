"""Every number of an observation that used to change still does."""

import math

import numpy as np

from heeler.oversight.betting import Floats
from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import LAGS, Seen

_REFERENCE_UPDATES = 4
_USUALLY_SAME, _STUCK = 0.5, 0.95


class StuckSensor(Monitor):
    """Counts the steps after which a number is exactly what it was, or what it was two steps before.

    Followed are numbers that were so after less than half of the steps in each of the first updates. Were such a number
    sound, n steps would all leave it as it is with probability 2⁻ⁿ at most; n must be large enough for N updates.
    """

    name = "stuck_sensor"
    about = "share of steps that leave a number of the observation exactly as it was"
    kept = ("usual_LO", "num_seen")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.usual_LO: Floats = np.zeros((len(LAGS), 0))
        """The largest share in the first updates."""
        self.num_seen = 0

    def look(self, seen: Seen) -> Finding | None:
        """Compare."""
        acted = seen.acted
        if acted is None or acted.num_compared == 0:
            return None
        self.num_seen += 1
        if self.num_seen <= _REFERENCE_UPDATES:
            self.usual_LO = acted.same_LO if self.num_seen == 1 else np.maximum(self.usual_LO, acted.same_LO)
            return None
        # Of steps that go together by twos and more, an eighth counts.
        looks = self.setup.num_updates * acted.same_LO.size
        if acted.num_compared / 8 < math.log2(looks / self.rate):
            return None
        stuck_LO = (acted.same_LO >= _STUCK) & (self.usual_LO < _USUALLY_SAME)
        if not stuck_LO.any():
            return None
        numbers: list[int] = np.flatnonzero(stuck_LO.any(0)).tolist()
        named = f"Number {numbers[0]}" if len(numbers) == 1 else f"Numbers {', '.join(map(str, numbers))}"
        return self.found(
            seen,
            f"{named} of the observation {'is' if len(numbers) == 1 else 'are'} stuck: unchanged after "
            f"{acted.same_LO[stuck_LO].max():.0%} of steps, where {self.usual_LO[stuck_LO].max():.0%} was usual",
            numbers=numbers,
        )

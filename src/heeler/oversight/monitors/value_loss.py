"""The value network does not lose what it knew."""

import math

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen
from heeler.oversight.monitors.spikes import Spike

_LEAST_TIMES, _LEAST_FALL = 8.0, 0.5
_LEAST_WITH_FALL = math.log(2.0)
_LEAST_SHARE = 0.25


class ValueLoss(Monitor):
    """Follows the value network's loss, and what it explains of the returns before it learns from them.

    Where all episodes end alike there is hardly anything to explain, and the share of it that is explained is noise. So
    a fall of that share is told only where the loss is twice what was to be expected as well. What was forgotten has to
    be learned again: neither is told where the loss is below a quarter of the highest before, as it is where one
    episode failed among many that all went well.
    """

    name = "value_loss"
    about = "metrics value_loss and explained_variance"
    kept = ("loss", "explained", "highest")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        half = self.rate / 2
        self.loss = Spike(half, setup.num_updates)
        self.explained = Spike(half, setup.num_updates, sided=-1, is_positive=False)
        self.highest = 0.0

    def look(self, seen: Seen) -> Finding | None:
        """Compare with their course."""
        loss, explained = seen.row.get("value_loss"), seen.row.get("explained_variance")
        leap = self.loss.add(loss, math.log(_LEAST_TIMES))
        fall = self.explained.add(explained, _LEAST_FALL)
        if loss is None or not math.isfinite(loss):
            return None
        before, self.highest = self.highest, max(self.highest, loss)
        if loss < _LEAST_SHARE * before:
            return None
        if leap:
            words = f"The value network's loss is {loss:.3g}, {math.exp(leap):.2g} times what was to be expected"
        elif fall and explained is not None and self.loss.jump.off >= _LEAST_WITH_FALL:
            words = (
                f"The value network explains {explained:.0%} of the returns, {-fall:.0%} less than was to be expected"
            )
        else:
            return None
        return self.found(seen, f"{words} from the updates before", value_loss=loss, explained_variance=explained)

"""No update changes the policy much more than those before."""

import math

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen
from heeler.oversight.monitors.spikes import Spike

_LEAST_TIMES, _LEAST_KL = 4.0, 0.05


class KlSpike(Monitor):
    """Follows the metric `kl`, of the policy before an update to the one after."""

    name = "kl_spike"
    about = "metric kl: how far an update moves the policy"
    kept = ("spike",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.spike = Spike(self.rate, setup.num_updates)

    def look(self, seen: Seen) -> Finding | None:
        """Compare with its course."""
        kl = seen.row.get("kl")
        leap = self.spike.add(kl, math.log(_LEAST_TIMES))
        if leap == 0 or kl is None or kl < _LEAST_KL:
            return None
        return self.found(
            seen,
            f"An update moved the policy by a KL of {kl:.3g}, {math.exp(leap):.2g} times what was to be expected from "
            "those before",
            kl=kl,
            times=math.exp(leap),
        )

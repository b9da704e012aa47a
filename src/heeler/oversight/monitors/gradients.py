"""Gradients do not explode."""

import math

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen
from heeler.oversight.monitors.spikes import Spike

_LEAST_TIMES = 5.0
_NAMES = ("gradient_norm", "grad_norm")


class Gradients(Monitor):
    """Follows the mean length of an update's gradients, before they are shortened.

    Gradients that are no finite numbers end a run by themselves; `breakdown` tells of that.
    """

    name = "gradients"
    about = "metric gradient_norm (grad_norm of language models), before clipping"
    kept = ("spike",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.spike = Spike(self.rate, setup.num_updates)

    def look(self, seen: Seen) -> Finding | None:
        """Compare with its course."""
        norm = next((seen.row[name] for name in _NAMES if name in seen.row), None)
        leap = self.spike.add(norm, math.log(_LEAST_TIMES))
        if leap == 0 or norm is None:
            return None
        return self.found(
            seen,
            f"Gradients are {norm:.3g} long, {math.exp(leap):.2g} times what was to be expected from those before",
            gradient_norm=norm,
            times=math.exp(leap),
        )

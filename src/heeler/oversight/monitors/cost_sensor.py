"""What measures a cost is not dead."""

import math

import numpy as np

from heeler.oversight.betting import Floats
from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen

_WINDOW = 6


class CostSensor(Monitor):
    """Finds a cost of which, from one update to the next, no step has any.

    Were the cost's share of steps the least that it was in the last updates, and every tenth step a new draw, none
    would cost anything with probability e^(−n p / 10). A policy that learns to keep a cost at nothing comes to it by
    degrees.
    """

    name = "cost_sensor"
    about = "share of steps that cost anything: from many to none at once"
    kept = ("past_WC", "num_seen")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.past_WC: Floats = np.zeros((_WINDOW, len(setup.cost_names)))
        self.num_seen = 0

    def look(self, seen: Seen) -> Finding | None:
        """Compare."""
        if seen.acted is None or not self.setup.cost_names:
            return None
        share_C, least_C = seen.acted.costly_C, self.past_WC.min(0)
        is_full, self.num_seen = self.num_seen >= _WINDOW, self.num_seen + 1
        self.past_WC = np.concatenate([self.past_WC[1:], share_C[None]])
        needed = math.log(self.setup.num_updates * len(share_C) / self.rate)
        dead_C = (share_C == 0) & (least_C * seen.acted.num_steps / 10 >= needed)
        if not is_full or not dead_C.any():
            return None
        place = int(dead_C.argmax())
        name = self.setup.cost_names[place]
        return self.found(
            seen,
            f"No step has any cost {name}, where {least_C[place]:.0%} or more had: what measures it may be dead",
            cost=name,
            share_before=float(least_C[place]),
        )

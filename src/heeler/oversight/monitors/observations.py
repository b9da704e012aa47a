"""Observations are like those of the updates before: what the policy is asked about is what it learned from."""

import math

import numpy as np

from heeler.oversight.betting import Floats
from heeler.oversight.finding import Finding
from heeler.oversight.monitors.jumps import Jumps
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen
from heeler.oversight.monitors.whitening import Recent, moments

_LEAST_DISTANCE, _LEAST_MEAN, _LEAST_SPREAD = math.log(2.0), 1.0, math.log(2.5)


class Observations(Monitor):
    """Compares each update's observations with the running mean and covariance of those before.

    Followed are the mean and the spread of each number and the mean Mahalanobis distance of all. Each is tested
    against its own course (`jumps`): a policy that learns moves on, by steps that it has made before.
    """

    name = "observations"
    about = "Mahalanobis distance of observations to those lately seen; mean and spread of each number"
    kept = ("recent", "jumps")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.recent = Recent()
        self.jumps = Jumps(1, self.rate, setup.num_updates)

    def look(self, seen: Seen) -> Finding | None:
        """Measure, judge, take in."""
        if seen.acted is None or len(seen.acted.observation_KO) < 32:
            return None
        value_KP = self.recent.of(seen.acted.observation_KO)
        if not value_KP.size:
            return None
        batch, number = moments(value_KP), value_KP.shape[1]
        if self.recent.num_batches == 0:
            self.jumps = Jumps(1 + 2 * number, self.rate, self.setup.num_updates)
            self.recent.add(batch)
            return None
        distance, figure_S, least_S = self.recent.distance(batch), np.empty(1 + 2 * number), np.empty(1 + 2 * number)
        figure_S[0], least_S[0] = math.log(max(distance, 1e-9)), _LEAST_DISTANCE
        figure_S[1 : 1 + number], least_S[1 : 1 + number] = batch.mean_P, _LEAST_MEAN * self.recent.spread_P
        figure_S[1 + number :] = np.log(batch.spread_P + 1e-3 * self.recent.spread_P)
        least_S[1 + number :] = _LEAST_SPREAD
        jump_S = self.jumps.look(figure_S, least_S)
        # Observations that are nearer to those before than usual are no news.
        jump_S[0] = max(jump_S[0], 0.0)
        finding = self._tell(seen, jump_S, distance) if jump_S.any() else None
        self.recent.add(batch)
        return finding

    def _tell(self, seen: Seen, jump_S: Floats, distance: float) -> Finding:
        number = len(self.recent.columns)
        places = (np.flatnonzero(jump_S[1:]) % number).tolist() if jump_S[1:].any() else []
        numbers = sorted({int(self.recent.columns[place]) for place in places})
        which = f"numbers {', '.join(map(str, numbers))}" if numbers else "all together"
        return self.found(
            seen,
            f"Observations are unlike those of the updates before ({which}; mean squared distance {distance:.3g}, "
            "where 1 is usual)",
            distance=distance,
            numbers=numbers,
        )

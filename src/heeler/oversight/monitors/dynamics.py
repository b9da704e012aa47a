"""The world answers actions as it did: a sensor, an actuator or the physics has not changed under the learner."""

import numpy as np

from heeler.oversight.betting import Floats
from heeler.oversight.finding import Finding
from heeler.oversight.monitors.jumps import Jumps
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.regression import Forgetting, features
from heeler.oversight.monitors.seen import Seen
from heeler.oversight.monitors.whitening import Recent, moments

# A policy that learns comes to states where a line fits less well; but not so much worse from one update to the next.
_LEAST_ALL, _LEAST_ONE = np.log(1.6), np.log(2.5)


class Dynamics(Monitor):
    """Foretells each next observation from what was seen and done, and looks whether it errs more than it did.

    The foretelling is linear and forgets, so that it goes along with learning. What is tested is its error on steps it
    has not learned from, before each update's is learned: by number, and over all.
    """

    name = "dynamics"
    about = "error of foretelling the next observation from the last and the action"
    kept = ("first", "regression", "jumps")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.first = Recent()
        """The first batch: what features are centred and scaled by."""
        self.regression = Forgetting()
        self.jumps = Jumps(1, self.rate, setup.num_updates, sided=1)

    def look(self, seen: Seen) -> Finding | None:
        """Foretell, judge, learn."""
        acted = seen.acted
        if acted is None or len(acted.observation_KO) < 32:
            return None
        observation_KP = self.first.of(acted.observation_KO)
        next_KP = acted.next_KO[:, self.first.columns]
        if not observation_KP.size:
            return None
        if self.first.num_batches == 0:
            self.first.add(moments(observation_KP))
            self.jumps = Jumps(1 + observation_KP.shape[1], self.rate, self.setup.num_updates, sided=1)
        scaled_KP = (observation_KP - self.first.mean_P) / self.first.spread_P
        target_KP = (next_KP - observation_KP) / self.first.spread_P
        foretold_KP = self.regression.add(features(scaled_KP, acted.executed_KA), target_KP)
        if foretold_KP is None:
            return None
        error_P = self.regression.log_error(foretold_KP, target_KP)
        error_S, least_S = np.empty(len(error_P) + 1), np.full(len(error_P) + 1, _LEAST_ONE)
        error_S[0], error_S[1:], least_S[0] = error_P.sum() / len(error_P), error_P, _LEAST_ALL
        return self._judge(seen, self.jumps.look(error_S, least_S))

    def _judge(self, seen: Seen, jump_S: Floats) -> Finding | None:
        if not jump_S.any():
            return None
        worst = int(jump_S.argmax())
        what = "the next observation" if worst == 0 else f"number {int(self.first.columns[worst - 1])} of it"
        return self.found(
            seen,
            f"The world answers differently: {what} is foretold {np.exp(jump_S[worst]):.2g} times worse than was to be "
            "expected from the updates before. A sensor, an actuator or the physics may have changed",
            times_worse=np.exp(jump_S[worst]),
            numbers=[int(self.first.columns[place - 1]) for place in np.flatnonzero(jump_S) if place > 0],
        )

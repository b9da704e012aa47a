"""A linear regression that forgets, and how far it was off on each batch before it learned from it.

Shapes: K steps, F features, Y targets.
"""

import numpy as np

from heeler.oversight.betting import Floats
from heeler.oversight.monitors.kept import Kept
from heeler.oversight.monitors.whitening import column_means

_LEAST_BATCHES = 3
_RIDGE = 1e-3


class Forgetting(Kept):
    """Least squares with the weight of a batch falling by a constant share with each one after it.

    Args:
        decay: what is left of a batch's weight at the next.
    """

    kept = ("gram_FF", "cross_FY", "spread_Y", "num_batches")

    def __init__(self, decay: float = 0.8) -> None:
        self.decay = decay
        self.gram_FF: Floats = np.zeros((0, 0))
        self.cross_FY: Floats = np.zeros((0, 0))
        self.spread_Y: Floats = np.zeros(0)
        """Root of the mean square of each target, in the first batches."""
        self.num_batches = 0

    def add(self, feature_KF: Floats, target_KY: Floats) -> Floats | None:
        """Take in a batch; returns [K, Y] what was foretold of it, None in the first few."""
        foretold_KY = feature_KF @ self._solved() if self.num_batches >= _LEAST_BATCHES else None
        gram_FF, cross_FY = feature_KF.T @ feature_KF / len(feature_KF), feature_KF.T @ target_KY / len(feature_KF)
        if self.num_batches == 0:
            self.gram_FF, self.cross_FY = gram_FF, cross_FY
        else:
            self.gram_FF = self.decay * self.gram_FF + gram_FF
            self.cross_FY = self.decay * self.cross_FY + cross_FY
        if self.num_batches < _LEAST_BATCHES:
            spread_Y = np.sqrt(column_means(np.square(target_KY)))
            self.spread_Y = spread_Y if self.num_batches == 0 else np.maximum(self.spread_Y, spread_Y)
        self.num_batches += 1
        return foretold_KY

    def _solved(self) -> Floats:
        ridged_FF = self.gram_FF.copy()
        ridged_FF.flat[:: len(ridged_FF) + 1] += _RIDGE * float(self.gram_FF.trace()) / len(ridged_FF)
        return np.linalg.solve(ridged_FF, self.cross_FY).astype(np.float64, copy=False)

    def log_error(self, foretold_KY: Floats, target_KY: Floats) -> Floats:
        """[Y]: mean logarithm of how far off it was, in spreads of the target; a hundredth of one counts as none.

        Of logarithms, so that a few steps that nobody could foretell do not make a batch another.
        """
        off_KY = (foretold_KY - target_KY) / (self.spread_Y + 1e-12)
        return 0.5 * column_means(np.log(off_KY * off_KY + 1e-4))


def features(scaled_KP: Floats, executed_KA: Floats, *others_KP: Floats) -> Floats:
    """[K, F]: 1, observations with their squares, actions, and what else there is; all cut at 10 spreads."""
    seen_KP, acted_KA, *more_KP = map(_cut, (scaled_KP, executed_KA[:, :MAX_ACTIONS], *others_KP))
    return np.concatenate([np.ones((len(seen_KP), 1)), seen_KP, 0.1 * seen_KP * seen_KP, acted_KA, *more_KP], 1)


def _cut(value_KP: Floats) -> Floats:
    return np.minimum(np.maximum(value_KP, -10.0), 10.0)


MAX_ACTIONS = 8
"""Action numbers that are looked at."""

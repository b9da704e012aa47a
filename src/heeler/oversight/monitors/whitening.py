"""What observations have been like lately: columns that are followed, and their running mean and covariance.

Shapes: K steps, O observation numbers, P of them that are followed.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heeler.oversight.betting import Floats
from heeler.oversight.monitors.kept import Kept

MAX_NUMBERS = 24
"""P at most: watching must stay cheap however wide a world is."""


class Recent(Kept):
    """Exponentially weighted mean and covariance of the numbers that varied most in the first batch.

    Args:
        weight: of each new batch.
    """

    kept = ("columns", "mean_P", "covariance_PP", "num_batches")

    def __init__(self, weight: float = 0.2) -> None:
        self.weight = weight
        self.columns: NDArray[np.int64] = np.zeros(0, np.int64)
        self.mean_P: Floats = np.zeros(0)
        self.covariance_PP: Floats = np.zeros((0, 0))
        self.num_batches = 0
        self._spread_P: Floats | None = None

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Go on from what `state_dict` returned."""
        self._spread_P = None
        return super().load_state_dict(state)

    def of(self, value_KO: Floats) -> Floats:
        """[K, P]: the numbers that are followed."""
        if self.num_batches == 0 and not len(self.columns):
            spread_O = value_KO.std(0)
            varied = np.argsort(-spread_O, kind="stable")[:MAX_NUMBERS]
            self.columns = np.sort(varied[spread_O[varied] > 0])
        return value_KO[:, self.columns]

    @property
    def spread_P(self) -> Floats:
        """Standard deviations; never 0."""
        if self._spread_P is None:
            self._spread_P = np.sqrt(np.diag(self.covariance_PP)) + 1e-8
        return self._spread_P

    def distance(self, value_KP: Floats) -> float:
        """Mean squared Mahalanobis distance of a batch, over P: about 1 for one like those before."""
        if not len(self.mean_P):
            return float("nan")
        scale_PP = np.outer(self.spread_P, self.spread_P)
        correlation_PP = self.covariance_PP / scale_PP
        correlation_PP.flat[:: len(correlation_PP) + 1] += 1e-3
        # The mean of x' C^-1 x is the trace of C^-1 times the mean of x x': one small system instead of one a step.
        off_KP = value_KP - self.mean_P
        moment_PP = off_KP.T @ off_KP / len(off_KP) / scale_PP
        return float(np.trace(np.linalg.solve(correlation_PP, moment_PP)) / len(self.mean_P))

    def add(self, value_KP: Floats) -> None:
        """Take in a batch."""
        mean_P = value_KP.mean(0)
        centred_KP = value_KP - mean_P
        covariance_PP = centred_KP.T @ centred_KP / len(value_KP)
        # The first batches count alike, so that the first does not linger.
        weight = max(self.weight, 1 / (self.num_batches + 1))
        if self.num_batches == 0:
            self.mean_P, self.covariance_PP = mean_P, covariance_PP
        else:
            moved_P = mean_P - self.mean_P
            self.covariance_PP = (1 - weight) * (
                self.covariance_PP + weight * np.outer(moved_P, moved_P)
            ) + weight * covariance_PP
            self.mean_P = self.mean_P + weight * moved_P
        self.num_batches += 1
        self._spread_P = None

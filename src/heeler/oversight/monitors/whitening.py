"""What observations have been like lately: columns that are followed, and their running mean and covariance.

Shapes: K steps, O observation numbers, P of them that are followed.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from heeler.oversight.betting import Floats
from heeler.oversight.monitors.kept import Kept

MAX_NUMBERS = 24
"""P at most: watching must stay cheap however wide a world is."""


@cache
def _shares(number: int) -> Floats:
    return np.full(number, 1 / number)


def column_means(value_KP: Floats) -> Floats:
    """[P]: `value_KP.mean(0)`, as a product, which takes a fraction of the time where rows are short."""
    return _shares(len(value_KP)) @ value_KP


class Batch(NamedTuple):
    """A batch's own moments."""

    mean_P: Floats
    covariance_PP: Floats

    @property
    def spread_P(self) -> Floats:
        """Standard deviations."""
        return np.sqrt(self.covariance_PP.diagonal())


def moments(value_KP: Floats) -> Batch:
    """Mean and covariance of a batch."""
    mean_P = column_means(value_KP)
    centred_KP = value_KP - mean_P
    return Batch(mean_P, centred_KP.T @ centred_KP / len(value_KP))


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
        return value_KO if len(self.columns) == value_KO.shape[1] else value_KO[:, self.columns]

    @property
    def spread_P(self) -> Floats:
        """Standard deviations; never 0."""
        if self._spread_P is None:
            self._spread_P = np.sqrt(self.covariance_PP.diagonal()) + 1e-8
        return self._spread_P

    def distance(self, batch: Batch) -> float:
        """Mean squared Mahalanobis distance of a batch, over P: about 1 for one like those before."""
        if not len(self.mean_P):
            return float("nan")
        scale_PP = np.multiply.outer(self.spread_P, self.spread_P)
        correlation_PP = self.covariance_PP / scale_PP
        correlation_PP.flat[:: len(correlation_PP) + 1] += 1e-3
        # The mean of x' C^-1 x is the sum of C^-1 times the mean of x x': one small matrix instead of a system a step.
        off_P = batch.mean_P - self.mean_P
        moment_PP = (batch.covariance_PP + np.multiply.outer(off_P, off_P)) / scale_PP
        return float(np.vdot(np.linalg.inv(correlation_PP), moment_PP)) / len(off_P)

    def add(self, batch: Batch) -> None:
        """Take in a batch."""
        # The first batches count alike, so that the first does not linger.
        weight = max(self.weight, 1 / (self.num_batches + 1))
        if self.num_batches == 0:
            self.mean_P, self.covariance_PP = batch
        else:
            moved_P = batch.mean_P - self.mean_P
            kept_PP = self.covariance_PP + weight * np.multiply.outer(moved_P, moved_P)
            self.covariance_PP = (1 - weight) * kept_PP + weight * batch.covariance_PP
            self.mean_P = self.mean_P + weight * moved_P
        self.num_batches += 1
        self._spread_P = None

"""How far what a policy meets lies from what people saw, and what a learned reward is worth there.

A step's distance is that to the nearest step of half of what people saw, numbers whitened. The other half of what they
saw, cut from other trajectories, tells which distances are usual: a step beyond 99 % of those is beyond what people
saw, as 1 % of steps would be where nothing is unlike.

Shapes: B steps, F numbers of a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import DataError
from heeler.evaluation.honesty.resampling import (
    Estimate,
    cluster_sums,
    correlation_of,
    correlation_sums,
    mean_of,
    resampled,
)

QUANTILES = (0.5, 0.9, 0.99)
_MAX_STEPS, _BLOCK = 4000, 500
_RIDGE = 1e-3


@dataclass(frozen=True, kw_only=True)
class DistanceBin:
    """Steps about equally far from what people saw."""

    name: str
    share: float
    """Of all steps."""
    disagreement: Estimate | None
    """Spread of the reward's members."""
    correlation: Estimate | None
    """Of learned and true reward of a step; None where no true reward is known, or one does not vary."""
    true_reward: Estimate | None
    """Of a step."""


class Seen:
    """What people saw.

    Args:
        feature_BF: of each step that they saw.
        cluster_B: the trajectory that each is cut from.
        seed: of the halves.

    Raises:
        DataError: there are fewer than four trajectories, so that no half can be compared with the other.
    """

    def __init__(self, feature_BF: np.ndarray, cluster_B: Sequence[object] | np.ndarray, *, seed: int) -> None:
        _, of_B = np.unique(np.asarray([str(name) for name in cluster_B]), return_inverse=True)
        num = int(of_B.max()) + 1 if len(of_B) else 0
        if num < 4:
            raise DataError(
                f"what people saw comes from {num} trajectories; at least 4 are needed to say what is unlike"
            )
        rng = np.random.default_rng(seed)
        half_B = rng.permutation(np.arange(num) % 2)[of_B]
        self._mean_F = feature_BF.mean(0)
        self._whiten_FF = _whitening(feature_BF - self._mean_F)
        known = feature_BF[half_B == 0]
        self._known = self._white(known[rng.permutation(len(known))[:_MAX_STEPS]])
        other = feature_BF[half_B == 1]
        usual = self.distance(other[rng.permutation(len(other))[:_MAX_STEPS]])
        self.edges = tuple(float(edge) for edge in np.quantile(usual, QUANTILES))
        """Distances below which 50, 90 and 99 % of what people saw lies."""

    def _white(self, feature_BF: np.ndarray) -> np.ndarray:
        return (feature_BF - self._mean_F) @ self._whiten_FF

    def distance(self, feature_BF: np.ndarray) -> np.ndarray:
        """[B]: to the nearest step that is known, over √F."""
        found = [self._nearest(part) for part in np.array_split(feature_BF, max(1, len(feature_BF) // _BLOCK))]
        return np.concatenate(found)

    def _nearest(self, feature_BF: np.ndarray) -> np.ndarray:
        x, y = self._white(feature_BF), self._known
        squared = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
        return np.sqrt(np.maximum(squared.min(1), 0.0) / feature_BF.shape[1])


def _whitening(centred_BF: np.ndarray) -> np.ndarray:
    """[F, F]: takes spread and correlation out; a number that never varies counts nothing until it does."""
    spread_F = np.maximum(centred_BF.std(0), 1e-3)
    correlation = (centred_BF / spread_F).T @ (centred_BF / spread_F) / len(centred_BF)
    values, vectors = np.linalg.eigh(correlation + _RIDGE * np.eye(len(spread_F)))
    return (vectors / np.sqrt(np.maximum(values, _RIDGE))) / spread_F[:, None]


def bins(
    distance_B: np.ndarray,
    edges: Sequence[float],
    *,
    cluster_B: np.ndarray,
    disagreement_B: np.ndarray | None,
    learned_B: np.ndarray,
    true_B: np.ndarray | None,
    seed: int,
) -> tuple[DistanceBin, ...]:
    """What the reward is worth, by distance; bins without a step are left out.

    Args:
        distance_B: of each step.
        edges: of `Seen`.
        cluster_B: the environment that each step is of.
        disagreement_B: spread of the members; None of one alone.
        learned_B: the learned reward.
        true_B: the true reward; None where it is not known.
        seed: of the intervals.
    """
    names = ("nearer than half of what was seen", "up to 90 %", "up to 99 %", "beyond 99 %")
    place_B = np.searchsorted(np.asarray(edges), distance_B, side="right")
    found: list[DistanceBin] = []
    for place, name in enumerate(names):
        rows = place_B == place
        if not rows.any():
            continue
        cluster = cluster_B[rows]
        correlation = None
        if true_B is not None:
            sums = cluster_sums(correlation_sums(learned_B[rows], true_B[rows]), cluster)
            correlation = resampled(correlation_of, sums, seed=seed)
        found.append(
            DistanceBin(
                name=name,
                share=float(rows.mean()),
                disagreement=None if disagreement_B is None else mean_of(disagreement_B[rows], cluster, seed=seed),
                correlation=correlation,
                true_reward=None if true_B is None else mean_of(true_B[rows], cluster, seed=seed),
            )
        )
    return tuple(found)


def beyond(distance_B: np.ndarray, edge: float, cluster_B: np.ndarray, *, seed: int) -> Estimate | None:
    """Share of steps beyond an edge, with its interval."""
    return mean_of((distance_B > edge).astype(float), cluster_B, seed=seed)

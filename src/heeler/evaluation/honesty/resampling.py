"""Figures with intervals from whole clusters drawn anew. Shapes: N rows, C clusters, R resamples, S sums."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

NUM_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def cluster_sums(sum_NS: np.ndarray, cluster_N: Sequence[object] | np.ndarray) -> np.ndarray:
    """[C, S]: sums over the rows of each cluster."""
    _, of_N = np.unique(np.asarray([str(name) for name in cluster_N]), return_inverse=True)
    sum_CS = np.zeros((int(of_N.max()) + 1, sum_NS.shape[1]))
    np.add.at(sum_CS, of_N, sum_NS)
    return sum_CS


def resampled(
    statistic: Callable[[np.ndarray], np.ndarray], sum_CS: np.ndarray, *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> Estimate | None:
    """A figure that follows from sums over rows, with its percentile bootstrap interval.

    Rows of one cluster (a trajectory, an environment) are alike, so that clusters are drawn, not rows (Davison and
    Hinkley 1997, section 3.8).

    Args:
        statistic: from sums [..., S] to the figure [...].
        sum_CS: sums over each cluster.
        seed: of the resampling.
        num_resamples: R.

    Returns:
        None where there are fewer than two clusters, or the figure cannot be computed.
    """
    C = len(sum_CS)
    if C < 2:
        return None
    rng = np.random.default_rng(seed)
    count_RC = rng.multinomial(C, np.full(C, 1 / C), size=num_resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(sum_CS.sum(0)))
        value_R = statistic(count_RC @ sum_CS)
    known_R = value_R[np.isfinite(value_R)]
    # A figure that most resamples do not know has no interval, and so says nothing.
    if not np.isfinite(value) or len(known_R) < 0.9 * num_resamples:
        return None
    low, high = np.quantile(known_R, [0.025, 0.975])
    return Estimate(value=value, low=float(low), high=float(high))


def mean_of(value_N: np.ndarray, cluster_N: Sequence[object] | np.ndarray, *, seed: int) -> Estimate | None:
    """The mean of some rows with its interval; as of `resampled`.

    >>> mean_of(np.array([1.0, 1.0, 1.0]), ["a", "b", "c"], seed=0)
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    if len(value_N) == 0:
        return None
    sums = cluster_sums(np.column_stack([value_N, np.ones(len(value_N))]), cluster_N)
    return resampled(lambda s: s[..., 0] / s[..., 1], sums, seed=seed)


def correlation_sums(x_N: np.ndarray, y_N: np.ndarray) -> np.ndarray:
    """[N, 6]: what `correlation_of` needs of each row."""
    x_N, y_N = x_N - x_N.mean(), y_N - y_N.mean()
    return np.column_stack([np.ones(len(x_N)), x_N, y_N, x_N * x_N, y_N * y_N, x_N * y_N])


def correlation_of(sums: np.ndarray) -> np.ndarray:
    """[...]: Pearson's correlation from sums [..., 6]; not a number where one does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    var_x, var_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    varies = (var_x > 1e-12 * np.maximum(1e-12, xx / n)) & (var_y > 1e-12 * np.maximum(1e-12, yy / n))
    return np.where(varies, (xy / n - x * y / n**2) / np.sqrt(np.where(varies, var_x * var_y, 1.0)), np.nan)


def ranks(value_N: np.ndarray) -> np.ndarray:
    """[N]: ranks from 1, equal values sharing their mean rank.

    >>> ranks(np.array([3.0, 1.0, 3.0]))
    array([2.5, 1. , 2.5])
    """
    _, of_N, count = np.unique(value_N, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[of_N]

"""Linear rewards of sparse rows, fitted to comparisons to the end: a convex problem, solved by Newton's method.

Shapes: Q comparisons, B buckets, X numbers of all rows one after the other, M columns that are fitted side by side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding_bag, softplus

from heeler.models.ngrams import SparseRows

_MAX_NEWTON, _MAX_CONJUGATE = 30, 60


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Rows of the chosen texts less those of the rejected ones, as a matrix D [Q, B] that is never written out."""

    bucket_X: Tensor
    value_X: Tensor
    start_Q: Tensor
    by_bucket_X: Tensor
    """Row of each number when they are sorted by their buckets, for products with the transpose."""
    sorted_value_X: Tensor
    start_B: Tensor
    column_B: Tensor
    """Bucket of each column: those that no text has are left out."""

    def times(self, weight_BM: Float[Tensor, "B M"]) -> Float[Tensor, "Q M"]:
        """D w."""
        return bags(self.bucket_X, weight_BM, self.start_Q, self.value_X)

    def transposed_times(self, value_QM: Float[Tensor, "Q M"]) -> Float[Tensor, "B M"]:
        """Dᵀ v."""
        return bags(self.by_bucket_X, value_QM, self.start_B, self.sorted_value_X)

    @property
    def mean_square(self) -> float:
        """Mean squared length of a row."""
        return float((self.value_X.double() ** 2).sum()) / max(1, len(self.start_Q))


def bags(index_X: Tensor, table: Tensor, start: Tensor, value_X: Tensor) -> Tensor:
    """Weighted sums of a table's rows.

    Args:
        index_X: int64, which row.
        table: [rows, M].
        start: int64, where each sum begins in `index_X`.
        value_X: weight of each.
    """
    return embedding_bag(index_X, table, start, mode="sum", per_sample_weights=value_X)


def differences(chosen: SparseRows, rejected: SparseRows) -> Differences:
    """Chosen less rejected; what both have alike falls out.

    Args:
        chosen: Q rows.
        rejected: Q rows.
    """
    row_X = np.concatenate([chosen.row_X, rejected.row_X])
    bucket_X = np.concatenate([chosen.bucket_X, rejected.bucket_X])
    value_X = np.concatenate([chosen.value_X, -rejected.value_X])
    column_B, place_X = np.unique(bucket_X, return_inverse=True)
    key_X, merged_X = np.unique(row_X * np.int64(len(column_B)) + place_X, return_inverse=True)
    value_X = np.bincount(merged_X, weights=value_X, minlength=len(key_X)).astype(np.float32)
    key_X, value_X = key_X[value_X != 0], value_X[value_X != 0]
    row_X, place_X = np.divmod(key_X, max(1, len(column_B)))
    order = np.argsort(place_X, kind="stable")
    return Differences(
        bucket_X=torch.from_numpy(place_X),
        value_X=torch.from_numpy(value_X),
        start_Q=torch.from_numpy(np.searchsorted(row_X, np.arange(len(chosen)))),
        by_bucket_X=torch.from_numpy(row_X[order]),
        sorted_value_X=torch.from_numpy(value_X[order]),
        start_B=torch.from_numpy(np.searchsorted(place_X[order], np.arange(len(column_B)))),
        column_B=torch.from_numpy(column_B),
    )


def contributions(rows: SparseRows, weight_B: Float[Tensor, " B"]) -> np.ndarray:
    """[X] what each number of each row adds to the row's reward: exact, since the reward is their sum.

    Args:
        rows: N texts.
        weight_B: of every bucket.

    >>> rows = SparseRows(bucket_X=np.array([2, 0]), value_X=np.array([3.0, 1.0], np.float32), start_N=np.array([0, 1]))
    >>> contributions(rows, torch.tensor([5.0, 0.0, -2.0])).tolist()
    [-6.0, 5.0]
    """
    return weight_B.detach().cpu().numpy()[rows.bucket_X] * rows.value_X


def fit_ridge(
    data: Differences,
    *,
    target_Q: Float[Tensor, " Q"],
    weight_QM: Float[Tensor, "Q M"],
    ridge_M: Float[Tensor, " M"],
    margin_Q: Float[Tensor, " Q"] | None = None,
    tolerance: float = 1e-4,
) -> Float[Tensor, "B M"]:
    r"""Bradley–Terry rewards with a ridge penalty, one column for each set of weights.

    $$\min_w \sum_q c_q \left[\log(1 + e^{d_q}) - t_q d_q\right] + \frac{\lambda}{2} |w|^2,\qquad d = D w - m$$

    Newton's method, each step by conjugate gradients and halved until it gains.

    Args:
        data: D.
        target_Q: t, the probability that the chosen one is the better: 1, less where answers are doubted, 0.5 for
            equals.
        weight_QM: c, at least 0; 0 leaves a comparison out.
        ridge_M: λ, above 0.
        margin_Q: m, by how much the chosen one should lead; None for 0.
        tolerance: of the gradient's length, as a share of what it is at the beginning.

    Returns:
        The minimum, of the columns that `data` has.
    """
    weight_BM = torch.zeros(len(data.start_B), weight_QM.shape[1])
    target_Q1 = target_Q[:, None]
    lead_QM = torch.zeros_like(weight_QM) if margin_Q is None else -margin_Q[:, None].expand_as(weight_QM)
    first_M: Tensor | None = None
    for _ in range(_MAX_NEWTON):
        probability_QM = torch.sigmoid(lead_QM)
        gradient_BM = data.transposed_times(weight_QM * (probability_QM - target_Q1)) + ridge_M * weight_BM
        length_M = gradient_BM.norm(dim=0)
        first_M = length_M if first_M is None else first_M
        if bool((length_M <= tolerance * first_M).all()):
            break
        curvature_QM = weight_QM * probability_QM * (1 - probability_QM)
        step_BM = _conjugate_gradients(data, curvature_QM, ridge_M, gradient_BM)
        step_QM = data.times(step_BM)

        value = partial(
            _value,
            weight_QM=weight_QM,
            target_Q1=target_Q1,
            ridge_M=ridge_M,
            at=(weight_BM, lead_QM),
            step=(step_BM, step_QM),
        )
        size_M = _halved(value, torch.ones_like(ridge_M))
        weight_BM = weight_BM - size_M * step_BM
        lead_QM = lead_QM - size_M * step_QM
    return weight_BM


def _value(
    size_M: Tensor,
    *,
    weight_QM: Tensor,
    target_Q1: Tensor,
    ridge_M: Tensor,
    at: tuple[Tensor, Tensor],
    step: tuple[Tensor, Tensor],
) -> Tensor:
    """What is to be minimised, a step of this size back from `at`; both are (weights [B, M], leads [Q, M])."""
    lead_QM = at[1] - size_M * step[1]
    losses_QM = weight_QM * (softplus(lead_QM) - target_Q1 * lead_QM)
    return losses_QM.sum(0) + ridge_M / 2 * (at[0] - size_M * step[0]).square().sum(0)


def _halved(value: Callable[[Tensor], Tensor], size_M: Tensor) -> Tensor:
    """The largest of 1, 1/2, 1/4 ... for each column with which it does not lose; 0 where none does."""
    before_M = value(torch.zeros_like(size_M))
    for _ in range(20):
        loses_M = value(size_M) > before_M
        if not bool(loses_M.any()):
            return size_M
        size_M = torch.where(loses_M, size_M / 2, size_M)
    return torch.where(value(size_M) > before_M, torch.zeros_like(size_M), size_M)


def _conjugate_gradients(
    data: Differences, curvature_QM: Tensor, ridge_M: Tensor, gradient_BM: Tensor, *, tolerance: float = 0.05
) -> Tensor:
    """(Dᵀ C D + λ) s = g, each column by itself."""
    step_BM = torch.zeros_like(gradient_BM)
    rest_BM, way_BM = gradient_BM.clone(), gradient_BM.clone()
    square_M = rest_BM.square().sum(0)
    enough_M = square_M * tolerance**2
    for _ in range(_MAX_CONJUGATE):
        if bool((square_M <= enough_M).all()):
            break
        image_BM = data.transposed_times(curvature_QM * data.times(way_BM)) + ridge_M * way_BM
        size_M = square_M / (way_BM * image_BM).sum(0).clamp_min(1e-30)
        step_BM += size_M * way_BM
        rest_BM -= size_M * image_BM
        new_M = rest_BM.square().sum(0)
        way_BM = rest_BM + new_M / square_M.clamp_min(1e-30) * way_BM
        square_M = new_M
    return step_BM

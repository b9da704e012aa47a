"""The convex part, against dense matrices and gradient descent."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from heeler.models.ngrams import NgramConfig, Ngrams, SparseRows
from heeler.rewards.linear_preferences import Differences, bags, contributions, differences, fit_ridge

torch.set_num_threads(1)


def rows(matrix: np.ndarray) -> SparseRows:
    row, bucket = np.nonzero(matrix)
    return SparseRows(
        bucket_X=bucket.astype(np.int64),
        value_X=matrix[row, bucket].astype(np.float32),
        start_N=np.searchsorted(row, np.arange(len(matrix))),
    )


def sparse(seed: int, num: int = 12, buckets: int = 9) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(num, buckets)) * (random.random((num, buckets)) < 0.4)


def example(seed: int = 0) -> tuple[Differences, Tensor]:
    chosen, rejected = sparse(seed), sparse(seed + 1)
    chosen[3] = rejected[3] = 0
    data = differences(rows(chosen), rows(rejected))
    return data, torch.from_numpy(chosen - rejected).float()[:, data.column_B]


def test_products_are_those_of_the_dense_matrix() -> None:
    data, dense_QB = example()
    weight_BM = torch.randn(dense_QB.shape[1], 3)
    value_QM = torch.randn(len(dense_QB), 3)
    torch.testing.assert_close(data.times(weight_BM), dense_QB @ weight_BM)
    torch.testing.assert_close(data.transposed_times(value_QM), dense_QB.T @ value_QM)
    assert data.mean_square == pytest.approx(float(dense_QB.square().sum(1).mean()), rel=1e-6)


def test_what_both_texts_have_falls_out() -> None:
    ngrams = Ngrams(NgramConfig())
    same = ngrams.rows(["the very same text"])
    assert len(differences(same, same).value_X) == 0


@pytest.mark.parametrize("with_margin", [False, True])
def test_the_minimum_is_that_of_plain_gradient_descent(with_margin: bool) -> None:
    data, dense_QB = example(4)
    target_Q = torch.tensor([1.0, 0.9, 0.5, 1.0, 1.0, 1.0, 0.5, 1.0, 0.9, 1.0, 1.0, 1.0])
    weight_QM = torch.tensor([[1.0, 2.0]] * 11 + [[0.0, 1.0]])
    ridge_M = torch.tensor([0.3, 2.0])
    margin_Q = torch.linspace(0, 1, 12) if with_margin else torch.zeros(12)
    found_BM = fit_ridge(
        data,
        target_Q=target_Q,
        weight_QM=weight_QM,
        ridge_M=ridge_M,
        margin_Q=margin_Q if with_margin else None,
        tolerance=1e-6,
    )
    descended_BM = torch.zeros_like(found_BM)
    for _ in range(4000):
        lead_QM = dense_QB @ descended_BM - margin_Q[:, None]
        slope_QM = weight_QM * (torch.sigmoid(lead_QM) - target_Q[:, None])
        descended_BM -= 0.05 * (dense_QB.T @ slope_QM + ridge_M * descended_BM)
    torch.testing.assert_close(found_BM, descended_BM, atol=2e-3, rtol=2e-3)


def test_newtons_steps_never_lose_even_from_far_apart() -> None:
    # Rows as long as these send a full Newton step far beyond the minimum.
    data, dense_QB = example(7)
    long = Differences(**{**vars(data), "value_X": data.value_X * 200, "sorted_value_X": data.sorted_value_X * 200})
    target_Q, weight_QM, ridge_M = torch.ones(12), torch.ones(12, 1), torch.tensor([1e-3])
    found_BM = fit_ridge(long, target_Q=target_Q, weight_QM=weight_QM, ridge_M=ridge_M)
    lead_QM = 200 * dense_QB @ found_BM
    value = float((softplus(lead_QM) - lead_QM).sum() + 5e-4 * found_BM.square().sum())
    assert np.isfinite(value)
    assert value < 12 * np.log(2) / 2


def test_columns_do_not_touch_each_other() -> None:
    data, _ = example(2)
    both = {"target_Q": torch.ones(12), "weight_QM": torch.ones(12, 2), "ridge_M": torch.tensor([0.5, 50.0])}
    together = fit_ridge(data, **both)
    alone = fit_ridge(data, target_Q=torch.ones(12), weight_QM=torch.ones(12, 1), ridge_M=torch.tensor([0.5]))
    torch.testing.assert_close(together[:, :1], alone, atol=1e-3, rtol=1e-3)
    assert together[:, 1].norm() < together[:, 0].norm()


def test_contributions_sum_to_the_reward() -> None:
    counted = Ngrams(NgramConfig(log2_buckets=8)).rows(
        ["the pole falls", "the cart waits, and the pole stands", "pole"]
    )
    weight = torch.randn(NgramConfig(log2_buckets=8).num_buckets, 1, generator=torch.Generator().manual_seed(0))
    reward = bags(
        torch.from_numpy(counted.bucket_X), weight, torch.from_numpy(counted.start_N), torch.from_numpy(counted.value_X)
    )
    own = contributions(counted, weight[:, 0])
    summed = np.bincount(counted.row_X, weights=own, minlength=len(counted))
    np.testing.assert_allclose(summed, reward[:, 0].numpy(), rtol=1e-4, atol=1e-6)
    # What no text has has no part in it.
    assert len(own) == len(counted.bucket_X)

"""Intervals from whole clusters, held against loops and known coverage."""

import numpy as np
import pytest

from heeler.evaluation.honesty.resampling import (
    cluster_sums,
    correlation_of,
    correlation_sums,
    mean_of,
    ranks,
    resampled,
)


def test_sums_are_those_of_a_loop():
    values, clusters = np.arange(12.0).reshape(6, 2), ["b", "a", "b", "c", "a", "b"]
    expected = [sum((values[i] for i in range(6) if clusters[i] == name), np.zeros(2)) for name in "abc"]
    np.testing.assert_array_equal(cluster_sums(values, clusters), expected)


def test_a_mean_with_its_interval_is_that_of_a_naive_bootstrap():
    rng = np.random.default_rng(0)
    value, cluster = rng.normal(size=60), np.repeat(np.arange(12), 5)
    found = mean_of(value, cluster, seed=0)
    assert found is not None
    assert found.value == pytest.approx(value.mean())
    drawn = [np.concatenate([value[cluster == c] for c in rng.integers(12, size=12)]).mean() for _ in range(4000)]
    np.testing.assert_allclose([found.low, found.high], np.quantile(drawn, [0.025, 0.975]), atol=0.03)


def test_an_interval_of_clustered_rows_covers_the_truth():
    # Rows of a cluster are all but equal, so that intervals of single rows would be far too narrow.
    rng, covered = np.random.default_rng(1), 0
    for seed in range(200):
        value = (rng.normal(size=(20, 1)) + 0.1 * rng.normal(size=(20, 30))).ravel()
        found = mean_of(value, np.repeat(np.arange(20), 30), seed=seed)
        assert found is not None
        covered += found.low <= 0 <= found.high
    assert 175 <= covered <= 198


def test_one_cluster_and_nothing_known_have_no_interval():
    assert mean_of(np.ones(5), ["a"] * 5, seed=0) is None
    assert mean_of(np.zeros(0), [], seed=0) is None
    assert resampled(lambda s: s[..., 0] / 0.0, np.ones((4, 1)), seed=0) is None


def test_correlations_from_sums_are_pearsons():
    rng = np.random.default_rng(2)
    x = rng.normal(size=50)
    y = 0.5 * x + rng.normal(size=50)
    sums = correlation_sums(x, y).sum(0)
    assert correlation_of(sums) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert np.isnan(correlation_of(correlation_sums(x, np.full(50, 0.1)).sum(0)))


def test_ranks_of_equal_values_are_shared():
    np.testing.assert_array_equal(ranks(np.array([2.0, 7.0, 2.0, 1.0])), [2.5, 4.0, 2.5, 1.0])

"""Summaries over tasks and seeds, against values worked out by hand."""

import random
import statistics

import pytest

from benchmarks.scores import bootstrap, interquartile_mean, quantile, resample


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 7.0),
        ([3.0, 1.0, 2.0], 2.0),
        ([100.0, 1.0, 2.0, -100.0], 1.5),
        ([float(n) for n in range(18)], 8.5),
        ([0.0] * 4 + [1.0] * 10 + [50.0] * 4, 1.0),  # of 18, four go at either end
        ([0.0] * 5 + [1.0] * 10 + [50.0] * 3, 0.9),
    ],
)
def test_the_interquartile_mean_leaves_a_quarter_out_at_either_end(values: list[float], expected: float) -> None:
    shuffled = random.Random(0).sample(values, len(values))
    assert interquartile_mean(shuffled) == pytest.approx(expected)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (1.0, 5.0), (0.5, 2.0), (0.25, 1.5), (0.75, 3.5)])
def test_quantiles_are_interpolated(share: float, expected: float) -> None:
    assert quantile([1.0, 2.0, 5.0], share) == pytest.approx(expected)


def test_the_quantile_of_one_value_is_that_value() -> None:
    assert quantile([3.0], 0.025) == 3.0


def test_the_interval_is_as_wide_as_the_normal_one() -> None:
    """Of the mean of 400 values with spread 1: about 1.96 / 20 on either side."""
    values = [random.Random(seed).gauss(5.0, 1.0) for seed in range(400)]
    drawn = bootstrap(lambda rng: statistics.fmean(resample(values, rng)), num_resamples=2_000)
    middle, half = statistics.fmean(values), 1.96 * statistics.stdev(values) / 20
    assert quantile(drawn, 0.025) == pytest.approx(middle - half, abs=0.015)
    assert quantile(drawn, 0.975) == pytest.approx(middle + half, abs=0.015)
    assert drawn == bootstrap(lambda rng: statistics.fmean(resample(values, rng)), num_resamples=2_000)

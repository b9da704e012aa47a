"""Agreement of a reward model with people: by hand, against plain loops, whatever side the chosen answer is on."""

import math
from itertools import compress, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.errors import DataError
from heeler.evaluation.agreement import (
    accuracy,
    accuracy_by_length,
    agreement_by_group,
    bootstrap_accuracy,
    calibration,
    counted_share,
    difference,
    wilson_interval,
)

MARGINS = np.array([2.0, -1.0, 0.5, -3.0, 0.0, 1.0])
CHOICES = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.5])


def test_wilson_intervals() -> None:
    low, high = wilson_interval(np.array([0.5, 0.0, 1.0]), np.array([10.0, 10.0, 5.0]))
    np.testing.assert_allclose(low, [0.2366, 0.0, 0.5655], atol=1e-3)
    np.testing.assert_allclose(high, [0.7634, 0.2775, 1.0], atol=1e-3)


def test_a_counted_share_is_that_of_what_is_counted() -> None:
    assert counted_share(3, 4) == accuracy(np.array([1.0, 1.0, 1.0, -1.0]), np.ones(4))
    assert counted_share(0, 0) is None


def test_differences_have_the_intervals_of_newcombes_example() -> None:
    """56 of 70 against 48 of 80, in the table of his paper by method 10."""
    one, other = counted_share(56, 70), counted_share(48, 80)
    assert one is not None
    assert other is not None
    assert difference(one, other) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert difference(other, one) == pytest.approx((-0.2, -0.3339, -0.0524), abs=5e-5)


def test_accuracy_by_hand() -> None:
    # Right, wrong, wrong, right, undecided; the sixth was equally good to people and is left out.
    share = accuracy(MARGINS, CHOICES)
    assert share is not None
    assert (share.mean, share.count) == (0.5, 5)
    assert share.low < 0.5 < share.high
    assert accuracy(np.array([1.0]), np.array([0.5])) is None


comparisons = st.lists(st.tuples(st.floats(-5, 5), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=60)


@given(comparisons)
def test_sides_do_not_matter(rows) -> None:
    """Trap: pairs of `chosen` and `rejected` have every chosen answer on one side."""
    margin, choice = map(np.array, zip(*rows, strict=True))
    turned = np.where(np.arange(len(rows)) % 2 == 0, -1.0, 1.0)
    other_choice = np.where(turned < 0, 1 - choice, choice)
    assert accuracy(margin, choice) == accuracy(margin * turned, other_choice)
    one, other = calibration(margin, choice), calibration(margin * turned, other_choice)
    assert one.expected_error == pytest.approx(other.expected_error)
    assert one.log_loss == pytest.approx(other.log_loss)
    assert one.brier == pytest.approx(other.brier)


def test_calibration_by_hand() -> None:
    margin = np.log(np.array([3.0, 3.0, 3.0, 3.0, 9.0, 9.0]))
    choice = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    found = calibration(margin, choice, num_bins=3)
    # It says 0.75 of the first four, of which half came true, and 0.9 of the last two, of which all did.
    assert [each.foretold for each in found.bins] == pytest.approx([0.75, 0.75, 0.9])
    assert [each.happened.mean for each in found.bins] == [1.0, 0.0, 1.0]
    assert found.expected_error == pytest.approx((2 * 0.25 + 2 * 0.75 + 2 * 0.1) / 6)
    losses = [math.log(4 / 3)] * 2 + [math.log(4)] * 2 + [math.log(10 / 9)] * 2
    assert found.log_loss == pytest.approx(sum(losses) / 6)
    assert found.brier == pytest.approx((2 * 0.25**2 + 2 * 0.75**2 + 2 * 0.1**2) / 6)


def test_a_model_that_says_what_is_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 2, 20_000)
    choice = (rng.random(20_000) < 1 / (1 + np.exp(-margin))).astype(float)
    assert calibration(margin, choice).expected_error < 0.015
    assert calibration(3 * margin, choice).expected_error > 0.08


def test_the_bootstrap_draws_whole_prompts() -> None:
    """Ten comparisons of each prompt that all come out alike tell no more than one."""
    rng = np.random.default_rng(0)
    right = rng.random(40) < 0.7
    margin = np.repeat(np.where(right, 1.0, -1.0), 10)
    prompts = np.repeat(np.arange(40), 10)
    clustered = bootstrap_accuracy(margin, np.ones(400), prompts.tolist(), seed=1)
    single = bootstrap_accuracy(margin, np.ones(400), list(range(400)), seed=1)
    assert clustered is not None
    assert single is not None
    assert clustered.mean == single.mean == right.mean()
    assert clustered.high - clustered.low > 2.5 * (single.high - single.low)
    assert bootstrap_accuracy(margin, np.ones(400), prompts.tolist(), seed=1) == clustered
    assert bootstrap_accuracy(np.ones(2), np.array([0.5, 0.5]), ["a", "b"], seed=1) is None


def test_a_model_that_goes_by_length_is_found_out() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(1, 500, 2000), rng.integers(1, 500, 2000)
    choice = rng.integers(0, 2, 2000).astype(float)
    bins = accuracy_by_length(np.sign(left - right).astype(float), choice, left, right, num_bins=4)
    assert [each.accuracy.mean for each in bins[:1] + bins[-1:]] == [0.0, 1.0]
    assert sum(each.accuracy.count for each in bins) == 2000
    assert all(one.longest < other.shortest for one, other in pairwise(bins))


def test_equal_differences_of_length_stay_together() -> None:
    bins = accuracy_by_length(np.ones(9), np.ones(9), np.full(9, 7), np.full(9, 4))
    assert [(each.shortest, each.longest, each.accuracy.count) for each in bins] == [(3.0, 3.0, 9)]
    assert accuracy_by_length(np.ones(1), np.array([0.5]), np.ones(1), np.ones(1)) == ()


def test_small_groups_are_put_together() -> None:
    groups = ["ann"] * 30 + ["bea"] * 30 + ["cem"] * 12 + ["dora"] * 12
    margin = np.array([1.0] * 30 + [-1.0] * 30 + [1.0] * 24)
    found = agreement_by_group(margin, np.ones(84), groups)
    assert {name: share.mean for name, share in found.groups.items()} == {"ann": 1.0, "bea": 0.0}
    assert found.num_small == 2
    assert found.small is not None
    assert (found.small.mean, found.small.count) == (1.0, 24)


def test_groups_of_few_people_are_not_told_however_much_these_answered() -> None:
    people_of = {"many": ["a", "b", "c", "d"], "few": ["e", "f"], "one": ["g"], "unknown": [None]}
    groups = [name for name in people_of for _ in range(40)]
    people = [names[row % len(names)] for names in people_of.values() for row in range(40)]
    found = agreement_by_group(np.ones(160), np.ones(160), groups, people)
    assert list(found.groups) == ["many", "unknown"]
    assert found.num_small == 2 and found.small is not None and found.small.count == 80

    few = [name != "few" for name in groups]
    alone = agreement_by_group(np.ones(120), np.ones(120), *(list(compress(each, few)) for each in (groups, people)))
    assert list(alone.groups) == ["many"], "the one person's share is not all the rest"
    assert alone.num_small == 2
    two = agreement_by_group(np.ones(80), np.ones(80), ["x"] * 40 + ["y"] * 40, ["a"] * 40 + ["b"] * 40)
    assert two.groups == {} and two.small is None


@pytest.mark.parametrize("sizes", [(30, 12), (30, 3, 3)])
def test_small_groups_that_would_be_told_after_all_are_not(sizes) -> None:
    groups = [name for name, size in zip("abc", sizes, strict=False) for _ in range(size)]
    found = agreement_by_group(np.ones(len(groups)), np.ones(len(groups)), groups)
    assert list(found.groups) == ["a"]
    assert found.small is None


@pytest.mark.parametrize(
    ("margin", "choice", "message"),
    [
        ([1.0, math.nan], [1.0, 1.0], "margins, row 1: expected a finite number, got nan"),
        ([1.0, 1.0], [1.0, 2.0], "choices, row 1: expected 1 .left., 0 .right. or 0.5"),
        ([1.0], [1.0, 1.0], "margins: there are 1 for 2 choices"),
    ],
)
def test_bad_input_is_named(margin, choice, message) -> None:
    for measure in (accuracy, calibration):
        with pytest.raises(DataError, match=message):
            measure(np.array(margin), np.array(choice))


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="groups: there are 1 for 2 choices"):
        agreement_by_group(np.ones(2), np.ones(2), ["a"])
    with pytest.raises(DataError, match="lengths: there are 3 for 2 choices"):
        accuracy_by_length(np.ones(2), np.ones(2), np.ones(3), np.ones(2))
    with pytest.raises(DataError, match="no comparison"):
        calibration(np.ones(0), np.ones(0))

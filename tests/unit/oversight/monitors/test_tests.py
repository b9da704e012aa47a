"""The tests that monitors are made of: against naive versions, and at their stated rates where nothing happens."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy import spatial, stats

from heeler.core.errors import DataError
from heeler.oversight.betting import log_mean_exp
from heeler.oversight.monitors import e_detector, per_person
from heeler.oversight.monitors.adwin import _ROWS_OF_A_SIZE, Adwin
from heeler.oversight.monitors.e_detector import EDetector
from heeler.oversight.monitors.jumps import Jump, Jumps, continued
from heeler.oversight.monitors.page_hinkley import PageHinkley
from heeler.oversight.monitors.per_person import PerPerson
from heeler.oversight.monitors.ranks import Ranks, num_above
from heeler.oversight.monitors.regression import Forgetting
from heeler.oversight.monitors.whitening import MAX_NUMBERS, Recent, moments
from heeler.oversight.student import t_quantile, t_tail


@pytest.mark.parametrize("degrees", [1, 2, 5, 14, 30, 200, 10**4, 10**6])
@pytest.mark.parametrize("tail", [0.2, 1e-3, 1e-6, 1e-10])
def test_student_s_quantiles_are_scipy_s(degrees: int, tail: float) -> None:
    assert t_quantile(tail, degrees) == pytest.approx(stats.t.isf(tail, degrees), rel=1e-6)
    assert t_tail(stats.t.isf(tail, degrees), degrees) == pytest.approx(tail, rel=1e-6)


# Jumps


def test_a_line_is_continued_as_least_squares_have_it() -> None:
    rng = np.random.default_rng(0)
    past = rng.normal(size=(9, 4)) + np.arange(9)[:, None] * rng.normal(size=4)
    expected, error = continued(past)
    for column in range(4):
        fitted = stats.linregress(np.arange(9), past[:, column])
        assert expected[column] == pytest.approx(fitted.intercept + 9 * fitted.slope)
        residual = past[:, column] - (fitted.intercept + fitted.slope * np.arange(9))
        variance = (residual**2).sum() / 7 * (1 + 1 / 9 + (9 - 4) ** 2 / ((np.arange(9) - 4) ** 2).sum())
        assert error[column] == pytest.approx(math.sqrt(variance))


@pytest.mark.parametrize("sided", [0, 1, -1])
def test_jumps_come_at_exactly_their_rate_where_figures_are_lines_and_noise(sided: int) -> None:
    rng = np.random.default_rng(1)
    figures, looks, each = 4000, 40, 0.01
    slope, spread = rng.normal(size=figures), rng.exponential(size=figures)
    jumps = Jumps(figures, each * figures * looks, looks, sided=sided)
    found = [jumps.look(n * slope + spread * rng.normal(size=figures)) for n in range(looks)]
    share = np.mean([jump != 0 for jump in found[jumps.window :]])
    # Looks overlap, so that the share wavers more than a binomial's.
    assert share == pytest.approx(each, rel=0.1)
    assert not np.any(found[: jumps.window])
    if sided:
        assert (sided * np.array(found) >= 0).all()


def test_a_whole_run_s_false_jumps_are_at_most_as_stated() -> None:
    rng = np.random.default_rng(2)
    runs, looks, rate = 3000, 60, 0.1
    # As many runs side by side: each of one figure, at a run's threshold.
    jumps = Jumps(runs, rate * runs, looks)
    alarmed = np.zeros(runs, bool)
    for n in range(looks):
        alarmed |= jumps.look(0.3 * n + rng.normal(size=runs)) != 0
    assert alarmed.mean() <= rate


def test_a_leap_is_seen_and_one_that_is_too_small_to_matter_is_not() -> None:
    rng = np.random.default_rng(3)
    values = 0.1 * rng.normal(size=(30, 2)) + np.arange(30)[:, None]
    jumps = Jumps(2, 0.002, 30)
    for row in values[:-1]:
        assert not jumps.look(row).any()
    jump = jumps.look(values[-1] + 3.0, np.array([0.0, 5.0]))
    assert jump[0] == pytest.approx(3.0, abs=0.6)
    assert jump[1] == 0


def test_what_never_wavers_leaps_at_the_first_change_and_rounding_is_none() -> None:
    jumps = Jumps(1, 0.002, 100)
    for n in range(20):
        assert jumps.look(np.array([1.0 + 1e-15 * (n % 2)])) == 0
    assert jumps.look(np.array([-1.0])) == pytest.approx(-2.0)


def test_a_figure_that_is_no_number_is_left_out() -> None:
    rng = np.random.default_rng(4)
    jumps = Jumps(2, 0.002, 100)
    for n in range(40):
        row = rng.normal(size=2)
        row[1] = np.nan if n % 3 else row[1]
        assert not jumps.look(row).any()
    assert jumps.look(np.array([50.0, np.nan])).tolist() == [pytest.approx(50, abs=3), 0]


@pytest.mark.parametrize("sided", [0, 1, -1])
def test_one_figure_is_followed_as_many_are(sided: int) -> None:
    rng = np.random.default_rng(5)
    rate, looks = 0.4, 20
    many, one = Jumps(1, rate, looks, sided=sided), Jump(rate, looks, sided=sided)
    assert many.threshold == one.threshold
    found = []
    for n in range(200):
        value = 5.0 + 0.3 * n + rng.normal() + 12 * (rng.random() < 0.1) * rng.choice([-1, 1])
        least = float(rng.choice([0.0, 3.0]))
        found.append(one.look(value, least))
        assert found[-1] == pytest.approx(many.look(np.array([value]), least)[0])
        assert one.off == pytest.approx(many.off_S[0])
    assert 3 < np.count_nonzero(found) < 60
    again = Jump(rate, looks, sided=sided).load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert again.look(1.0) == one.look(1.0)


# Page and Hinkley


def naive_walk(deviations: list[float], allowance: float) -> float:
    """The largest sum that ends now, whatever its start."""
    sums = [sum(d - allowance for d in deviations[start:]) for start in range(len(deviations))]
    return max(0.0, *sums)


def test_page_and_hinkley_s_walk_is_the_largest_sum_over_all_starts() -> None:
    rng = np.random.default_rng(5)
    deviations = rng.normal(size=60).tolist()
    test = PageHinkley(0.01, 10**9, allowance=0.4)
    for n, deviation in enumerate(deviations, 1):
        test.add(deviation)
        assert test.walk == pytest.approx(naive_walk(deviations[:n], 0.4))


def test_page_and_hinkley_s_false_alarms_keep_to_their_bound_and_a_change_is_found() -> None:
    rng = np.random.default_rng(6)
    looks, rate = 100, 0.05
    false = sum(any(map(PageHinkley(rate, looks, allowance=0.5).add, rng.normal(size=looks))) for _ in range(1000))
    assert false / 1000 <= rate
    test = PageHinkley(0.002, looks, allowance=0.5)
    alarms = [test.add(value) for value in [0.0] * 50 + [3.0] * 10]
    assert alarms.index(True) == 50 + math.ceil(math.log(looks / 0.002) / 2.5) - 1


# ADWIN


class NaiveAdwin:
    """Keeps every value, in stretches as the paper has them, and computes all from the values."""

    def __init__(self, error_rate: float, num_looks: int, least: int) -> None:
        self.delta, self.least = error_rate / num_looks, least
        self.stretches: list[list[float]] = []

    def add(self, value: float) -> bool:
        self.stretches.append([value])
        size = 1
        while sum(len(one) == size for one in self.stretches) > _ROWS_OF_A_SIZE:
            first = next(n for n, one in enumerate(self.stretches) if len(one) == size)
            self.stretches[first : first + 2] = [self.stretches[first] + self.stretches[first + 1]]
            size *= 2
        changed = False
        while (cut := self.cut()) is not None:
            self.stretches, changed = self.stretches[cut:], True
        return changed

    def cut(self) -> int | None:
        values = list(itertools.chain(*self.stretches))
        for place in range(1, len(self.stretches)):
            older = np.array(list(itertools.chain(*self.stretches[:place])))
            newer = np.array(list(itertools.chain(*self.stretches[place:])))
            if min(len(older), len(newer)) < self.least:
                continue
            of_both = 1 / len(older) + 1 / len(newer)
            log_term = math.log(2 * len(values) / self.delta)
            needed = math.sqrt(2 * of_both * np.var(values) * log_term) + 2 / 3 * of_both * log_term
            if abs(older.mean() - newer.mean()) > needed:
                return place
        return None


@pytest.mark.parametrize("seed", range(5))
def test_adwin_is_the_naive_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chances = np.repeat([0.1, 0.9, 0.5], 120)
    adwin, naive = Adwin(0.3, 40), NaiveAdwin(0.3, 40, 4)
    changes = []
    for chance in chances:
        value = float(np.clip(chance + 0.2 * rng.normal(), 0, 1))
        changes.append(naive.add(value))
        assert adwin.add(value) == changes[-1]
        assert [int(row[0]) for row in adwin.rows] == [len(one) for one in naive.stretches]
        assert adwin.mean == pytest.approx(np.mean(list(itertools.chain(*naive.stretches))))
    assert any(changes[120:240])
    assert any(changes[240:])
    assert len(adwin.rows) < 40, "old values must not be kept one by one"


def test_adwin_is_quiet_where_nothing_changes() -> None:
    rng = np.random.default_rng(7)
    false = sum(any(map(Adwin(0.05, 200).add, rng.random(200) < 0.3)) for _ in range(150))
    assert false / 150 <= 0.05


def test_adwin_refuses_what_is_outside_its_bounds() -> None:
    with pytest.raises(DataError, match=r"\[0, 1\], got 1.5"):
        Adwin(0.1, 10).add(1.5)


# Bets


def test_an_e_detector_is_the_sum_of_bets_from_every_start() -> None:
    rng = np.random.default_rng(8)
    values = rng.random(30)
    detector = EDetector(0.5, 1e-9, 10)
    for n, value in enumerate(values, 1):
        detector.add(value)
        bets = [np.prod(1 - f + f * values[start:n] / 0.5) for f in e_detector._FRACTION_G for start in range(n)]
        assert detector.log_evidence == pytest.approx(math.log(sum(bets) / len(e_detector._FRACTION_G)))


def test_an_e_detector_keeps_to_its_rate_though_values_hang_together_and_finds_a_rise() -> None:
    rng = np.random.default_rng(9)
    looks, rate, alarms = 100, 0.1, 0
    for _ in range(400):
        detector = EDetector(0.3, rate, looks)
        # Runs of ones and noughts, as long as they like: the next one's chance is 0.3 whatever came before.
        alarms += any(detector.add(float(value)) for value in rng.random(looks) < 0.3)
    assert alarms / 400 <= rate
    detector = EDetector(0.3, 0.002, looks)
    found = [detector.add(float(value)) for value in np.r_[rng.random(60) < 0.3, rng.random(40) < 0.9]]
    assert 60 < found.index(True) < 85


def test_each_person_is_bet_on_from_their_first_answer_and_from_every_later_one() -> None:
    bets = PerPerson(0.001, 50)
    values = [1.0, 0.0, 1.0, 1.0]
    for value in values:
        bets.add("a", value, 0.5)
        bets.add("b", 0.0, 0.5)
    share = per_person._FRACTION_G
    factor = [1 - share + share * value / 0.5 for value in values]
    first = np.prod(factor, axis=0)
    later = sum(np.prod(factor[start:], axis=0) for start in range(len(values)))
    assert bets.capital_2G["a"][0] == pytest.approx(np.log(first))
    assert bets.capital_2G["a"][1] == pytest.approx(np.log(later))
    assert bets.counts == {"a": 4, "b": 4}
    assert log_mean_exp(bets.capital_2G["b"])[0] < 0


def test_twenty_persons_together_are_falsely_accused_at_most_as_stated() -> None:
    rng = np.random.default_rng(10)
    accused = 0
    for _ in range(60):
        bets = PerPerson(0.1, 30)
        accused += any(
            [bets.add(str(person), float(rng.random() < 0.5), 0.5) for _ in range(30) for person in range(20)]
        )
    assert accused / 60 <= 0.1


def test_who_answers_against_the_claim_is_found_within_a_few_answers() -> None:
    bets = PerPerson(0.002, 200)
    found = [bets.add("hostile", 1.0, 0.3) for _ in range(12)]
    assert True in found


# Ranks


def test_the_newest_are_all_above_those_before_as_seldom_as_is_stated() -> None:
    assert num_above(16, 0.002, 100) == 6
    assert 100 / math.comb(16 + 6, 6) <= 0.002 < 100 / math.comb(16 + 5, 5)
    rng = np.random.default_rng(11)
    # With three of them above seven, by chance alone: one time in C(10, 3).
    values = rng.random((40_000, 10))
    above = values[:, 7:].min(1) > values[:, :7].max(1)
    assert above.mean() == pytest.approx(1 / math.comb(10, 3), rel=0.1)


def test_ranks_tell_the_medians_before_and_now() -> None:
    ranks = Ranks(0.002, 100)
    rng = np.random.default_rng(12)
    for value in rng.uniform(1, 1.2, 40):
        assert ranks.add(float(value), 2.0) is None
    told = [ranks.add(3.0 + n / 100, 2.0) for n in range(ranks.number)]
    assert told[:-1] == [None] * (ranks.number - 1)
    assert told[-1] == (pytest.approx(1.1, abs=0.05), pytest.approx(3.025, abs=0.01))
    assert len(ranks.values) == ranks.window + ranks.number


def test_ranks_pass_over_a_change_that_does_not_matter() -> None:
    ranks = Ranks(0.002, 100)
    values = [1.0] * 30 + [1.5] * 30
    assert [ranks.add(value, 2.0) for value in values] == [None] * 60


# What observations have been like, and what follows from them


def test_what_is_recent_is_the_mean_and_covariance_of_all_that_was_seen_by_weight() -> None:
    rng = np.random.default_rng(13)
    mixing = rng.normal(size=(3, 3))
    batches = [rng.normal(size=(20 + 10 * n, 3)) @ mixing + 0.3 * n for n in range(9)]
    recent = Recent(weight=0.25)
    for batch in batches:
        assert recent.of(batch).shape == batch.shape
        recent.add(moments(batch))
    # Each new batch takes a quarter of the weight, or its equal share while there are fewer than four.
    weights = np.zeros(0)
    for n in range(len(batches)):
        share = max(0.25, 1 / (n + 1))
        weights = np.append(weights * (1 - share), share)
    each = np.concatenate([np.full(len(one), weight / len(one)) for one, weight in zip(batches, weights, strict=True)])
    rows = np.concatenate(batches)
    np.testing.assert_allclose(recent.mean_P, np.average(rows, axis=0, weights=each))
    np.testing.assert_allclose(recent.covariance_PP, np.cov(rows.T, aweights=each, ddof=0), rtol=1e-9)


def test_distance_is_mahalanobis_s() -> None:
    rng = np.random.default_rng(14)
    known = rng.normal(size=(400, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.2], [0.0, 0.0, 3.0]])
    recent = Recent()
    assert math.isnan(recent.distance(moments(known)))
    recent.add(moments(recent.of(known)))
    new = rng.normal(size=(50, 3)) + np.array([0.0, 4.0, 0.0])
    # A little is added to each variance, so that numbers that go together exactly can be told apart from nothing.
    inverse = np.linalg.inv(np.cov(known.T, ddof=0) + np.diag(1e-3 * known.var(0)))
    naive = [spatial.distance.mahalanobis(row, known.mean(0), inverse) ** 2 / 3 for row in new]
    assert recent.distance(moments(new)) == pytest.approx(np.mean(naive), rel=1e-6)
    assert recent.distance(moments(known)) == pytest.approx(1.0, abs=0.01)


def test_of_a_wide_observation_the_numbers_that_vary_most_are_followed() -> None:
    rng = np.random.default_rng(15)
    spread = np.arange(40)[::-1] * 1.0
    batch = rng.normal(size=(500, 40)) * spread
    recent = Recent()
    assert recent.of(batch).shape == (500, MAX_NUMBERS)
    assert recent.columns.tolist() == list(range(MAX_NUMBERS))
    constant = Recent()
    assert constant.of(np.ones((50, 2))).size == 0


def test_a_regression_that_forgets_is_least_squares_by_weight() -> None:
    rng = np.random.default_rng(16)
    batches = [(rng.normal(size=(30, 4)), rng.normal(size=(30, 2))) for _ in range(6)]
    regression = Forgetting(decay=0.6)
    told = [regression.add(features, targets) for features, targets in batches]
    assert [one is None for one in told] == [True] * 3 + [False] * 3
    # Foretold by those before alone: each row with the weight that is left of its batch, over its size.
    for last in (3, 5):
        weight = np.repeat(0.6 ** np.arange(last)[::-1], 30) / 30
        features = np.concatenate([one for one, _ in batches[:last]])
        targets = np.concatenate([one for _, one in batches[:last]])
        ridge = 1e-3 * (weight[:, None] * features**2).sum() / 4
        rows = np.concatenate([np.sqrt(weight)[:, None] * features, math.sqrt(ridge) * np.eye(4)])
        wanted = np.concatenate([np.sqrt(weight)[:, None] * targets, np.zeros((4, 2))])
        solved = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        np.testing.assert_allclose(told[last], batches[last][0] @ solved, rtol=1e-7)


def test_how_far_off_a_regression_was_by_hand() -> None:
    regression = Forgetting()
    for size in (1.0, 2.0, 1.0, 9.0):
        regression.add(np.ones((4, 1)), np.array([[size], [-size], [size], [-size]]))
    # In spreads of 2, the largest of the first three: half a spread off, and not at all.
    error = regression.log_error(np.array([[1.0], [3.0]]), np.array([[2.0], [3.0]]))
    assert error[0] == pytest.approx((0.5 * math.log(0.25 + 1e-4) + 0.5 * math.log(1e-4)) / 2)

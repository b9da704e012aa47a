"""The watch: halts when the learned reward rises and what is held out does not, and says why."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.errors import ConfigError, DataError
from heeler.oversight import over_optimisation as module
from heeler.oversight.over_optimisation import WatchConfig, fewest_rounds, review

SHORT = WatchConfig(updates_per_point=1, lags=(8, 16), min_gain=0.05)


def rows(reward, held_out, **others):
    names = {"reward": reward, "held_out": held_out, **others}
    return [{"step": 10 * u, **{name: float(value[u]) for name, value in names.items()}} for u in range(len(reward))]


def falling(num: int = 80, seed: int = 0):
    rng, u = np.random.default_rng(seed), np.arange(num)
    held_out = 0.8 - 0.005 * u + rng.normal(0, 0.02, num)
    return rows(0.05 * u + rng.normal(0, 0.02, num), held_out, kl=0.5 * u, **{"completions/mean_length": 40 + u})


def test_it_halts_with_what_happened_in_a_sentence_and_in_numbers() -> None:
    verdict = review(SHORT, falling())
    assert verdict.decision == "halt"
    assert "the learned reward rose and held-out agreement fell" in verdict.reason
    assert "KL to the reference from" in verdict.reason
    assert "mean length from" in verdict.reason
    assert "repetition" not in verdict.reason, "it was not measured"
    changes = verdict.evidence["changes"]
    assert changes["held_out"]["from"] > changes["held_out"]["to"] + 0.1
    assert changes["reward"]["to"] > changes["reward"]["from"]
    assert verdict.evidence["nearness"] >= 1
    assert verdict.evidence["stretch"]["log_evidence"] >= verdict.evidence["stretch"]["log_needed"]


def test_it_halts_when_the_reward_rises_and_held_out_agreement_stands_still() -> None:
    rng, u = np.random.default_rng(0), np.arange(80)
    stalled = rows(0.1 * u, 0.7 + rng.normal(0, 0.02, 80))
    verdict = review(SHORT, stalled)
    assert verdict.decision == "halt"
    assert review(replace(SHORT, min_gain=0.0), stalled).decision == "allow", "nothing fell"


@pytest.mark.parametrize("gain", [0.05, 0.1])
def test_it_lets_a_run_go_on_that_gains_as_much_as_it_should(gain: float) -> None:
    rng, u = np.random.default_rng(1), np.arange(120)
    reward = 0.05 * u
    verdict = review(SHORT, rows(reward, 0.3 + gain * reward + rng.normal(0, 0.02, 120)))
    assert verdict.decision == "allow"
    assert 0 <= verdict.evidence["nearness"] < 1


def test_a_reward_that_does_not_rise_is_not_over_optimised() -> None:
    fallen = [row | {"reward": -row["reward"]} for row in falling()]
    verdict = review(replace(SHORT, min_gain=0.0), fallen)
    assert verdict.decision == "allow"
    assert verdict.evidence["nearness"] > 1, "what is held out did fall"


def test_with_few_updates_it_says_nothing() -> None:
    for number in range(9):
        assert review(SHORT, falling()[:number]).evidence["nearness"] == 0.0


def test_rows_without_a_held_out_measure_are_passed_over() -> None:
    measured = falling()
    between = [{"step": row["step"] + 5, "reward": 99.0} for row in measured]
    mixed = list(itertools.chain.from_iterable(zip(measured, between, strict=True)))
    assert review(SHORT, mixed) == review(SHORT, measured)


def test_updates_are_averaged_into_points() -> None:
    config = replace(SHORT, updates_per_point=2)
    points = module._points(config, rows(np.arange(7.0), np.arange(7.0) / 10))
    np.testing.assert_allclose(points["reward"], [0.5, 2.5, 4.5])
    np.testing.assert_allclose(points["step"], [5, 25, 45])
    assert "kl" not in points


def test_pairs_by_hand_have_no_update_in_common() -> None:
    np.testing.assert_array_equal(module._earlier(1, 12, 3), [1, 2, 3, 7, 8, 9])
    np.testing.assert_array_equal(module._earlier(0, 4, 3), [0, 1])
    for first, last, lag in ((0, 50, 4), (3, 44, 8), (5, 40, 16)):
        earlier = module._earlier(first, last, lag)
        used = np.concatenate([earlier, earlier + lag])
        assert len(set(used.tolist())) == len(used)
        assert used.max() <= last


def test_the_shares_of_the_error_rate_add_up_to_no_more_than_all_of_it() -> None:
    """Every stretch that will ever be looked at, in a run far longer than any."""
    config = WatchConfig()
    points = {"reward": np.zeros(4000), "held_out": np.zeros(4000)}
    shares = [math.exp(-each.log_needed) for each in module._stretches(config, points)]
    assert 0.95 * config.error_rate < sum(shares) <= config.error_rate * (1 + 1e-9)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_no_bet_gains_where_both_halves_are_equally_good(sizes: list[float]) -> None:
    """Exactly: whatever the sizes of the differences, over all their signs the mean of the bets is at most 1."""
    values = np.array(sizes)
    bets = [
        math.exp(module._log_evidence(values * np.array(signs)))
        for signs in itertools.product((-1.0, 1.0), repeat=len(sizes))
    ]
    assert np.mean(bets) <= 1 + 1e-12


@given(st.floats(0, 3), st.floats(0, 3))
def test_no_bet_gains_where_the_later_half_is_better(gain: float, noise: float) -> None:
    bets = [math.exp(module._log_evidence(np.array([gain + sign * noise]))) for sign in (-1, 1)]
    assert np.mean(bets) <= 1 + 1e-12


def test_the_evidence_by_hand() -> None:
    # Differences of -0.1 and 0.3: 2 / (1 + exp(-0.2 λ)) times 2 / (1 + exp(0.6 λ)).
    bet_G = 4 / (1 + np.exp(-0.2 * module._LAMBDA_G)) / (1 + np.exp(0.6 * module._LAMBDA_G))
    assert module._log_evidence(np.array([-0.1, 0.3])) == pytest.approx(math.log(bet_G.mean()))
    assert module._log_evidence(np.full(5, -1e9)) == pytest.approx(5 * math.log(2)), "no pair pays more than double"


@pytest.mark.parametrize(
    "config", [WatchConfig(), SHORT, WatchConfig(updates_per_point=2, lags=(3, 7)), WatchConfig(lags=(1,))]
)
def test_nothing_is_halted_before_the_fewest_rounds_and_the_worst_run_is_then(config: WatchConfig) -> None:
    u = np.arange(fewest_rounds(config))
    worst = rows(1.0 * u, -1e3 * u)
    assert review(config, worst).decision == "halt"
    assert review(config, worst[:-1]).decision == "allow"


def test_false_halts_stay_below_the_error_rate() -> None:
    """Runs that stand exactly on the edge: what is held out gains no more than it must."""
    config = replace(SHORT, error_rate=0.2, min_gain=0.1)
    halts = 0
    for seed in range(40):
        rng, u = np.random.default_rng(seed), np.arange(96)
        reward = 0.05 * u
        run = rows(reward, 0.3 + 0.1 * reward + rng.normal(0, 0.05, 96))
        halts += any(review(config, run[: stop + 1]).decision == "halt" for stop in range(15, 96, 4))
    assert halts <= 0.2 * 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": math.nan}, "step 120, reward: expected a finite number, got nan"),
        ({"held_out": math.inf}, "step 120, held_out: expected a finite number"),
        ({"kl": math.nan}, "step 120, kl: expected a finite number"),
    ],
)
def test_bad_metrics_are_named(change, message) -> None:
    run = falling()
    run[12] |= change
    with pytest.raises(DataError, match=message):
        review(SHORT, run)


def test_a_row_without_the_reward_is_named() -> None:
    run = falling()
    del run[3]["reward"]
    with pytest.raises(DataError, match="reward: a row with held_out lacks it"):
        review(SHORT, run)


@pytest.mark.parametrize(
    "change",
    [
        {"error_rate": 0.0},
        {"min_gain": -0.1},
        {"min_gain": math.nan},
        {"updates_per_point": 0},
        {"lags": ()},
        {"lags": (4, 4)},
        {"lags": (0,)},
    ],
)
def test_settings_that_cannot_work_are_refused(change) -> None:
    (name,) = change
    with pytest.raises(ConfigError, match=name):
        replace(SHORT, **change)

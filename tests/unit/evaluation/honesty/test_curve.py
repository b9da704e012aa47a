"""Over-optimisation: the curve's fit by hand, and how often runs whose course is known are judged rightly."""

import math

import numpy as np
import pytest

from heeler.evaluation.honesty.curve import Point, course, fit_curve

GAO = (1.0, 0.9)
"""α and β, whose peak is at d = exp(1/9) = 1.12."""


def gao(d: float, alpha: float = GAO[0], beta: float = GAO[1]) -> float:
    return d * (alpha - beta * math.log(d)) if d > 0 else 0.0


def points(held_out, *, seed: int, num: int = 8, learned=lambda d: d, episodes: int = 16) -> list[Point]:
    rng = np.random.default_rng(seed)
    distances = np.linspace(0, 4, num)
    return [
        Point(
            step=1000 * place,
            distance=float(d),
            learned_E=learned(d) + rng.normal(0, 0.3, episodes),
            held_out_E=held_out(d) + rng.normal(0, 0.5, episodes),
        )
        for place, d in enumerate(distances)
    ]


def verdicts(held_out, num_runs: int, **settings) -> list[str]:
    return [course(points(held_out, seed=seed, **settings), seed=seed).verdict for seed in range(num_runs)]


def test_the_fit_of_points_without_noise_is_exact():
    d = np.linspace(0, 3, 7)
    fit = fit_curve(d, [np.array([gao(x) - 1e-6, gao(x) + 1e-6]) + 5.0 for x in d], seed=0)
    assert fit is not None
    assert (fit.alpha.value, fit.beta.value) == (pytest.approx(1.0, abs=1e-4), pytest.approx(0.9, abs=1e-4))
    assert fit.peak is not None
    assert fit.peak.value == pytest.approx(math.exp(1 / 0.9 - 1), abs=1e-3)
    assert fit.fits
    assert fit.passed == 1.0
    assert fit.at(2.0) == pytest.approx(gao(2.0), abs=1e-3)
    assert fit.at(0.0) == 0.0


def test_the_interval_of_the_peak_covers_it():
    covered = 0
    for seed in range(40):
        made = points(gao, seed=seed)
        fit = fit_curve(np.array([p.distance for p in made]), [p.held_out_E for p in made], seed=seed)
        assert fit is not None
        covered += fit.peak is not None and fit.peak.low <= math.exp(1 / 0.9 - 1) <= fit.peak.high
    assert covered >= 33


def test_a_form_that_is_wrong_is_called_wrong_and_not_forced():
    wrong = points(lambda d: 3 * math.sin(4 * d), seed=0, num=12, episodes=64)
    found = course(wrong, seed=0).held_out
    assert found is not None
    assert not found.fits
    assert found.lack < 0.01


def test_few_policies_have_no_curve():
    few = points(gao, seed=0, num=4)
    assert fit_curve(np.array([p.distance for p in few]), [p.held_out_E for p in few], seed=0) is None
    assert course(few[:2], seed=0).verdict == "too little to say"


def test_without_a_true_return_nothing_is_said():
    blind = [
        Point(step=p.step, distance=p.distance, learned_E=p.learned_E, held_out_E=None) for p in points(gao, seed=0)
    ]
    found = course(blind, seed=0)
    assert (found.verdict, found.chance, found.held_out) == ("too little to say", None, None)
    assert found.learned is not None


def test_a_run_past_its_peak_is_caught_and_told_since_when():
    found = course(points(gao, seed=3), seed=3)
    assert found.verdict == "over-optimised"
    assert found.since_step in (1000, 2000, 3000)
    assert found.chance is not None
    assert found.chance > 0.95
    assert verdicts(gao, 20).count("over-optimised") == 20


def test_a_run_that_is_worse_by_its_reward_too_is_not_over_optimised():
    assert set(verdicts(gao, 10, learned=gao)) == {"worse by both"}


def test_a_run_that_still_rises_is_told_so():
    assert verdicts(lambda d: 0.7 * d, 20).count("still rising") >= 18


def test_runs_that_have_settled_are_seldom_called_over_optimised():
    # At most 5 % by construction, give or take what chance makes of 120 runs.
    assert verdicts(lambda d: 0.0, 120, num=6).count("over-optimised") <= 12

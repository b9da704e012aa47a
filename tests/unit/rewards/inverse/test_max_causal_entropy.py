"""Maximum causal entropy: exact gradients, visits matched to 1e-3, and the reward found again as far as it can be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.rewards.inverse.canonical import reward_distance
from heeler.rewards.inverse.demonstrations import Demonstrations, sampled
from heeler.rewards.inverse.forms import RewardForm, reward_form
from heeler.rewards.inverse.grids import bumps, open_grid
from heeler.rewards.inverse.identification import identify
from heeler.rewards.inverse.intervals import dual_curvature, paid_by_demonstration, standard_errors
from heeler.rewards.inverse.max_causal_entropy import MaxCausalEntropy, MaxCausalEntropyConfig, _Search
from heeler.rewards.inverse.planning import flow, plan
from heeler.rewards.inverse.world import FiniteWorld
from tests.unit.rewards.inverse.worlds import random_tables, random_world

FORMS = ("features", "features of actions", "state", "state-action")


def world_with(form: str, **fields: Any) -> tuple[FiniteWorld, RewardForm]:
    rng = np.random.default_rng(3)
    shape = (6, 3, 2) if form == "features of actions" else (6, 2)
    world = random_world(1, features=rng.normal(size=shape), **fields)
    return world, reward_form(world, "features" if form.startswith("features") else form)  # type: ignore[arg-type]


def shown(world: FiniteWorld, form: RewardForm, num: int = 40) -> Demonstrations:
    parameter = np.random.default_rng(5).normal(size=form.num_parameters)
    policy = plan(world, *form.tables(parameter)).policy_TSA
    return sampled(world, policy, num, np.random.default_rng(6), max_steps=12)


@pytest.mark.parametrize("form_name", FORMS)
@pytest.mark.parametrize("horizon", [5, None])
@pytest.mark.parametrize("ends", [False, True])
def test_gradients_are_those_of_finite_differences(form_name: str, horizon: int | None, ends: bool) -> None:
    world, form = world_with(form_name, horizon=horizon, ends=ends)
    seen = shown(world, form)
    target, steps = form.gathered(seen.visits), seen.counts_by_time()
    search = _Search(world, form, ridge=0.01)
    point = np.random.default_rng(7).normal(size=form.num_parameters) / 3
    objectives = (
        lambda at: search.dual(at, target),
        lambda at: search.likelihood(at, steps, seen.num_demonstrations),
    )
    for objective in objectives:
        gradient = objective(point)[1]
        for n in range(0, form.num_parameters, 4):
            step = 1e-4 * np.eye(form.num_parameters)[n]
            difference = (objective(point + step)[0] - objective(point - step)[0]) / 2e-4
            assert gradient[n] == pytest.approx(difference, abs=2e-5)


def test_the_likelihood_is_that_of_every_action() -> None:
    world, form = world_with("state", horizon=5)
    seen = shown(world, form)
    point = np.random.default_rng(8).normal(size=6)
    log_policy = plan(world, *form.tables(point)).log_policy_TSA
    summed = sum(log_policy[t, s, a] for t, s, a in zip(seen.time_X, seen.state_X, seen.action_X, strict=True))
    value = _Search(world, form, 0.0).likelihood(point, seen.counts_by_time(), 40)[0]
    assert value == pytest.approx(-summed / 40)
    assert seen.log_likelihood(log_policy) == pytest.approx(summed)


@pytest.mark.parametrize("form_name", FORMS)
@pytest.mark.parametrize(("horizon", "discount"), [(8, 0.9), (8, 1.0), (None, 0.9)])
def test_trap_features_and_visits_match_to_1e_3(form_name: str, horizon: int | None, discount: float) -> None:
    world, form = world_with(form_name, horizon=horizon, discount=discount)
    true = np.random.default_rng(9).normal(size=form.num_parameters)
    visits = flow(world, plan(world, *form.tables(true)).policy_TSA)
    config = MaxCausalEntropyConfig(reward=form.name, ridge=0.0)
    fit = MaxCausalEntropy(config).fit_visits(world, form.gathered(visits))
    assert fit.converged
    assert np.abs(fit.gap_N).max() < 1e-3
    assert np.abs(fit.visits.state_S - visits.state_S).max() < 1e-3
    assert reward_distance(world, form.tables(fit.parameter_N), form.tables(true)) < 0.01


def test_visits_of_policies_that_are_not_soft_are_matched_too() -> None:
    world = random_world(2, horizon=6)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), (6, 6))
    target = flow(world, policy).state_S
    fit = MaxCausalEntropy(MaxCausalEntropyConfig(ridge=0.0)).fit_visits(world, target)
    assert np.abs(fit.visits.state_S - target).max() < 1e-3


def test_a_larger_grid_by_steps() -> None:
    world = open_grid(14, 14, slip=0.1, discount=0.95)
    world = replace(world, features=bumps(world, 2, width=3.0))
    form = reward_form(world)
    true = np.array([1.0, -1.0, 0.5, 2.0])
    visits = flow(world, plan(world, *form.tables(true)).policy_TSA)
    fit = MaxCausalEntropy(MaxCausalEntropyConfig(ridge=0.0)).fit_visits(world, form.gathered(visits))
    assert np.abs(fit.visits.state_S - visits.state_S).max() < 1e-3
    assert fit.parameter_N == pytest.approx(true, abs=0.02)


def test_what_nobody_does_stays_finite_by_the_ridge() -> None:
    world = random_world(4, horizon=4)
    seen = sampled(world, plan(world, *random_tables(world, 5)).policy_TSA, 3, np.random.default_rng(0))
    weak, strong = (
        MaxCausalEntropy(MaxCausalEntropyConfig(ridge=ridge, aim="likelihood")).fit(seen) for ridge in (1e-3, 1e-1)
    )
    assert weak.converged and strong.converged
    assert np.abs(strong.parameter_N).max() < np.abs(weak.parameter_N).max() < 100


def test_the_aim_follows_from_the_demonstrations() -> None:
    world, form = world_with("features", horizon=12)
    assert MaxCausalEntropy().fit(shown(world, form)).aim == "match"
    endless, form = world_with("features")
    seen = shown(endless, form)
    assert MaxCausalEntropy().fit(seen).aim == "likelihood"
    assert MaxCausalEntropy(MaxCausalEntropyConfig(reward="state")).fit(shown(world, form)).aim == "likelihood"
    with pytest.raises(ConfigError, match="demonstration 0 ends neither in a terminal state nor at the horizon"):
        MaxCausalEntropy(MaxCausalEntropyConfig(aim="match")).fit(seen)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ridge": -1.0}, "ridge must be at least 0"),
        ({"ridge": float("nan")}, "ridge must be at least 0"),
        ({"tolerance": 0.0}, "tolerance must be above 0"),
        ({"max_evaluations": 0}, "max_evaluations must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MaxCausalEntropyConfig(**settings)


def test_what_does_not_go_together_is_refused() -> None:
    world = random_world(0, horizon=3)
    with pytest.raises(ConfigError, match="needs features in the world"):
        reward_form(world, "features")
    with pytest.raises(DataError, match="visits must be 6 finite numbers"):
        MaxCausalEntropy().fit_visits(world, np.zeros(5))
    with pytest.raises(ConfigError, match="known visits can only be matched"):
        MaxCausalEntropy(MaxCausalEntropyConfig(aim="likelihood")).fit_visits(world, np.zeros(6))


@pytest.mark.parametrize("horizon", [5, None])
def test_the_curvature_of_the_dual_is_that_of_finite_differences(horizon: int | None) -> None:
    world, form = world_with("features", horizon=horizon)
    target = form.gathered(flow(world, plan(world, *form.tables(np.array([0.5, -0.5]))).policy_TSA))
    fit = MaxCausalEntropy(MaxCausalEntropyConfig(ridge=0.0, tolerance=1e-8)).fit_visits(world, target)
    curvature, search = dual_curvature(world, fit), _Search(world, form, 0.0)
    for n in range(2):
        step = 1e-4 * np.eye(2)[n]
        ends = [search.dual(fit.parameter_N + sign * step, target)[1] for sign in (1, -1)]
        assert curvature[n] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("form_name", FORMS)
def test_what_each_demonstration_paid_averages_to_the_visits(form_name: str) -> None:
    world, form = world_with(form_name, horizon=6)
    seen = shown(world, form)
    np.testing.assert_allclose(paid_by_demonstration(form, seen).mean(0), form.gathered(seen.visits), atol=1e-12)


@pytest.mark.parametrize("aim", ["match", "likelihood"])
def test_intervals_cover_the_truth_as_often_as_they_say(aim: str) -> None:
    world, form = world_with("features", horizon=6)
    true = np.array([0.6, -0.4])
    policy = plan(world, *form.tables(true)).policy_TSA
    rng, covered = np.random.default_rng(11), 0
    for _ in range(30):
        seen = sampled(world, policy, 60, rng)
        fit = MaxCausalEntropy(MaxCausalEntropyConfig(aim=aim, ridge=0.0)).fit(seen)  # type: ignore[arg-type]
        error = standard_errors(fit, seen, identify(world, fit.form, fit.plan, seen))
        assert error is not None
        covered += int((np.abs(fit.parameter_N - true) < 1.96 * error).sum())
    # Of 60 intervals at 95 %, fewer than 51 come about less than once in ten thousand times.
    assert 51 <= covered <= 60

"""Bayesian IRL against exact enumeration, and chains that say when they have not come together."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import laplace, norm

from heeler.core.errors import ConfigError
from heeler.rewards.inverse.bayesian import (
    Bayesian,
    BayesianConfig,
    Normal,
    elliptical_slice,
    optimal_values,
)
from heeler.rewards.inverse.chains import effective_sample_size, split_r_hat
from heeler.rewards.inverse.demonstrations import demonstrations_from, sampled
from heeler.rewards.inverse.forms import reward_form
from heeler.rewards.inverse.grids import open_grid
from heeler.rewards.inverse.planning import backed_up, plan
from heeler.rewards.inverse.world import to_dense
from tests.unit.rewards.inverse.worlds import looped_values, random_world

FEATURES = np.random.default_rng(3).normal(size=(6, 2))


@pytest.mark.parametrize("horizon", [4, None])
@pytest.mark.parametrize("ends", [False, True])
def test_optimal_values_of_many_rewards_are_those_of_a_loop(horizon: int | None, ends: bool) -> None:
    world = random_world(1, horizon=horizon, ends=ends)
    form, rewards = reward_form(world, "state"), np.random.default_rng(0).normal(size=(3, 6))
    found = optimal_values(world, to_dense(world), form, rewards)
    for chain, reward in enumerate(rewards):
        looped = looped_values(world, *form.tables(reward), soft=False, num=horizon or 250)
        for time in range(horizon or 1):
            going_on = world.going_on_S
            np.testing.assert_allclose(found[chain, time][going_on], looped[time][going_on], atol=1e-8)


@pytest.mark.parametrize("prior", ["gaussian", "laplace"])
@pytest.mark.parametrize("horizon", [5, None])
def test_the_posterior_is_that_of_exact_enumeration(prior: str, horizon: int | None) -> None:
    """Two weights on a fine grid of 81 by 81 rewards: means, spreads and interval ends."""
    world = random_world(1, features=FEATURES, horizon=horizon, discount=0.8)
    policy = plan(world, *reward_form(world).tables(np.array([1.0, -0.5]))).policy_TSA
    seen = sampled(world, policy, 4, np.random.default_rng(2), max_steps=5)
    config = BayesianConfig(prior=prior, rationality=2.0, num_warmup=100, num_draws=900, seed=1)  # type: ignore[arg-type]
    found = Bayesian(config).fit(seen)
    assert found.converged
    side = np.linspace(-5.6, 5.6, 81)
    grid = np.stack([part.ravel() for part in np.meshgrid(side, side, indexing="ij")], axis=1)
    density = {"gaussian": norm, "laplace": laplace}[prior]
    likelihood = np.zeros(len(grid))
    dense, form = to_dense(world), reward_form(world)
    for start in range(0, len(grid), 2000):
        scaled = 2.0 * optimal_values(world, dense, form, grid[start : start + 2000])
        logs = scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))
        time = seen.time_X if horizon else 0 * seen.time_X
        likelihood[start : start + 2000] = logs[:, time, seen.state_X, seen.action_X].sum(1)
    weight = np.exp(likelihood - likelihood.max()) * density.pdf(grid).prod(1)
    weight /= weight.sum()
    mean = weight @ grid
    spread = np.sqrt(weight @ np.square(grid - mean))
    error = spread / np.sqrt(found.sample_size_N)
    assert (np.abs(found.mean_N - mean) < 4 * error).all()
    assert found.draws_CDN.std((0, 1)) == pytest.approx(spread, rel=0.1)
    for n in range(2):
        cumulative = np.cumsum(weight.reshape(81, 81).sum(1 - n))
        low, high = (side[int((cumulative >= tail).argmax())] for tail in (0.025, 0.975))
        assert found.low_N[n] == pytest.approx(low, abs=0.25 * spread[n] + 0.14)
        assert found.high_N[n] == pytest.approx(high, abs=0.25 * spread[n] + 0.14)


def test_many_demonstrations_leave_little_to_believe() -> None:
    world = random_world(1, features=FEATURES, horizon=8)
    form, true = reward_form(world), np.array([0.7, -0.3])
    q = optimal_values(world, to_dense(world), form, true[None])[0]
    policy = np.stack([backed_up(3.0 * each, "soft")[1] for each in q])
    seen = sampled(world, policy, 150, np.random.default_rng(0))
    found = Bayesian(BayesianConfig(rationality=3.0, num_warmup=50, num_draws=300)).fit(seen)
    assert (found.low_N < true).all() and (true < found.high_N).all()
    assert (found.high_N - found.low_N < 0.8).all()


def test_what_is_not_identified_has_the_prior_s_word_alone() -> None:
    features = np.column_stack([FEATURES, np.zeros(6)])
    world = random_world(1, features=features, horizon=5)
    seen = sampled(world, np.full((1, 6, 3), 1 / 3), 10, np.random.default_rng(0))
    found = Bayesian(BayesianConfig(prior_scale=2.0, num_warmup=50, num_draws=400)).fit(seen)
    assert found.draws_CDN[..., 2].std() == pytest.approx(2.0, rel=0.15)
    assert found.mean_N[2] == pytest.approx(0, abs=4 * 2 / math.sqrt(found.sample_size_N[2]))


def test_the_slice_sampler_leaves_a_distribution_as_it_is() -> None:
    """A skewed target: the square of what is sampled, less itself, against the exact mean by quadrature."""
    about = Normal(mean_N=np.array([0.3]), root_NN=np.array([[1.4]]))

    def log_density(at: np.ndarray) -> np.ndarray:
        return -np.abs(at[:, 0]) - np.exp(at[:, 0])

    side = np.linspace(-25, 5, 30001)
    weight = np.exp(-np.abs(side) - np.exp(side))
    rng, at = np.random.default_rng(0), np.zeros((50, 1))
    found, draws = log_density(at), []
    for _ in range(600):
        at, found = elliptical_slice(at, found, log_density, about, rng)
        draws.append(at)
    draws_CDN = np.stack(draws[50:], axis=1)
    error = draws_CDN.std() / math.sqrt(float(effective_sample_size(draws_CDN)[0]))
    assert draws_CDN.mean() == pytest.approx(float((weight * side).sum() / weight.sum()), abs=4 * error)
    np.testing.assert_allclose(found, log_density(at))


def test_the_same_seed_draws_the_same() -> None:
    world = random_world(1, features=FEATURES, horizon=3)
    seen = sampled(world, np.full((1, 6, 3), 1 / 3), 3, np.random.default_rng(0))
    config = BayesianConfig(num_warmup=2, num_draws=5, seed=7)
    told: list[tuple[int, int]] = []
    first = Bayesian(config).fit(seen, on_draw=lambda num, total: told.append((num, total)))
    np.testing.assert_array_equal(first.draws_CDN, Bayesian(config).fit(seen).draws_CDN)
    assert told[-1] == (7, 7) and not first.converged


def test_r_hat_by_hand_and_of_chains_apart() -> None:
    # Halves (0, 2), (0, 2), (1, 3), (1, 3): within 2, between 2 · var(1, 1, 2, 2) = 2/3.
    draws = np.array([[0, 2, 0, 2], [1, 3, 1, 3]], float)[..., None]
    assert split_r_hat(draws) == pytest.approx([math.sqrt((2 / 2 + 2 / 3 / 2) / 2)])
    rng = np.random.default_rng(0)
    together = rng.normal(size=(4, 500, 1))
    assert split_r_hat(together)[0] < 1.01
    assert split_r_hat(together + 3 * np.arange(4)[:, None, None])[0] > 1.5
    # A chain that drifts is caught by its halves.
    assert split_r_hat(together + np.linspace(0, 5, 500)[:, None])[0] > 1.4
    assert np.isnan(split_r_hat(np.zeros((2, 10, 1)))).all()


def test_effective_draws_are_those_of_a_chain_that_is_known() -> None:
    """Of x' = ρ x + noise, n draws are worth n (1 − ρ) / (1 + ρ)."""
    rng = np.random.default_rng(0)
    for rho in (0.0, 0.8):
        draws = np.zeros((4, 4000, 1))
        noise = rng.normal(size=draws.shape) * math.sqrt(1 - rho**2)
        draws[:, 0] = noise[:, 0]
        for step in range(1, 4000):
            draws[:, step] = rho * draws[:, step - 1] + noise[:, step]
        assert effective_sample_size(draws)[0] == pytest.approx(16000 * (1 - rho) / (1 + rho), rel=0.12)
    assert np.isnan(effective_sample_size(np.zeros((2, 10, 1)))).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior_scale": 0.0}, "prior_scale must be above 0"),
        ({"rationality": float("inf")}, "rationality must be above 0"),
        ({"prior": "uniform"}, "prior must be gaussian or laplace"),
        ({"num_chains": 1}, "num_chains must be at least 2"),
        ({"num_draws": 3}, "num_draws must be at least 4"),
        ({"level": 0.0}, "level must be between 0 and 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BayesianConfig(**settings)


def test_too_many_states_are_refused() -> None:
    world = open_grid(21, 20, horizon=1)
    seen = demonstrations_from(world, np.array([0, 1]), np.array([1]), np.array([1]))
    with pytest.raises(ConfigError, match="takes at most 400 states, and the world has 420; choose mce"):
        Bayesian().fit(seen)

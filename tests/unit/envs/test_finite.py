"""The finite check that every world passes through."""

import re

import numpy as np
import pytest

from heeler.core.errors import WorldError
from heeler.envs import EnvConfig, make
from heeler.envs.classic import ClassicWorld
from heeler.envs.world import check_finite


def test_finite_numbers_pass():
    check_finite(np.ones((3, 2), np.float32), np.ones(3), env_id="x", step=1)


def test_large_finite_numbers_pass_although_their_sum_is_not_finite():
    check_finite(np.full((9, 2), 3e38, np.float32), np.ones(9), env_id="x", step=1)
    check_finite(np.ones((9, 2), np.float32), np.full(9, 3e38), env_id="x", step=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_bad_environment_is_named(bad: float):
    observation, reward = np.ones((4, 2), np.float32), np.ones(4)
    reward[3] = bad
    with pytest.raises(WorldError, match=f"x: environment 3 gave a non-finite reward {bad} at step 12;"):
        check_finite(observation, reward, env_id="x", step=12)
    observation[2, 1] = bad
    with pytest.raises(WorldError, match=rf"environment 2 gave a non-finite observation \[ +1. {bad}\]"):
        check_finite(observation, reward, env_id="x", step=12)


@pytest.mark.parametrize("large", [1e39, -1e300])
def test_a_reward_too_large_to_learn_from_is_named(large: float):
    reward = np.ones(4)
    reward[2] = large
    with pytest.raises(WorldError, match=rf"x: environment 2 gave the reward {re.escape(str(large))}, too large"):
        check_finite(np.ones((4, 2), np.float32), reward, env_id="x", step=12)


def test_infinities_that_cancel_are_found():
    observation = np.array([[np.inf, 0.0], [-np.inf, 0.0]], np.float32)
    with pytest.raises(WorldError, match="environment 0 "):
        check_finite(observation, np.zeros(2), env_id="x", step=1)


def test_a_batched_world_names_environment_and_steps():
    world = make(EnvConfig(id="Pendulum-v1", num_envs=3), seed=0)
    assert isinstance(world, ClassicWorld)
    world.reset()
    world.step(np.zeros((3, 1), np.float32))
    state = world.physics()
    state[1, 1] = np.nan
    world.set_physics(state)
    with pytest.raises(WorldError, match=r"Pendulum-v1: environment 1 .* at step 2 \(step 2 of its episode\)"):
        world.step(np.zeros((3, 1), np.float32))

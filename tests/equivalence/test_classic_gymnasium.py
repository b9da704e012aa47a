"""heeler's batched classic control against Gymnasium's own environments, step for step, over 1,000 steps each.

Both sides begin in the same state and then run freely on the same actions. Observations, terminated and truncated must
be equal to the last bit; so must rewards, but for Pendulum's, which must agree to 1e-9: Gymnasium squares the torque by
the C library's power function in float32.
"""

from typing import Any

import gymnasium
import numpy as np
import pytest

from heeler.envs import EnvConfig, make
from heeler.envs.classic import ClassicWorld

NUM_ENVS, NUM_STEPS = 8, 1000
CASES: list[tuple[str, dict[str, Any], float]] = [
    ("CartPole-v1", {}, 0.0),
    ("CartPole-v1", {"sutton_barto_reward": True}, 0.0),
    ("CartPole-v1", {"max_episode_steps": 9}, 0.0),
    ("Pendulum-v1", {}, 1e-9),
    ("Pendulum-v1", {"g": 9.81}, 1e-9),
    ("MountainCar-v0", {}, 0.0),
    ("MountainCar-v0", {"goal_velocity": 0.02}, 0.0),
    ("MountainCarContinuous-v0", {}, 0.0),
    ("Acrobot-v1", {}, 0.0),
]


def put(env: gymnasium.Env[Any, Any], state: np.ndarray) -> None:
    """Reset Gymnasium's environment, but into a given state, in the type that its own reset gives the state."""
    env.reset()
    inner: Any = env.unwrapped
    if isinstance(inner.state, tuple):
        inner.state = tuple(state)
    else:
        inner.state = state.astype(inner.state.dtype)


def choose(world: ClassicWorld) -> np.ndarray:
    """Random actions; in the mountain cars along the velocity, so that the flag is reached."""
    if world.env_id == "MountainCar-v0":
        return np.where(world.physics()[:, 1] >= 0, 2, 0)
    actions = world.action_space.sample()
    if world.env_id == "MountainCarContinuous-v0":
        actions = (np.abs(actions) * 1.5 * np.where(world.physics()[:, 1:] >= 0, 1, -1)).astype(np.float32)
    return actions


@pytest.mark.parametrize(("env_id", "kwargs", "reward_tolerance"), CASES)
def test_equal_to_gymnasium(env_id: str, kwargs: dict[str, Any], reward_tolerance: float):
    world = make(EnvConfig(id=env_id, num_envs=NUM_ENVS, kwargs=kwargs), seed=5)
    assert isinstance(world, ClassicWorld)
    others = [gymnasium.make(env_id, **kwargs) for _ in range(NUM_ENVS)]
    assert world.single_observation_space == others[0].observation_space
    assert world.single_action_space == others[0].action_space
    world.reset()
    for other, state in zip(others, world.physics(), strict=True):
        put(other, state)
    world.action_space.seed(6)
    num_ended = 0
    for step in range(NUM_STEPS):
        actions = choose(world)
        observation, reward, terminated, truncated, infos = world.step(actions)
        states = world.physics()
        for index, other in enumerate(others):
            expected, expected_reward, *expected_flags, _ = other.step(actions[index])
            ended = terminated[index] or truncated[index]
            reached = infos["final_obs"][index] if ended else observation[index]
            place = f"step {step}, environment {index}"
            np.testing.assert_array_equal(reached, expected, err_msg=place)
            assert abs(reward[index] - float(expected_reward)) <= reward_tolerance, place
            assert [terminated[index], truncated[index]] == expected_flags, place
            if ended:
                put(other, states[index])
                num_ended += 1
    assert num_ended >= NUM_ENVS, "the test must see episodes end"


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "MountainCar-v0", "Acrobot-v1"])
def test_first_states_are_spread_as_gymnasiums(env_id: str):
    """Means and deviations of 2,000 first observations against 2,000 of Gymnasium's; within six standard errors."""
    number = 2000
    mine = make(EnvConfig(id=env_id, num_envs=number), seed=5).reset()[0]
    other = gymnasium.make(env_id)
    other.reset(seed=6)
    theirs = np.array([other.reset()[0] for _ in range(number)])
    error = np.maximum(theirs.std(axis=0), 1e-7) * np.sqrt(2 / number)
    assert (np.abs(mine.mean(axis=0) - theirs.mean(axis=0)) < 6 * error + 1e-6).all()
    assert (np.abs(mine.std(axis=0) - theirs.std(axis=0)) < 6 * error + 1e-6).all()

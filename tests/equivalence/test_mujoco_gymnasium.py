"""heeler's batched MuJoCo worlds against Gymnasium's v5 tasks, step for step, over random rollouts of 1,000 steps.

Both sides begin in the same state and then run freely on the same actions. Observations, terminated and truncated must
be equal to the last bit of float32; rewards to 1e-12, as a sum over a batch may round differently from a sum over a
vector. Where an episode ends, Gymnasium's copy is put into the state that the world begins anew with.
"""

from collections.abc import Iterator
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest

from heeler.envs import EnvConfig, make
from heeler.envs.mujoco_batch import BatchedMujoco

NUM_ENVS, NUM_STEPS, REWARD_TOLERANCE = 2, 1000, 1e-12
ENDLESS: dict[str, Any] = {"terminate_when_unhealthy": False}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Hopper-v5", {}),
    ("Hopper-v5", ENDLESS),
    ("Hopper-v5", {"exclude_current_positions_from_observation": False, "healthy_state_range": (-2.0, 2.0)}),
    ("Hopper-v5", {"forward_reward_weight": 2.0, "ctrl_cost_weight": 0.1, "healthy_reward": 0.5, "frame_skip": 2}),
    ("HalfCheetah-v5", {}),
    ("HalfCheetah-v5", {"exclude_current_positions_from_observation": False, "ctrl_cost_weight": 1.0}),
    ("Walker2d-v5", {}),
    ("Walker2d-v5", ENDLESS),
    ("Swimmer-v5", {}),
    ("Swimmer-v5", {"exclude_current_positions_from_observation": False, "forward_reward_weight": 3.0}),
    ("Ant-v5", {}),
    ("Ant-v5", ENDLESS),
    ("Ant-v5", {"include_cfrc_ext_in_observation": False, "main_body": "aux_1", "contact_force_range": (-9.0, 9.0)}),
    ("Humanoid-v5", {}),
    ("Humanoid-v5", ENDLESS),
    ("Humanoid-v5", {"include_cinert_in_observation": False, "include_cvel_in_observation": False}),
    ("Humanoid-v5", {"include_qfrc_actuator_in_observation": False, "include_cfrc_ext_in_observation": False}),
    ("Reacher-v5", {}),
    ("Reacher-v5", {"max_episode_steps": 1000, "reward_control_weight": 0.1}),
    ("InvertedPendulum-v5", {}),
    ("InvertedPendulum-v5", {"reset_noise_scale": 0.1}),
    ("InvertedDoublePendulum-v5", {}),
    ("InvertedDoublePendulum-v5", {"healthy_reward": 1.0}),
]


@pytest.fixture(autouse=True)
def quiet_mujoco() -> Iterator[None]:
    """MuJoCo writes notices about Gymnasium's older files to a log in the working directory."""
    mujoco.set_mju_user_warning(lambda _message: None)
    yield
    mujoco.set_mju_user_warning(None)


def put(env: gymnasium.Env[Any, Any], qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
    """Reset Gymnasium's environment, but into a given state; returns its observation."""
    env.reset()
    inner: Any = env.unwrapped
    mujoco.mj_resetData(inner.model, inner.data)
    inner.set_state(qpos, qvel)
    return inner._get_obs()


@pytest.mark.parametrize(("env_id", "kwargs"), CASES)
def test_equal_to_gymnasium(env_id: str, kwargs: dict[str, Any]):
    world = make(EnvConfig(id=env_id, num_envs=NUM_ENVS, num_threads=1, kwargs=kwargs), seed=5)
    assert isinstance(world, BatchedMujoco)
    others = [gymnasium.make(env_id, **kwargs) for _ in range(NUM_ENVS)]
    assert world.single_observation_space.shape == others[0].observation_space.shape
    assert world.single_action_space == others[0].action_space
    observation, _ = world.reset()
    for index, other in enumerate(others):
        np.testing.assert_array_equal(observation[index], put(other, *rows(world, index)).astype(np.float32))
    world.action_space.seed(6)
    for step in range(NUM_STEPS):
        actions = world.action_space.sample() * 1.3  # beyond the limits too, which both must treat alike
        observation, reward, terminated, truncated, infos = world.step(actions)
        for index, other in enumerate(others):
            expected, expected_reward, *expected_flags, _ = other.step(actions[index])
            ended = terminated[index] or truncated[index]
            reached = infos["final_obs"][index] if ended else observation[index]
            place = f"step {step}, environment {index}"
            np.testing.assert_array_equal(reached, expected.astype(np.float32), err_msg=place)
            assert abs(reward[index] - expected_reward) <= REWARD_TOLERANCE, place
            assert [terminated[index], truncated[index]] == expected_flags, place
            if ended:
                first = put(other, *rows(world, index)).astype(np.float32)
                np.testing.assert_array_equal(observation[index], first, err_msg=place)
    for other in others:
        other.close()


def rows(world: BatchedMujoco, index: int) -> tuple[np.ndarray, np.ndarray]:
    qpos, qvel = world.physics()
    return qpos[index], qvel[index]


@pytest.mark.parametrize("env_id", ["Hopper-v5", "HalfCheetah-v5", "Ant-v5"])
def test_the_whole_state_stays_equal_in_float64(env_id: str):
    """Not only what is observed: positions and velocities after 1,000 steps, to the last bit."""
    kwargs = {} if env_id == "HalfCheetah-v5" else ENDLESS
    world = make(EnvConfig(id=env_id, num_envs=1, kwargs={**kwargs, "max_episode_steps": 2000}), seed=5)
    assert isinstance(world, BatchedMujoco)
    other = gymnasium.make(env_id, max_episode_steps=2000, **kwargs)
    world.reset()
    put(other, *rows(world, 0))
    world.action_space.seed(6)
    for _ in range(NUM_STEPS):
        actions = world.action_space.sample()
        world.step(actions)
        other.step(actions[0])
    qpos, qvel = rows(world, 0)
    data: Any = other.unwrapped
    np.testing.assert_array_equal(qpos, data.data.qpos)
    np.testing.assert_array_equal(qvel, data.data.qvel)
    other.close()


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Ant-v5"])
def test_threads_and_neighbours_change_nothing(env_id: str):
    """Environment 0 of a batch of 5 on 3 threads runs as it does alone."""
    alone = make(EnvConfig(id=env_id, num_envs=1, num_threads=1), seed=5)
    crowd = make(EnvConfig(id=env_id, num_envs=5, num_threads=3), seed=6)
    assert isinstance(alone, BatchedMujoco) and isinstance(crowd, BatchedMujoco)
    alone.reset()
    crowd.reset()
    qpos, qvel = rows(alone, 0)
    crowd.set_physics(qpos[None], qvel[None], np.array([0]))
    crowd.action_space.seed(7)
    for _ in range(300):
        actions = crowd.action_space.sample()
        in_crowd, in_crowd_reward, *_ = crowd.step(actions)
        by_itself, reward, terminated, *_ = alone.step(actions[:1])
        if terminated.any():
            break
        np.testing.assert_array_equal(in_crowd[0], by_itself[0])
        assert in_crowd_reward[0] == reward[0]


def test_first_states_are_spread_as_gymnasiums():
    """Means and deviations of 2,000 first states against 2,000 of Gymnasium's; each within six standard errors."""
    number = 2000
    for env_id in ("Hopper-v5", "HalfCheetah-v5", "Ant-v5", "Reacher-v5", "InvertedDoublePendulum-v5"):
        mine = make(EnvConfig(id=env_id, num_envs=number, num_threads=1), seed=5).reset()[0]
        other = gymnasium.make(env_id)
        other.reset(seed=6)
        theirs = np.array([other.reset()[0] for _ in range(number)], np.float32)
        deviation = np.maximum(theirs.std(axis=0), 1e-7)
        error = deviation * np.sqrt(2 / number)
        assert (np.abs(mine.mean(axis=0) - theirs.mean(axis=0)) < 6 * error + 1e-6).all(), env_id
        assert (np.abs(mine.std(axis=0) - theirs.std(axis=0)) < 6 * error + 1e-6).all(), env_id
        other.close()

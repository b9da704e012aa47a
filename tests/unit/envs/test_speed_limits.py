"""Runners under a speed limit: the bodies are Gymnasium's, the costs are what its own infos say they should be."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig, make

LIMITS = {
    "AntVelocity": 2.6222,
    "HalfCheetahVelocity": 3.2096,
    "HopperVelocity": 0.7402,
    "SwimmerVelocity": 0.2282,
    "Walker2dVelocity": 2.3415,
}


def limited(env_id: str, num_envs: int = 1, **kwargs: Any) -> Any:
    return make(EnvConfig(id=env_id, num_envs=num_envs, kwargs=kwargs), seed=5)


@pytest.mark.parametrize("env_id", LIMITS)
def test_costs_are_those_of_the_speed_that_gymnasium_tells(env_id: str):
    sees = {"include_cfrc_ext_in_observation": False} if env_id == "AntVelocity" else {}
    env: Any = gymnasium.make(env_id.replace("Velocity", "-v5"), **sees).unwrapped
    env.reset(seed=1)
    world = limited(env_id, speed_limit=0.4)
    world.reset(seed=1)
    world.set_physics(env.data.qpos[None], env.data.qvel[None])
    rng = np.random.default_rng(0)
    fast = []
    for _ in range(60):
        action = rng.uniform(-1, 1, world.single_action_space.shape).astype(np.float32)
        observation, reward, terminated, _, info = env.step(action)
        own_observation, own_reward, _, _, infos = world.step(action[None])
        speed = np.hypot(info["x_velocity"], info["y_velocity"] if env_id == "AntVelocity" else 0.0)
        np.testing.assert_allclose(own_reward[0], reward, atol=1e-9)
        np.testing.assert_allclose(infos["cost"], [[speed > 0.4, np.square(action).mean()]], rtol=1e-6)
        fast.append(speed > 0.4)
        if terminated:
            break
        np.testing.assert_allclose(own_observation[0], observation, atol=1e-6)
    assert len(set(fast)) == 2


@pytest.mark.parametrize(("env_id", "limit"), LIMITS.items())
def test_each_task_has_the_limit_that_the_field_uses(env_id: str, limit: float):
    assert limited(env_id).speed_limit == limit


def test_a_new_episode_is_not_charged_for_the_way_back_to_its_start():
    world = limited("HopperVelocity", 4, speed_limit=50.0)
    world.reset()
    for _ in range(200):
        assert not world.step(np.ones((4, 3), np.float32))[4]["cost"][:, 0].any()


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf")])
def test_a_limit_that_cannot_be_is_refused(limit: float):
    with pytest.raises(ConfigError, match="HopperVelocity: speed_limit must be > 0"):
        limited("HopperVelocity", speed_limit=limit)

"""Worlds with another gravity, beside worlds that keep theirs."""

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig, make
from heeler.envs.mujoco_gravity import has_gravity, make_heavier


def fallen(world) -> np.ndarray:
    """Heights after a few steps of doing nothing."""
    world.reset(seed=0)
    for _ in range(5):
        observation, *_ = world.step(np.zeros(world.action_space.shape, np.float32))
    world.close()
    return observation[:, 0]


@pytest.mark.parametrize("name", ["Hopper-v5", "Ant-v5", "InvertedPendulum-v5"])
def test_what_is_heavier_moves_otherwise_and_other_worlds_stay_as_they_are(name):
    config = EnvConfig(id=name, num_envs=2)
    before = fallen(make(config, 0))
    heavier = fallen(make_heavier(config, 0, 3.0))
    np.testing.assert_array_equal(fallen(make(config, 0)), before)
    np.testing.assert_array_equal(fallen(make_heavier(config, 0, 1.0)), before)
    if name == "Hopper-v5":
        assert (heavier < before).all()
    assert (heavier != before).all()


def test_worlds_without_a_gravity_to_change_are_refused():
    assert not has_gravity(EnvConfig(id="Pendulum-v1"))
    with pytest.raises(ConfigError, match="Pendulum-v1: only batched MuJoCo worlds take another gravity"):
        make_heavier(EnvConfig(id="Pendulum-v1"), 0, 2.0)
    with pytest.raises(ConfigError, match="got -1"):
        make_heavier(EnvConfig(id="Hopper-v5"), 0, -1.0)

"""From a configuration to a world, and what is refused on the way."""

import re
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig, World, make
from heeler.envs.gymnasium_adapter import GymnasiumWorld
from heeler.envs.mujoco_model import load_model
from heeler.envs.mujoco_planar import Hopper
from heeler.envs.world import BatchedWorld


@pytest.mark.parametrize(("vectorization", "kind"), [("auto", Hopper), ("batched", Hopper), ("sync", GymnasiumWorld)])
def test_vectorization(vectorization: Any, kind: type[World]):
    assert type(make(EnvConfig(id="Hopper-v5", num_envs=2, vectorization=vectorization), seed=0)) is kind


def test_auto_takes_gymnasiums_own_where_none_is_batched():
    assert type(make(EnvConfig(id="Blackjack-v1", num_envs=2), seed=0)) is GymnasiumWorld


def test_settings_reach_the_world():
    config = EnvConfig(id="Hopper-v5", num_envs=2, num_threads=1, kwargs={"max_episode_steps": 5, "frame_skip": 2})
    world = make(config, seed=0)
    assert isinstance(world, Hopper)
    assert (world.max_episode_steps, world.frame_skip, world.num_threads, world.dt) == (5, 2, 1, 0.004)


def test_a_range_reaches_the_world_whether_from_a_file_or_not():
    for limits in ((0.5, float("inf")), [0.5, "inf"]):
        world = make(EnvConfig(id="Hopper-v5", num_envs=1, kwargs={"healthy_z_range": limits}), seed=0)
        assert isinstance(world, Hopper)
        assert list(world._healthy_z_range) == [0.5, float("inf")]


def test_threads_default_to_the_cores_and_never_exceed_the_environments():
    assert isinstance(world := make(EnvConfig(id="Hopper-v5", num_envs=1, num_threads=9), seed=0), Hopper)
    assert world.num_threads == 1
    assert isinstance(world := make(EnvConfig(id="Hopper-v5", num_envs=999), seed=0), Hopper)
    assert world.num_threads >= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"id": "hoper-v5"}, "no world 'hoper-v5' is known. Did you mean 'Hopper-v5'?"),
        ({"id": "backflp"}, "Did you mean 'Backflip'?"),
        ({"id": "FrozenLak-v1"}, "Did you mean 'FrozenLake-v1'?"),
        ({"id": "Hopper-v5", "kwargs": {"healthy_rewad": 1}}, "'healthy_rewad'. Did you mean 'healthy_reward'?"),
        ({"id": "CartPole-v1", "kwargs": {"max_steps": 1}}, "CartPole-v1 has no setting 'max_steps'"),
        ({"id": "CartPole-v1", "kwargs": {"max_episode_steps": 0}}, "whole number above 0, got 0"),
        (
            {"id": "CartPole-v1", "kwargs": {"max_episode_steps": "9"}},
            "max_episode_steps: Input should be a valid integer, got '9'",
        ),
        ({"id": "Hopper-v5", "kwargs": {"healthy_z_range": [1, 2, 3]}}, "healthy_z_range: Tuple should have at most 2"),
        ({"id": "Backflip", "vectorization": "sync"}, "Backflip is heeler's own and always batched"),
        ({"id": "Blackjack-v1", "vectorization": "batched"}, "Blackjack-v1 is not batched"),
        ({"id": "CartPole-v1", "num_threads": 2}, "CartPole-v1 has no use for num_threads=2"),
        ({"id": "Hopper-v5", "vectorization": "sync", "num_threads": 2}, "Hopper-v5 has no use for num_threads=2"),
        ({"id": "Hopper-v5", "num_envs": 0}, "num_envs must be at least 1, got 0"),
        ({"id": "Hopper-v5", "num_threads": 0}, "num_threads must be at least 1, or None for one a core, got 0"),
        ({"id": "Hopper-v5", "vectorization": "asinc"}, "got 'asinc'. Did you mean 'async'?"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=re.escape(message)):
        make(EnvConfig(**settings), seed=0)


def test_reset_options_that_would_be_ignored_are_refused():
    world = make(EnvConfig(id="CartPole-v1", num_envs=2), seed=0)
    assert isinstance(world, BatchedWorld)
    with pytest.raises(ConfigError, match="takes no reset options, got"):
        world.reset(options={"low": 0.0})


def test_loading_a_model_leaves_no_log_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """MuJoCo has a notice about the file that Gymnasium ships for HalfCheetah."""
    monkeypatch.chdir(tmp_path)
    load_model.cache_clear()
    make(EnvConfig(id="HalfCheetah-v5", num_envs=1), seed=0).reset()
    assert not list(tmp_path.iterdir())

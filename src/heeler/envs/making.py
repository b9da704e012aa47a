"""From a name to a world."""

from collections.abc import Callable, Mapping

import gymnasium

from heeler.core.errors import ConfigError, did_you_mean
from heeler.envs.backflip import Backflip
from heeler.envs.classic import Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum
from heeler.envs.config import EnvConfig, check_settings
from heeler.envs.courses import CarGoal, PointGoal
from heeler.envs.gymnasium_adapter import GymnasiumWorld
from heeler.envs.lava_grid import LavaGrid
from heeler.envs.mujoco_arms import InvertedDoublePendulum, InvertedPendulum, Reacher
from heeler.envs.mujoco_batch import BatchedMujoco
from heeler.envs.mujoco_planar import HalfCheetah, Hopper, Swimmer, Walker2d
from heeler.envs.mujoco_spatial import Ant, Humanoid
from heeler.envs.pettingzoo_adapter import AgentsWorld
from heeler.envs.point_maze import PointMaze
from heeler.envs.speed_limits import AntVelocity, HalfCheetahVelocity, HopperVelocity, SwimmerVelocity, Walker2dVelocity
from heeler.envs.world import World

MUJOCO_WORLDS: Mapping[str, Callable[..., BatchedMujoco]] = {
    "Ant-v5": Ant,
    "AntVelocity": AntVelocity,
    "Backflip": Backflip,
    "CarGoal": CarGoal,
    "HalfCheetah-v5": HalfCheetah,
    "HalfCheetahVelocity": HalfCheetahVelocity,
    "Hopper-v5": Hopper,
    "HopperVelocity": HopperVelocity,
    "Humanoid-v5": Humanoid,
    "InvertedDoublePendulum-v5": InvertedDoublePendulum,
    "InvertedPendulum-v5": InvertedPendulum,
    "PointGoal": PointGoal,
    "Reacher-v5": Reacher,
    "Swimmer-v5": Swimmer,
    "SwimmerVelocity": SwimmerVelocity,
    "Walker2d-v5": Walker2d,
    "Walker2dVelocity": Walker2dVelocity,
}
CLASSIC_WORLDS: Mapping[str, Callable[..., World]] = {
    "Acrobot-v1": Acrobot,
    "CartPole-v1": CartPole,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "Pendulum-v1": Pendulum,
    "PointMaze": PointMaze,
}
GRID_WORLDS: Mapping[str, Callable[..., World]] = {"LavaGrid": LavaGrid}
WORLD_IDS: tuple[str, ...] = (*MUJOCO_WORLDS, *CLASSIC_WORLDS, *GRID_WORLDS)
"""The worlds that heeler steps in batches and draws itself."""


def make(config: EnvConfig, seed: int) -> World:
    """The world that `config` describes; its first `reset()` begins the random streams that `seed` names.

    Raises:
        ConfigError: no world of that name, a setting that it does not take, or one that it would ignore.
    """
    if config.agents is not None:
        world = _of_agents(config)
    elif config.id in WORLD_IDS and config.vectorization in ("auto", "batched"):
        world = _batched(config)
    else:
        world = _adapted(config)
    world.seed(seed)
    return world


def _batched(config: EnvConfig) -> World:
    build = MUJOCO_WORLDS.get(config.id) or (CLASSIC_WORLDS.get(config.id) or GRID_WORLDS[config.id])
    check_settings(config.id, build, config.kwargs)
    if not config.check_bounds:
        raise ConfigError(f"{config.id} keeps its bounds: check_bounds is for foreign worlds; leave it out")
    if config.costs:
        raise ConfigError(f"{config.id} names its costs itself: env.costs is for foreign worlds; leave it out")
    if config.id in MUJOCO_WORLDS:
        return build(config.num_envs, config.num_threads, **config.kwargs)
    _refuse_threads(config)
    return build(config.num_envs, **config.kwargs)


def _adapted(config: EnvConfig) -> GymnasiumWorld:
    known = (*WORLD_IDS, *gymnasium.registry)
    if config.id not in known and ":" not in config.id:
        raise ConfigError(
            f"no world {config.id!r} is known.{did_you_mean(config.id, known)} "
            f"Expected one of {', '.join(WORLD_IDS)}, a Gymnasium id, or module:Class"
        )
    if config.vectorization == "batched":
        raise ConfigError(f"{config.id} is not batched, only {', '.join(WORLD_IDS)} are; set vectorization to 'auto'")
    if config.id in WORLD_IDS and config.id not in gymnasium.registry:
        raise ConfigError(f"{config.id} is heeler's own and always batched; set vectorization to 'auto'")
    _refuse_threads(config)
    return GymnasiumWorld(config)


def _of_agents(config: EnvConfig) -> AgentsWorld:
    if ":" not in config.id:
        raise ConfigError(
            f"{config.id} is no world of several agents: env.agents is for module:NAME of what makes a ParallelEnv; "
            "leave it out"
        )
    _refuse_threads(config)
    return AgentsWorld(config)


def _refuse_threads(config: EnvConfig) -> None:
    if (config.num_threads or 1) > 1:
        raise ConfigError(
            f"{config.id} has no use for num_threads={config.num_threads}: only batched MuJoCo worlds have threads; "
            "leave it out"
        )

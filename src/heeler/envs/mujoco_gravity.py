"""The batched MuJoCo worlds with another gravity: dynamics that nobody learned in."""

from heeler.core.errors import ConfigError
from heeler.envs.config import EnvConfig
from heeler.envs.making import MUJOCO_WORLDS, make
from heeler.envs.mujoco_model import gravity_times
from heeler.envs.world import World


def has_gravity(config: EnvConfig) -> bool:
    """Whether `make_heavier` takes it: a batched MuJoCo world."""
    return config.id in MUJOCO_WORLDS and config.vectorization in ("auto", "batched") and config.agents is None


def make_heavier(config: EnvConfig, seed: int, factor: float) -> World:
    """As `make`, with gravity times `factor`.

    Raises:
        ConfigError: it is no batched MuJoCo world, or `factor` is negative.
    """
    if not has_gravity(config) or not factor >= 0:
        raise ConfigError(f"{config.id}: only batched MuJoCo worlds take another gravity, >= 0; got {factor}")
    with gravity_times(factor):
        return make(config, seed)

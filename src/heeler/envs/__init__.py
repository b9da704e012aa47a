"""Worlds: batched MuJoCo, classic control, and adapters for Gymnasium. All speak `gymnasium.vector.VectorEnv`."""

from heeler.envs.config import EnvConfig
from heeler.envs.drawing import DRAWN_IDS, draw, write_webp
from heeler.envs.making import WORLD_IDS, make
from heeler.envs.world import World

__all__ = ["DRAWN_IDS", "WORLD_IDS", "EnvConfig", "World", "draw", "make", "write_webp"]

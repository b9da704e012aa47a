"""Worlds: batched MuJoCo, classic control, courses and grids with costs, and adapters for Gymnasium and PettingZoo.

All speak `gymnasium.vector.VectorEnv`.
"""

from heeler.envs.config import AgentsConfig, EnvConfig
from heeler.envs.drawing import DRAWN_IDS, draw, write_webp
from heeler.envs.making import WORLD_IDS, make
from heeler.envs.world import World

__all__ = ["DRAWN_IDS", "WORLD_IDS", "AgentsConfig", "EnvConfig", "World", "draw", "make", "write_webp"]

"""The nearest action within linear constraints. Shapes: B rows, M constraints, A action numbers."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box

from heeler.core.errors import ConfigError, WorldError
from heeler.core.functions import load_function
from heeler.envs import World
from heeler.ops.polytope import is_within, nearest_in_polytope
from heeler.safety.shields.config import ProjectionConfig


class Projection:
    """Actions brought within G a <= h and their bounds, each by the shortest way.

    Args:
        config: the constraints.
        world: one of those that are shielded.

    Raises:
        ConfigError: actions are not Box, constraints are of another size, or no action satisfies them.
    """

    def __init__(self, config: ProjectionConfig, world: World) -> None:
        space = world.single_action_space
        if not isinstance(space, Box):
            raise ConfigError(f"shield.projection is for Box actions; {world.env_id} has {space}")
        self._low, self._high = space.low.astype(np.float64), space.high.astype(np.float64)
        self._margin, self._name = config.margin, config.function
        self._function = load_function(config.function) if config.function else None
        self._matrix, self._limit = np.array(config.matrix), np.array(config.limit)
        if self._function is not None:
            return
        if self._matrix.shape[1] != space.shape[0]:
            raise ConfigError(
                f"shield.projection.matrix must have rows of {space.shape[0]} numbers, as an action of {world.env_id} "
                f"has; got {self._matrix.shape[1]}"
            )
        _, exists = self.nearest(np.zeros((1, 0)), np.zeros((1, space.shape[0])))
        if not exists[0]:
            raise ConfigError(
                f"no action of {world.env_id} satisfies shield.projection within its bounds {space}; loosen a limit, "
                "or lower the margin"
            )

    def nearest(self, observation_BO: np.ndarray, action_BA: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[B, A] float32 the nearest actions that satisfy everything, and [B] whether there is one.

        What satisfies everything already is left as it is, bit for bit.
        """
        normal_BMA, limit_BM = self._constraints(observation_BO)
        length_BM = np.linalg.norm(normal_BMA, axis=-1)
        found_BA, exists_B = nearest_in_polytope(
            action_BA, normal_BMA, limit_BM - self._margin * length_BM, self._low, self._high
        )
        found_BA = found_BA.astype(np.float32)
        kept_B = is_within(action_BA.astype(np.float64), normal_BMA, limit_BM) & (
            (action_BA >= self._low) & (action_BA <= self._high)
        ).all(-1)
        return np.where(kept_B[:, None], action_BA, found_BA).astype(np.float32), exists_B | kept_B

    def _constraints(self, observation_BO: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        num_rows = len(observation_BO)
        if self._function is None:
            matrix, limit = self._matrix, self._limit
            return np.broadcast_to(matrix, (num_rows, *matrix.shape)), np.broadcast_to(limit, (num_rows, len(limit)))
        given: Any = self._function(observation_BO)
        normal_BMA, limit_BM = (np.asarray(part, np.float64) for part in given)
        if normal_BMA.shape != (*limit_BM.shape, len(self._low)) or len(normal_BMA) != num_rows:
            raise WorldError(
                f"{self._name} must give G [B, M, A] and h [B, M] for B={num_rows} observations and A="
                f"{len(self._low)}; got {list(normal_BMA.shape)} and {list(limit_BM.shape)}"
            )
        if not (np.isfinite(normal_BMA).all() and np.isfinite(limit_BM).all()):
            raise WorldError(f"{self._name} must give finite numbers; G or h has others")
        return normal_BMA, limit_BM

"""`PointMaze`: a point in a room whose wall has one gap, on the left or on the right.

The way to the goal leads through the gap, so that where the gap is changes what to do and not what is wanted: worlds
with the gap on either side differ in their dynamics alone (after the shifting maze of Fu et al. 2018, arXiv
1710.11248).
"""

from typing import Any, Literal

import numpy as np
from gymnasium.spaces import Box

from heeler.core.errors import ConfigError
from heeler.envs.classic import ClassicWorld
from heeler.envs.scenes_classic import MAZE_GAP_END, MAZE_GOAL
from heeler.envs.world import BatchedWorld


class PointMaze(ClassicWorld):
    """Move to the goal beyond the wall; an episode is always of the same length.

    Observation: x and y, each from −1 to 1. Actions: velocities along x and y, each from −1 to 1, of which a tenth is
    covered in a step. What would cross the wall beside the gap stops there. Reward: minus the distance to the goal.

    Args:
        num_envs: N.
        gap: on which side the wall is open.
        max_episode_steps: after so many an episode is cut.

    Raises:
        ConfigError: `gap` is no side.
    """

    metadata: dict[str, Any] = BatchedWorld.metadata | {"render_fps": 15}
    SPEED = 0.1

    def __init__(self, num_envs: int, *, gap: Literal["left", "right"] = "left", max_episode_steps: int = 80):
        if gap not in ("left", "right"):
            raise ConfigError(f"PointMaze: gap must be left or right, got {gap!r}")
        super().__init__(
            "PointMaze",
            num_envs,
            num_variables=3,
            observation_high=np.ones(2),
            action_space=Box(-1.0, 1.0, (2,), np.float32),
            max_episode_steps=max_episode_steps,
        )
        self._side = -1.0 if gap == "left" else 1.0

    def _first_states(self, count: int) -> np.ndarray:
        x, y = self.np_random.uniform(-0.2, 0.2, count), self.np_random.uniform(-0.8, -0.6, count)
        # The side of the gap never changes; it stands in the state for the picture's sake.
        return np.stack((x, y, np.full(count, self._side)))

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place = self._state[:2]
        move = self.SPEED * np.clip(actions.T.astype(np.float64), -1.0, 1.0)
        after = np.clip(place + move, -1.0, 1.0)
        crosses = (place[1] < 0) != (after[1] < 0)
        # Where the way from here to there meets the wall.
        share = np.where(crosses, place[1] / np.where(crosses, place[1] - after[1], 1.0), 0.0)
        meets = place[0] + share * (after[0] - place[0])
        stopped = crosses & (self._side * meets < MAZE_GAP_END)
        # A little before the wall, on the side that it came from.
        after[1] = np.where(stopped, np.where(place[1] < 0, -1e-6, 0.0), after[1])
        self._state[:2] = after
        observation[:] = after.T
        return -np.hypot(after[0] - MAZE_GOAL[0], after[1] - MAZE_GOAL[1]), self._never

    def _view(self, state: np.ndarray) -> np.ndarray:
        return state[:2].T

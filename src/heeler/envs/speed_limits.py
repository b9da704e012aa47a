"""MuJoCo's runners under a speed limit: the same bodies and rewards, and two costs a step.

The limits are those of the velocity-limited tasks that the field measures itself by: half the speed that plain PPO
reaches. Bodies and rewards are those of Gymnasium's v5 here, which differ in places from the v4 ones that published
figures are of; hence names of their own.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from heeler.core.errors import ConfigError
from heeler.envs.mujoco_batch import ALL, BatchedMujoco, Rows
from heeler.envs.mujoco_planar import HalfCheetah, Hopper, PlanarRunner, Swimmer, Walker2d
from heeler.envs.mujoco_spatial import Ant
from heeler.envs.world import Info


class SpeedLimited(BatchedMujoco):
    """Mixed into a runner, adds two costs.

    `velocity`: 1 for a step in which the body was faster than the limit, whichever way, else 0. `energy`: the mean
    square of the action.

    Args:
        num_envs: N.
        num_threads: that share the physics; None for one for each core.
        speed_limit: metres a second; None for the task's own.
        max_episode_steps: after so many an episode is cut.

    Raises:
        ConfigError: the limit is not above 0.
    """

    cost_names = ("velocity", "energy")
    limited_id: ClassVar[str]
    usual_limit: ClassVar[float]
    body_settings: ClassVar[Mapping[str, Any]] = {}
    """Where the body differs from the runner's own."""

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        speed_limit: float | None = None,
        max_episode_steps: int = 1000,
    ):
        self.speed_limit = self.usual_limit if speed_limit is None else speed_limit
        if not 0 < self.speed_limit < math.inf:
            raise ConfigError(f"{self.limited_id}: speed_limit must be > 0 and finite, got {self.speed_limit}")
        settings: dict[str, Any] = {"max_episode_steps": max_episode_steps, **self.body_settings}
        # What comes next in order is the runner, which takes these; the class that this one names takes others.
        super().__init__(num_envs, num_threads, **settings)  # pyright: ignore[reportArgumentType]
        self.env_id = self.limited_id
        self._cost = np.zeros((num_envs, len(self.cost_names)))
        self._place_before = self._place(ALL).copy()
        self._carried = self._carried | {"place": self._place_before}

    def _place(self, rows: Rows) -> np.ndarray:
        """Where the bodies of the environments `rows` are: [n, 1] along x, or [n, 2]."""
        raise NotImplementedError

    def _after_set(self, rows: np.ndarray) -> None:
        super()._after_set(rows)
        self._place_before[rows] = self._place(rows)

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place = self._place(ALL)
        speed = np.linalg.norm(place - self._place_before, axis=1) / self.dt
        self._place_before[:] = place
        self._cost[:, 0] = speed > self.speed_limit
        self._cost[:, 1] = np.square(actions).mean(axis=1)
        return super()._judge(actions)

    def _infos(self) -> Info:
        return super()._infos() | {"cost": self._cost.copy()}


class _AlongX(SpeedLimited, PlanarRunner):
    def _place(self, rows: Rows) -> np.ndarray:
        return self._qpos[rows, :1]


class HopperVelocity(_AlongX, Hopper):
    """Hopper-v5 that is to stay below a speed."""

    limited_id, usual_limit = "HopperVelocity", 0.7402


class HalfCheetahVelocity(_AlongX, HalfCheetah):
    """HalfCheetah-v5 that is to stay below a speed."""

    limited_id, usual_limit = "HalfCheetahVelocity", 3.2096


class Walker2dVelocity(_AlongX, Walker2d):
    """Walker2d-v5 that is to stay below a speed."""

    limited_id, usual_limit = "Walker2dVelocity", 2.3415


class SwimmerVelocity(_AlongX, Swimmer):
    """Swimmer-v5 that is to stay below a speed."""

    limited_id, usual_limit = "SwimmerVelocity", 0.2282


class AntVelocity(SpeedLimited, Ant):
    """Ant-v5 that is to stay below a speed, in any direction, and sees no contact forces: 27 numbers, as v4 had."""

    limited_id, usual_limit = "AntVelocity", 2.6222
    body_settings: ClassVar[Mapping[str, Any]] = {"include_cfrc_ext_in_observation": False}

    def _place(self, rows: Rows) -> np.ndarray:
        return self._xpos[rows, self._main_body, :2]

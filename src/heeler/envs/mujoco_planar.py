"""Hopper, HalfCheetah, Walker2d and Swimmer: bodies in a plane that are paid for moving along x.

Each equals Gymnasium's v5 task of the same name; its settings have the same names and defaults.
"""

from typing import Any

import numpy as np

from heeler.envs.mujoco_batch import BatchedMujoco, Rows

Range = tuple[float, float]


def within(values: np.ndarray, limits: Range) -> np.ndarray:
    """Whether values lie strictly between two limits."""
    return (limits[0] < values) & (values < limits[1])


class PlanarRunner(BatchedMujoco):
    """Observation: joint positions (less the place along x, or x and y), then joint velocities.

    Reward: forward_reward_weight · dx/dt − ctrl_cost_weight · |action|² [+ healthy_reward while healthy].
    """

    num_place_positions = 1
    """How many leading joint positions say only where the body is."""
    velocity_limit = np.inf
    """Velocities are clipped to ± this in the observation."""

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        num_threads: int | None,
        *,
        forward_reward_weight: float,
        ctrl_cost_weight: float,
        reset_noise_scale: float,
        exclude_current_positions_from_observation: bool,
        **rest: Any,
    ):
        self._forward_reward_weight = forward_reward_weight
        self._ctrl_cost_weight = ctrl_cost_weight
        self._reset_noise_scale = reset_noise_scale
        self._num_skipped = self.num_place_positions if exclude_current_positions_from_observation else 0
        self._x_before = np.empty(num_envs)
        super().__init__(env_id, num_envs, num_threads, **rest)

    def _observation_size(self) -> int:
        return super()._observation_size() - self._num_skipped

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        np.copyto(self._x_before, self._qpos[:, 0])
        return super()._advance(actions, observation)

    def _observe(self, rows: Rows, observation: np.ndarray) -> None:
        positions = self._qpos[rows, self._num_skipped :]
        split = positions.shape[1]
        observation[rows, :split] = positions
        velocities = self._qvel[rows]
        if np.isfinite(self.velocity_limit):
            velocities = np.clip(velocities, -self.velocity_limit, self.velocity_limit)
        observation[rows, split:] = velocities

    def _forward_reward(self) -> np.ndarray:
        return self._forward_reward_weight * ((self._qpos[:, 0] - self._x_before) / self.dt)

    def _control_cost(self, actions: np.ndarray) -> np.ndarray:
        return self._ctrl_cost_weight * np.square(actions).sum(axis=1)

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._forward_reward() - self._control_cost(actions), self._never.copy()


class UprightRunner(PlanarRunner):
    """A runner that is also paid for staying healthy, and whose episode ends when it is not."""

    velocity_limit = 10.0

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        num_threads: int | None,
        *,
        healthy_reward: float,
        terminate_when_unhealthy: bool,
        healthy_z_range: Range,
        healthy_angle_range: Range,
        **rest: Any,
    ):
        self._healthy_reward = healthy_reward
        self._terminate_when_unhealthy = terminate_when_unhealthy
        self._healthy_z_range = healthy_z_range
        self._healthy_angle_range = healthy_angle_range
        super().__init__(env_id, num_envs, num_threads, **rest)

    def _healthy(self) -> np.ndarray:
        return within(self._qpos[:, 1], self._healthy_z_range) & within(self._qpos[:, 2], self._healthy_angle_range)

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        healthy = self._healthy()
        reward = self._forward_reward() + healthy * self._healthy_reward - self._control_cost(actions)
        return reward, ~healthy if self._terminate_when_unhealthy else self._never.copy()


class Hopper(UprightRunner):
    """Hopper-v5: one leg that hops forward."""

    xml_file = "hopper.xml"

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 4,
        forward_reward_weight: float = 1.0,
        ctrl_cost_weight: float = 1e-3,
        healthy_reward: float = 1.0,
        terminate_when_unhealthy: bool = True,
        healthy_state_range: Range = (-100.0, 100.0),
        healthy_z_range: Range = (0.7, float("inf")),
        healthy_angle_range: Range = (-0.2, 0.2),
        reset_noise_scale: float = 5e-3,
        exclude_current_positions_from_observation: bool = True,
        max_episode_steps: int = 1000,
    ):
        self._healthy_state_range = healthy_state_range
        super().__init__(
            "Hopper-v5",
            num_envs,
            num_threads,
            frame_skip=frame_skip,
            forward_reward_weight=forward_reward_weight,
            ctrl_cost_weight=ctrl_cost_weight,
            healthy_reward=healthy_reward,
            terminate_when_unhealthy=terminate_when_unhealthy,
            healthy_z_range=healthy_z_range,
            healthy_angle_range=healthy_angle_range,
            reset_noise_scale=reset_noise_scale,
            exclude_current_positions_from_observation=exclude_current_positions_from_observation,
            max_episode_steps=max_episode_steps,
        )

    def _healthy(self) -> np.ndarray:
        healthy_joints = within(self._qpos[:, 2:], self._healthy_state_range).all(axis=1)
        healthy_speeds = within(self._qvel, self._healthy_state_range).all(axis=1)
        return super()._healthy() & healthy_joints & healthy_speeds


class Walker2d(UprightRunner):
    """Walker2d-v5: two legs that walk forward."""

    xml_file = "walker2d_v5.xml"

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 4,
        forward_reward_weight: float = 1.0,
        ctrl_cost_weight: float = 1e-3,
        healthy_reward: float = 1.0,
        terminate_when_unhealthy: bool = True,
        healthy_z_range: Range = (0.8, 2.0),
        healthy_angle_range: Range = (-1.0, 1.0),
        reset_noise_scale: float = 5e-3,
        exclude_current_positions_from_observation: bool = True,
        max_episode_steps: int = 1000,
    ):
        super().__init__(
            "Walker2d-v5",
            num_envs,
            num_threads,
            frame_skip=frame_skip,
            forward_reward_weight=forward_reward_weight,
            ctrl_cost_weight=ctrl_cost_weight,
            healthy_reward=healthy_reward,
            terminate_when_unhealthy=terminate_when_unhealthy,
            healthy_z_range=healthy_z_range,
            healthy_angle_range=healthy_angle_range,
            reset_noise_scale=reset_noise_scale,
            exclude_current_positions_from_observation=exclude_current_positions_from_observation,
            max_episode_steps=max_episode_steps,
        )


class HalfCheetah(PlanarRunner):
    """HalfCheetah-v5: a two-legged runner whose episodes always last their full length."""

    xml_file = "half_cheetah.xml"
    first_velocities = "normal"

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 5,
        forward_reward_weight: float = 1.0,
        ctrl_cost_weight: float = 0.1,
        reset_noise_scale: float = 0.1,
        exclude_current_positions_from_observation: bool = True,
        max_episode_steps: int = 1000,
    ):
        super().__init__(
            "HalfCheetah-v5",
            num_envs,
            num_threads,
            frame_skip=frame_skip,
            forward_reward_weight=forward_reward_weight,
            ctrl_cost_weight=ctrl_cost_weight,
            reset_noise_scale=reset_noise_scale,
            exclude_current_positions_from_observation=exclude_current_positions_from_observation,
            max_episode_steps=max_episode_steps,
        )


class Swimmer(PlanarRunner):
    """Swimmer-v5: three links that swim along x, seen from above."""

    xml_file = "swimmer.xml"
    num_place_positions = 2

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 4,
        forward_reward_weight: float = 1.0,
        ctrl_cost_weight: float = 1e-4,
        reset_noise_scale: float = 0.1,
        exclude_current_positions_from_observation: bool = True,
        max_episode_steps: int = 1000,
    ):
        super().__init__(
            "Swimmer-v5",
            num_envs,
            num_threads,
            frame_skip=frame_skip,
            forward_reward_weight=forward_reward_weight,
            ctrl_cost_weight=ctrl_cost_weight,
            reset_noise_scale=reset_noise_scale,
            exclude_current_positions_from_observation=exclude_current_positions_from_observation,
            max_episode_steps=max_episode_steps,
        )

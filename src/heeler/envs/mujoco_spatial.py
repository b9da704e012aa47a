"""Ant and Humanoid: bodies in space, whose observation and reward hold the forces that the ground exerts on them.

Each equals Gymnasium's v5 task of the same name; its settings have the same names and defaults.
"""

from typing import Any, ClassVar, cast

import numpy as np

from heeler.envs.mujoco_batch import BatchedMujoco, Rows
from heeler.envs.mujoco_pool import ContactForcePool

Range = tuple[float, float]


class SpatialRunner(BatchedMujoco):
    """What Ant and Humanoid share: pay for moving along x and for staying healthy, cost of effort and of contacts.

    `_centre` says where the body is; `_contact_cost` and `_control_cost` are each task's own.
    """

    derived_fields: ClassVar[tuple[str, ...]]
    """`MjData` fields that a task reads after each step."""

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        num_threads: int | None,
        *,
        forward_reward_weight: float,
        ctrl_cost_weight: float,
        contact_cost_weight: float,
        healthy_reward: float,
        terminate_when_unhealthy: bool,
        healthy_z_range: Range,
        reset_noise_scale: float,
        exclude_current_positions_from_observation: bool,
        **rest: Any,
    ):
        self._forward_reward_weight = forward_reward_weight
        self._ctrl_cost_weight = ctrl_cost_weight
        self._contact_cost_weight = contact_cost_weight
        self._healthy_reward = healthy_reward
        self._terminate_when_unhealthy = terminate_when_unhealthy
        self._healthy_z_range = healthy_z_range
        self._reset_noise_scale = reset_noise_scale
        self._num_skipped = 2 if exclude_current_positions_from_observation else 0
        super().__init__(env_id, num_envs, num_threads, **rest)
        self._forces = self._simulations.bind("cfrc_ext")
        self._centre_x = np.zeros(num_envs)
        self._carried = {"centre_x": self._centre_x}

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads."""
        cast("ContactForcePool", self._simulations).close()

    def _build_simulations(self) -> ContactForcePool:
        return ContactForcePool(self.model, self.num_envs, self.num_threads, self.derived_fields)

    def _after_set(self, rows: np.ndarray) -> None:
        self._centre_x[rows] = self._centre(rows)

    def _centre(self, rows: Rows) -> np.ndarray:
        """Place along x [n] of the environments `rows`."""
        raise NotImplementedError

    def _healthy(self) -> np.ndarray:
        raise NotImplementedError

    def _control_cost(self, actions: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _contact_cost(self) -> np.ndarray:
        raise NotImplementedError

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        centre_x = self._centre(slice(None))
        forward = self._forward_reward_weight * ((centre_x - self._centre_x) / self.dt)
        self._centre_x[:] = centre_x
        healthy = self._healthy()
        costs = self._control_cost(actions) + self._contact_cost()
        reward = forward + healthy * self._healthy_reward - costs
        return reward, ~healthy if self._terminate_when_unhealthy else self._never.copy()

    def _fill(self, rows: Rows, observation: np.ndarray, parts: list[np.ndarray]) -> None:
        """Write `parts`, [n, ...] each, one after the other into the rows `rows` of `observation`."""
        start = 0
        for part in parts:
            flat = part.reshape(len(part), -1)
            observation[rows, start : start + flat.shape[1]] = flat
            start += flat.shape[1]


class Ant(SpatialRunner):
    """Ant-v5: four legs that run forward."""

    xml_file = "ant.xml"
    first_velocities = "normal"
    derived_fields = ("xpos",)

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 5,
        forward_reward_weight: float = 1.0,
        ctrl_cost_weight: float = 0.5,
        contact_cost_weight: float = 5e-4,
        healthy_reward: float = 1.0,
        main_body: int | str = 1,
        terminate_when_unhealthy: bool = True,
        healthy_z_range: Range = (0.2, 1.0),
        contact_force_range: Range = (-1.0, 1.0),
        reset_noise_scale: float = 0.1,
        exclude_current_positions_from_observation: bool = True,
        include_cfrc_ext_in_observation: bool = True,
        max_episode_steps: int = 1000,
    ):
        self._contact_force_range = contact_force_range
        self._shows_forces = include_cfrc_ext_in_observation
        super().__init__(
            "Ant-v5",
            num_envs,
            num_threads,
            frame_skip=frame_skip,
            forward_reward_weight=forward_reward_weight,
            ctrl_cost_weight=ctrl_cost_weight,
            contact_cost_weight=contact_cost_weight,
            healthy_reward=healthy_reward,
            terminate_when_unhealthy=terminate_when_unhealthy,
            healthy_z_range=healthy_z_range,
            reset_noise_scale=reset_noise_scale,
            exclude_current_positions_from_observation=exclude_current_positions_from_observation,
            max_episode_steps=max_episode_steps,
        )
        self._main_body = self.model.body(main_body).id
        self._xpos = self._simulations.bind("xpos")

    def _observation_size(self) -> int:
        forces = (self.model.nbody - 1) * 6 if self._shows_forces else 0
        return super()._observation_size() - self._num_skipped + forces

    def _clipped_forces(self, rows: Rows) -> np.ndarray:
        return np.clip(self._forces[rows], *self._contact_force_range)

    def _observe(self, rows: Rows, observation: np.ndarray) -> None:
        parts = [self._qpos[rows, self._num_skipped :], self._qvel[rows]]
        if self._shows_forces:
            parts.append(self._clipped_forces(rows)[:, 1:])
        self._fill(rows, observation, parts)

    def _centre(self, rows: Rows) -> np.ndarray:
        return self._xpos[rows, self._main_body, 0]

    def _healthy(self) -> np.ndarray:
        low, high = self._healthy_z_range
        height = self._qpos[:, 2]
        return (low <= height) & (height <= high) & np.isfinite(self._qpos.sum(axis=1) + self._qvel.sum(axis=1))

    def _control_cost(self, actions: np.ndarray) -> np.ndarray:
        return self._ctrl_cost_weight * np.square(actions).sum(axis=1)

    def _contact_cost(self) -> np.ndarray:
        forces = self._clipped_forces(slice(None)).reshape(self.num_envs, -1)
        return self._contact_cost_weight * np.square(forces).sum(axis=1)


class Humanoid(SpatialRunner):
    """Humanoid-v5: a body with two legs and two arms that walks forward."""

    xml_file = "humanoid.xml"
    derived_fields = ("xipos", "cinert", "cvel", "qfrc_actuator")

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 5,
        forward_reward_weight: float = 1.25,
        ctrl_cost_weight: float = 0.1,
        contact_cost_weight: float = 5e-7,
        contact_cost_range: Range = (-np.inf, 10.0),
        healthy_reward: float = 5.0,
        terminate_when_unhealthy: bool = True,
        healthy_z_range: Range = (1.0, 2.0),
        reset_noise_scale: float = 1e-2,
        exclude_current_positions_from_observation: bool = True,
        include_cinert_in_observation: bool = True,
        include_cvel_in_observation: bool = True,
        include_qfrc_actuator_in_observation: bool = True,
        include_cfrc_ext_in_observation: bool = True,
        max_episode_steps: int = 1000,
    ):
        self._contact_cost_range = contact_cost_range
        self._shows_inertia = include_cinert_in_observation
        self._shows_body_velocity = include_cvel_in_observation
        self._shows_actuator_force = include_qfrc_actuator_in_observation
        self._shows_contact_force = include_cfrc_ext_in_observation
        super().__init__(
            "Humanoid-v5",
            num_envs,
            num_threads,
            frame_skip=frame_skip,
            forward_reward_weight=forward_reward_weight,
            ctrl_cost_weight=ctrl_cost_weight,
            contact_cost_weight=contact_cost_weight,
            healthy_reward=healthy_reward,
            terminate_when_unhealthy=terminate_when_unhealthy,
            healthy_z_range=healthy_z_range,
            reset_noise_scale=reset_noise_scale,
            exclude_current_positions_from_observation=exclude_current_positions_from_observation,
            max_episode_steps=max_episode_steps,
        )
        self._xipos, self._cinert, self._cvel, self._qfrc_actuator = (
            self._simulations.bind(name) for name in self.derived_fields
        )

    def _observation_size(self) -> int:
        moving = self.model.nbody - 1
        extra = 10 * moving * self._shows_inertia + 6 * moving * (self._shows_body_velocity + self._shows_contact_force)
        extra += (self.model.nv - 6) * self._shows_actuator_force
        return super()._observation_size() - self._num_skipped + extra

    def _observe(self, rows: Rows, observation: np.ndarray) -> None:
        parts = [self._qpos[rows, self._num_skipped :], self._qvel[rows]]
        if self._shows_inertia:
            parts.append(self._cinert[rows, 1:])
        if self._shows_body_velocity:
            parts.append(self._cvel[rows, 1:])
        if self._shows_actuator_force:
            parts.append(self._qfrc_actuator[rows, 6:])
        if self._shows_contact_force:
            parts.append(self._forces[rows, 1:])
        self._fill(rows, observation, parts)

    def _centre(self, rows: Rows) -> np.ndarray:
        masses = self.model.body_mass
        return np.einsum("b,nb->n", masses, self._xipos[rows, :, 0]) / masses.sum()

    def _healthy(self) -> np.ndarray:
        height = self._qpos[:, 2]
        return (self._healthy_z_range[0] < height) & (height < self._healthy_z_range[1])

    def _control_cost(self, actions: np.ndarray) -> np.ndarray:
        return self._ctrl_cost_weight * np.square(self._ctrl).sum(axis=1)

    def _contact_cost(self) -> np.ndarray:
        forces = self._forces.reshape(self.num_envs, -1)
        return np.clip(self._contact_cost_weight * np.square(forces).sum(axis=1), *self._contact_cost_range)

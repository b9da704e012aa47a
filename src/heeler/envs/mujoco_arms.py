"""Reacher, InvertedPendulum and InvertedDoublePendulum: mechanisms that are fixed to the world.

Each equals Gymnasium's v5 task of the same name; its settings have the same names and defaults.
"""

import numpy as np

from heeler.envs.mujoco_batch import BatchedMujoco, Rows


class Reacher(BatchedMujoco):
    """Reacher-v5: a two-link arm in a plane whose fingertip should reach a target, a new one each episode."""

    xml_file = "reacher.xml"

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 2,
        reward_dist_weight: float = 1.0,
        reward_control_weight: float = 1.0,
        max_episode_steps: int = 50,
    ):
        self._reward_dist_weight = reward_dist_weight
        self._reward_control_weight = reward_control_weight
        super().__init__(
            "Reacher-v5", num_envs, num_threads, frame_skip=frame_skip, max_episode_steps=max_episode_steps
        )
        self._xpos = self._simulations.bind("xpos")
        self._fingertip, self._target = self.model.body("fingertip").id, self.model.body("target").id

    def _observation_size(self) -> int:
        return 10

    def _first_states(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        qpos = self.model.qpos0 + self._uniform(count, self.model.nq, 0.1)
        qpos[:, -2:] = self._targets(count)
        qvel = self._uniform(count, self.model.nv, 0.005)
        qvel[:, -2:] = 0.0
        return qpos, qvel

    def _targets(self, count: int) -> np.ndarray:
        """[count, 2] points spread evenly over the disc of radius 0.2 m."""
        targets = self._uniform(count, 2, 0.2)
        while len(outside := np.flatnonzero(np.square(targets).sum(axis=1) >= 0.2**2)):
            targets[outside] = self._uniform(len(outside), 2, 0.2)
        return targets

    def _to_target(self, rows: Rows) -> np.ndarray:
        return self._xpos[rows, self._fingertip] - self._xpos[rows, self._target]

    def _observe(self, rows: Rows, observation: np.ndarray) -> None:
        angles = self._qpos[rows, :2]
        observation[rows, 0:2] = np.cos(angles)
        observation[rows, 2:4] = np.sin(angles)
        observation[rows, 4:6] = self._qpos[rows, 2:]
        observation[rows, 6:8] = self._qvel[rows, :2]
        observation[rows, 8:10] = self._to_target(rows)[:, :2]

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distance = np.sqrt(np.square(self._to_target(slice(None))).sum(axis=1))
        effort = np.square(actions).sum(axis=1)
        reward = -distance * self._reward_dist_weight - effort * self._reward_control_weight
        return reward, self._never.copy()


class InvertedPendulum(BatchedMujoco):
    """InvertedPendulum-v5: balance a pole on a cart."""

    xml_file = "inverted_pendulum.xml"

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 2,
        reset_noise_scale: float = 0.01,
        max_episode_steps: int = 1000,
    ):
        self._reset_noise_scale = reset_noise_scale
        super().__init__(
            "InvertedPendulum-v5", num_envs, num_threads, frame_skip=frame_skip, max_episode_steps=max_episode_steps
        )

    def _observe(self, rows: Rows, observation: np.ndarray) -> None:
        observation[rows, :2] = self._qpos[rows]
        observation[rows, 2:] = self._qvel[rows]

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        terminated = np.abs(self._qpos[:, 1]) > 0.2
        return (~terminated).astype(np.float64), terminated


class InvertedDoublePendulum(BatchedMujoco):
    """InvertedDoublePendulum-v5: balance two poles, one on the other, on a cart."""

    xml_file = "inverted_double_pendulum.xml"
    first_velocities = "normal"

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 5,
        healthy_reward: float = 10.0,
        reset_noise_scale: float = 0.1,
        max_episode_steps: int = 1000,
    ):
        self._healthy_reward = healthy_reward
        self._reset_noise_scale = reset_noise_scale
        super().__init__(
            "InvertedDoublePendulum-v5",
            num_envs,
            num_threads,
            frame_skip=frame_skip,
            max_episode_steps=max_episode_steps,
        )
        self._tip = self._simulations.bind("site_xpos")
        self._constraint_force = self._simulations.bind("qfrc_constraint")

    def _observation_size(self) -> int:
        return 9

    def _observe(self, rows: Rows, observation: np.ndarray) -> None:
        angles = self._qpos[rows, 1:]
        observation[rows, 0] = self._qpos[rows, 0]
        observation[rows, 1:3] = np.sin(angles)
        observation[rows, 3:5] = np.cos(angles)
        observation[rows, 5:8] = np.clip(self._qvel[rows], -10.0, 10.0)
        observation[rows, 8] = np.clip(self._constraint_force[rows, 0], -10.0, 10.0)

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = self._tip[:, 0, 0], self._tip[:, 0, 2]
        terminated = y <= 1.0
        distance = 0.01 * np.square(x) + np.square(y - 2.0)
        speed = 1e-3 * np.square(self._qvel[:, 1]) + 5e-3 * np.square(self._qvel[:, 2])
        return self._healthy_reward * ~terminated - distance - speed, terminated

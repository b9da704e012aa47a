"""Courses: a robot drives to one goal after another, past hazards that it should not enter and vases not to be pushed.

The tasks are of the kind that Safety-Gymnasium made known (Ji et al. 2023, arXiv 2310.12567). Bodies, models and rules
are heeler's own, so figures are not to be compared with those published for its tasks.
"""

import numpy as np

from heeler.envs.courses_model import ROBOTS
from heeler.envs.courses_task import Course
from heeler.envs.mujoco_batch import Rows


class PointGoal(Course):
    """A ball that pushes itself ahead (the first action) and turns (the second); it has momentum, and slides."""

    course_id, robot = "PointGoal", "point"

    def _standing(self, pose: np.ndarray) -> np.ndarray:
        return pose

    def _heading(self, rows: Rows) -> np.ndarray:
        angle = self._qpos[rows, 2]
        return np.stack((np.cos(angle), np.sin(angle)), axis=1)

    def _turning(self, rows: Rows) -> np.ndarray:
        return self._qvel[rows, 2]


class CarGoal(Course):
    """A car with two driven wheels, left and right (the two actions); it feels how fast each of them turns."""

    course_id, robot = "CarGoal", "car"
    num_felt = 2

    def _standing(self, pose: np.ndarray) -> np.ndarray:
        qpos = np.tile(self.model.qpos0[: ROBOTS["car"].num_positions], (len(pose), 1))
        qpos[:, :2] = pose[:, :2]
        qpos[:, 3], qpos[:, 6] = np.cos(pose[:, 2] / 2), np.sin(pose[:, 2] / 2)
        return qpos

    def _heading(self, rows: Rows) -> np.ndarray:
        w, x, y, z = self._qpos[rows, 3:7].T
        ahead = np.stack((1 - 2 * (y * y + z * z), 2 * (x * y + w * z)), axis=1)
        return ahead / np.linalg.norm(ahead, axis=1, keepdims=True)

    def _turning(self, rows: Rows) -> np.ndarray:
        return self._qvel[rows, 5]

    def _felt(self, rows: Rows) -> np.ndarray:
        return self._qvel[rows, 6:8]

"""The rules of a course, whatever robot is on it: goals, hazards, vases, what is seen and what is paid."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from heeler.core.errors import ConfigError, WorldError
from heeler.envs.courses_layout import (
    GOAL_RADIUS,
    HAZARD_RADIUS,
    MAX_SHOWN,
    CourseLayout,
    lidar,
    place_one,
    scatter,
)
from heeler.envs.courses_model import ROBOTS, VASE_HALF_SIZE, course_model
from heeler.envs.mujoco_batch import ALL, BatchedMujoco, Rows
from heeler.envs.world import Info

LEVELS: Mapping[int, tuple[int, int, float]] = {0: (0, 0, 1.2), 1: (8, 2, 1.5), 2: (12, 10, 2.0)}
"""Of each level: hazards, vases, and metres from the middle to the edge of the square in which things are placed."""

NUM_BINS = 16
LIDAR_REACH = 3.0
_GOAL_REACH = 4.0
"""Half widths within which the goal is seen: from everywhere in the square, and from some way beyond. Whoever does not
see it cannot know where to go, and stands about."""
BONUS = 1.0
"""Paid for a goal that is reached, beside a metre's pay for each metre nearer."""
STILL = 1e-3
"""Metres by which a vase may move in a step and still count as standing: less than a nudge, more than rounding."""
_ROBOT_ROOM, _GOAL_ROOM, _HAZARD_ROOM, _VASE_ROOM = 0.4, GOAL_RADIUS, HAZARD_RADIUS + 0.025, 1.5 * VASE_HALF_SIZE
"""Radii that things keep free: no hazard reaches into another, into a goal or near the robot's start."""

Level = Literal[0, 1, 2]


class Course(BatchedMujoco):
    """What the two robots share.

    Observation: own speed ahead and to the left, the change of both in a second, rate of turning, what else the robot
    feels, then 16 lidar bins each for the goal, the hazards and the vases (see `lidar`; the first looks ahead). Hazards
    and vases are seen within 3 m, the goal within four half widths of the square.
    Reward: metres by which the step came nearer to the goal, and 1 where it was reached: the robot's centre within
    0.3 m of it. The goal then moves elsewhere, and the episode goes on until its time is over.
    Costs: `hazards`, 1 for a step that ends with the robot's centre in a hazard, else 0; `vases`, of how many vases
    each was touched at the step's end or moved in it. No first state costs anything.
    `infos["goals_reached"]`: [N] goals so far in the episode that the step belongs to.

    Args:
        num_envs: N.
        num_threads: that share the physics; None for one for each core.
        level: 0 has a goal alone, 1 has 8 hazards and 2 vases, 2 has 12 and 10 in a larger square.
        num_hazards: H, 16 at most; None for the level's.
        num_vases: V, 16 at most; None for the level's.
        half_width: metres from the middle to the edge of the square in which things are placed; None for the level's.
        frame_skip: physics steps of 10 ms that one step lasts.
        max_episode_steps: after so many an episode is cut.

    Raises:
        ConfigError: a number is out of range.
    """

    cost_names = ("hazards", "vases")
    figure_names = ("goals_reached",)
    course_id: ClassVar[str]
    robot: ClassVar[str]
    num_felt: ClassVar[int] = 0
    """Numbers that the robot feels besides its speed, its change and its turning."""

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        level: Level = 1,
        num_hazards: int | None = None,
        num_vases: int | None = None,
        half_width: float | None = None,
        frame_skip: int = 4,
        max_episode_steps: int = 1000,
    ):
        env_id = self.course_id
        hazards, vases, width = LEVELS[level]
        self.num_hazards = _checked(env_id, "num_hazards", hazards if num_hazards is None else num_hazards)
        self.num_vases = _checked(env_id, "num_vases", vases if num_vases is None else num_vases)
        self.half_width = width if half_width is None else half_width
        if not 0 < self.half_width < math.inf:
            raise ConfigError(f"{env_id}: half_width must be > 0 and finite, got {self.half_width}")
        super().__init__(env_id, num_envs, num_threads, frame_skip=frame_skip, max_episode_steps=max_episode_steps)
        part = ROBOTS[self.robot]
        self._rooms = np.array(
            [_ROBOT_ROOM, _GOAL_ROOM, *[_HAZARD_ROOM] * self.num_hazards, *[_VASE_ROOM] * self.num_vases]
        )
        self._hazards, self._goal = np.zeros((num_envs, self.num_hazards, 2)), np.zeros((num_envs, 2))
        self._distance, self._reached = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self._carried = {
            "hazards": self._hazards,
            "goal": self._goal,
            "distance": self._distance,
            "goals_reached": self._reached,
        }
        # A view: x, y and heading of each vase, wherever the physics moves it.
        self._vases = self._qpos[:, part.num_positions :].reshape(num_envs, self.num_vases, 3)
        touch = self._simulations.bind("sensordata") if self.num_vases else np.zeros((num_envs, 0))
        self._touch, self._cost = touch, np.zeros((num_envs, len(self.cost_names)))
        self._change = np.zeros((num_envs, 2))

    def set_layout(self, layout: CourseLayout, rows: np.ndarray | None = None) -> None:
        """Put environments into layouts, all at rest, as if their episodes began there.

        Args:
            layout: of n environments.
            rows: [n] sorted environment indices; None for all.
        """
        rows = np.arange(self.num_envs) if rows is None else rows
        self._hazards[rows], self._goal[rows] = layout.hazards, layout.goal
        qpos = np.concatenate((self._standing(layout.robot), layout.vases.reshape(len(rows), -1)), axis=1)
        self.set_physics(qpos, np.zeros((len(rows), self.model.nv)), rows)

    def layout(self) -> CourseLayout:
        """Where everything is now."""
        heading = self._heading(ALL)
        facing = np.arctan2(heading[:, 1], heading[:, 0])
        return CourseLayout(
            robot=np.column_stack((self._place(ALL), facing)),
            goal=self._goal.copy(),
            hazards=self._hazards.copy(),
            vases=self._vases.copy(),
        )

    def snapshot(self) -> np.ndarray:
        """[N, S] float32: robot, goal, half width, then 16 hazards and 16 vases, each with whether it is there."""
        now, N = self.layout(), self.num_envs
        hazards, vases = np.zeros((N, MAX_SHOWN, 3)), np.zeros((N, MAX_SHOWN, 4))
        hazards[:, : self.num_hazards, :2], hazards[:, : self.num_hazards, 2] = now.hazards, 1.0
        vases[:, : self.num_vases, :3], vases[:, : self.num_vases, 3] = now.vases, 1.0
        parts = (now.robot, now.goal, np.full((N, 1), self.half_width), hazards.reshape(N, -1), vases.reshape(N, -1))
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _load_model(self) -> Any:
        return course_model(self.robot, self.num_vases, self.half_width)

    def _observation_size(self) -> int:
        return 5 + self.num_felt + 3 * NUM_BINS

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        count, first = len(rows), 2 + self.num_hazards
        places = scatter(self.np_random, count, self.half_width, self._rooms)
        facing = self.np_random.uniform(-math.pi, math.pi, (count, 1 + self.num_vases, 1))
        layout = CourseLayout(
            robot=np.concatenate((places[:, 0], facing[:, 0]), axis=1),
            goal=places[:, 1],
            hazards=places[:, 2:first],
            vases=np.concatenate((places[:, first:], facing[:, 1:]), axis=2),
        )
        self.set_layout(layout, rows)
        self._observe(rows, observation)

    def _after_set(self, rows: np.ndarray) -> None:
        self._distance[rows] = self._to_goal(rows)
        self._reached[rows], self._cost[rows], self._change[rows] = 0, 0.0, 0.0

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vases, velocity = self._vases[:, :, :2].copy(), self._velocity(ALL).copy()
        np.copyto(self._ctrl, actions)
        self._step_physics()
        self._change[:] = (self._velocity(ALL) - velocity) / self.dt
        inside = np.linalg.norm(self._hazards - self._place(ALL)[:, None], axis=2) <= HAZARD_RADIUS
        moved = np.linalg.norm(self._vases[:, :, :2] - vases, axis=2) > STILL
        self._cost[:, 0] = inside.any(axis=1)
        self._cost[:, 1] = (moved | (self._touch > 0)).sum(axis=1)
        judged = self._judge(actions)
        self._observe(ALL, observation)  # after a goal that was reached has moved: it is the next one that is seen
        return judged

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distance = self._to_goal(ALL)
        reached = distance <= GOAL_RADIUS
        reward = self._distance - distance + BONUS * reached
        self._distance[:] = distance
        rows = np.flatnonzero(reached)
        if len(rows):
            self._reached[rows] += 1
            self._move_goals(rows)
        return reward, self._never.copy()

    def _move_goals(self, rows: np.ndarray) -> None:
        """New goals for the environments `rows`, clear of everything that is there now."""
        place = self._place(rows)[:, None]
        taken = np.concatenate((place, self._hazards[rows], self._vases[rows, :, :2]), axis=1)
        goals = place_one(self.np_random, self.half_width, _GOAL_ROOM, taken, np.delete(self._rooms, 1))
        lost = np.isnan(goals[:, 0])
        if lost.any():
            raise WorldError(
                f"{self.env_id}: environment {rows[lost][0]} has no room for its next goal at step "
                f"{self._num_steps + 1}; set half_width larger, or num_hazards or num_vases smaller"
            )
        self._goal[rows] = goals
        self._distance[rows] = self._to_goal(rows)

    def _to_goal(self, rows: Rows) -> np.ndarray:
        return np.linalg.norm(self._goal[rows] - self._place(rows), axis=1)

    def _observe(self, rows: Rows, observation: np.ndarray) -> None:
        place, heading = self._place(rows), self._heading(rows)
        observation[rows, 0:2] = _seen_along(self._velocity(rows), heading)
        observation[rows, 2:4] = _seen_along(self._change[rows], heading)
        observation[rows, 4] = self._turning(rows)
        start = 5 + self.num_felt
        observation[rows, 5:start] = self._felt(rows)
        goal_reach = max(LIDAR_REACH, _GOAL_REACH * self.half_width)
        seen = (
            (self._goal[rows, None], goal_reach),
            (self._hazards[rows], LIDAR_REACH),
            (self._vases[rows, :, :2], LIDAR_REACH),
        )
        for things, reach in seen:
            observation[rows, start : start + NUM_BINS] = lidar(place, heading, things, NUM_BINS, reach)
            start += NUM_BINS

    def _infos(self) -> Info:
        return {"cost": self._cost.copy(), "goals_reached": self._reached.copy()}

    def _place(self, rows: Rows) -> np.ndarray:
        """[n, 2] where the robots of the environments `rows` are."""
        return self._qpos[rows, :2]

    def _velocity(self, rows: Rows) -> np.ndarray:
        """[n, 2] metres a second, in the world's directions."""
        return self._qvel[rows, :2]

    def _standing(self, pose: np.ndarray) -> np.ndarray:
        """Joint positions [n, P] of robots that stand at `pose` [n, 3]."""
        raise NotImplementedError

    def _heading(self, rows: Rows) -> np.ndarray:
        """[n, 2] unit vectors: where the robots look."""
        raise NotImplementedError

    def _turning(self, rows: Rows) -> np.ndarray:
        """[n] radians a second, to the left."""
        raise NotImplementedError

    def _felt(self, rows: Rows) -> np.ndarray:
        """[n, `num_felt`] what else the robot feels."""
        return np.zeros((len(self._qpos[rows]), 0))


def _seen_along(vectors: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """[n, 2]: parts of `vectors` [n, 2] ahead and to the left."""
    ahead = (vectors * heading).sum(axis=1)
    left = vectors[:, 1] * heading[:, 0] - vectors[:, 0] * heading[:, 1]
    return np.stack((ahead, left), axis=1)


def _checked(env_id: str, name: str, number: int) -> int:
    if not 0 <= number <= MAX_SHOWN:
        raise ConfigError(f"{env_id}: {name} must be from 0 to {MAX_SHOWN}, got {number}")
    return number

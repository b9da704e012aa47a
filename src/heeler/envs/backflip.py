"""`Backflip`: Hopper's body, free to turn over, in episodes that end only by time."""

from typing import Any

import numpy as np

from heeler.envs.landings import LandingCounter
from heeler.envs.mujoco_batch import BatchedMujoco, Rows

FLOOR_GEOM, FOOT_GEOM, TORSO_GEOM, THIGH_GEOM = "floor", "foot_geom", "torso_geom", "thigh_geom"


def backflip_reward(
    pitch: np.ndarray,
    pitch_rate: np.ndarray,
    height: np.ndarray,
    airborne: np.ndarray,
    torso_touches: np.ndarray,
    thigh_touches: np.ndarray,
) -> np.ndarray:
    """The hidden reward that the simulated teacher judges by; a person needs none, and a learner never sees it.

    Turning backward pays, more so high up; being in the air pays by itself, or standing still would be as far as a
    learner gets. Torso or thigh on the ground costs, and up to four times as much in a turn: a roll is no flip, but who
    cannot turn yet must not fear the ground too much to try. The head on the ground costs more, or handsprings do.

    Args:
        pitch: [N] radians; 0 is upright.
        pitch_rate: [N] rad/s; negative is backward.
        height: [N] height of the torso's centre in metres (1.25 when it stands upright).
        airborne: [N] whether neither foot, torso nor thigh touches the ground.
        torso_touches: [N] whether the torso touches the ground.
        thigh_touches: [N] whether the thigh does.

    Returns:
        [N] rewards, about −7 to 5.
    """
    backward = np.clip(-pitch_rate, -10.0, 10.0) / 10.0
    touches = torso_touches | thigh_touches
    on_head = torso_touches * np.maximum(0.0, -np.cos(pitch))
    return backward * (1.5 + height) + airborne - touches * (1.0 + 3.0 * np.maximum(0.0, backward)) - 4.0 * on_head


class GroundContacts:
    """Which of some upright-plane capsules touch the floor z = 0, as MuJoCo's own contact list has it.

    A contact is listed when the capsule's lowest point, its centre's height less half its length along z less its
    radius, is below the sum of the two margins.
    """

    def __init__(self, model: Any, geoms: tuple[str, ...]):
        self._ids = np.array([model.geom(name).id for name in geoms])
        floor_margin = float(model.geom_margin[model.geom(FLOOR_GEOM).id])
        margin = model.geom_margin[self._ids] + floor_margin
        self._half_length = model.geom_size[self._ids, 1]
        self._clearance = model.geom_size[self._ids, 0] + margin

    def touches(self, geom_xpos: np.ndarray, geom_xmat: np.ndarray) -> np.ndarray:
        """[N, K] for the K capsules, from centres [N, G, 3] and rotation matrices [N, G, 9] of all G geoms."""
        centre = geom_xpos[:, self._ids, 2]
        reach = np.abs(geom_xmat.reshape(*geom_xmat.shape[:2], 9)[:, self._ids, 8]) * self._half_length
        return centre - reach < self._clearance


class Backflip(BatchedMujoco):
    """Learn a backflip. Nothing ends an episode early, so its length tells a learner nothing.

    Observation (15): torso height; sine and cosine of pitch; three joint angles; velocities of x, z, pitch and the
    three joints, clipped to ±10; whether foot, torso and thigh touch the ground (0 or 1). Action (3): torques on thigh,
    leg and foot, −1 to 1. Reward: `backflip_reward`.
    `infos["landed_backflips"]`: [N] landed so far in the episode that the step belongs to (see `LandingCounter`).
    """

    xml_file = "hopper.xml"
    figure_names = ("landed_backflips",)

    def __init__(
        self,
        num_envs: int,
        num_threads: int | None = None,
        *,
        frame_skip: int = 4,
        reset_noise_scale: float = 5e-3,
        max_episode_steps: int = 1000,
    ):
        self._reset_noise_scale = reset_noise_scale
        super().__init__("Backflip", num_envs, num_threads, frame_skip=frame_skip, max_episode_steps=max_episode_steps)
        self._contacts = GroundContacts(self.model, (FOOT_GEOM, TORSO_GEOM, THIGH_GEOM))
        self._geom_xpos, self._geom_xmat = self._simulations.bind("geom_xpos"), self._simulations.bind("geom_xmat")
        self._landings = LandingCounter(num_envs)
        self._carried = {"landed_backflips": self._landings.count, "anchor": self._landings.anchor}

    def touches(self) -> np.ndarray:
        """[N, 3] whether foot, torso and thigh touch the ground, at the last stage that the physics computed."""
        return self._contacts.touches(self._geom_xpos, self._geom_xmat)

    def _observation_size(self) -> int:
        return self.model.nq + self.model.nv + 3  # the place along x goes, pitch becomes two numbers, contacts come

    def _observe(self, rows: Rows, observation: np.ndarray) -> None:
        qpos = self._qpos[rows]
        pitch = qpos[:, 2]
        observation[rows, 0] = qpos[:, 1]
        observation[rows, 1] = np.sin(pitch)
        observation[rows, 2] = np.cos(pitch)
        observation[rows, 3:6] = qpos[:, 3:]
        observation[rows, 6:12] = np.clip(self._qvel[rows], -10.0, 10.0)
        observation[rows, 12:] = self.touches()[rows]

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        foot, torso, thigh = self.touches().T
        body = torso | thigh
        pitch, height, pitch_rate = self._qpos[:, 2], self._qpos[:, 1], self._qvel[:, 2]
        self._landings.update(pitch, foot, body)
        reward = backflip_reward(pitch, pitch_rate, height, ~(foot | body), torso, thigh)
        return reward, self._never.copy()

    def _after_set(self, rows: np.ndarray) -> None:
        self._landings.begin(rows)

    def _infos(self) -> dict[str, np.ndarray]:
        return {"landed_backflips": self._landings.count.copy()}

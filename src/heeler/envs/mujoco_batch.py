"""Gymnasium's MuJoCo tasks, a batch at a time: the physics runs in C++ threads, the rest in NumPy over the whole batch.

`mujoco.batch.Batch` keeps one state row for each simulation, the solver's warm start included, so a batch gives what a
loop over single simulations gives, bit for bit (docs/adr/0001-mujoco-batch.md).
"""

from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium.spaces import Box
from mujoco.batch import Batch, SimulationError

from heeler.core.errors import ConfigError, WorldError
from heeler.envs.mujoco_model import default_num_threads, load_model, mj, under_gravity
from heeler.envs.mujoco_pool import ContactForcePool
from heeler.envs.world import BatchedWorld

Rows = np.ndarray | slice
ALL = slice(None)


class BatchedMujoco(BatchedWorld):
    """Base of the batched MuJoCo tasks.

    A subclass gives `xml_file` (or `_load_model`), `_reset_noise_scale` (or first states of its own), `_observe` and
    `_judge`. Arrays that a step needs from the one before and that are not part of the physics' own state go into
    `_carried`, which is saved and loaded.
    """

    xml_file: ClassVar[str]
    first_velocities: ClassVar[Literal["uniform", "normal"]] = "uniform"
    _reset_noise_scale: float

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        num_threads: int | None,
        *,
        frame_skip: int,
        max_episode_steps: int,
    ):
        if frame_skip < 1:
            raise ConfigError(f"{env_id}: frame_skip must be at least 1, got {frame_skip}")
        self.model = under_gravity(self._load_model())
        low, high = self.model.actuator_ctrlrange.T.astype(np.float32)
        super().__init__(
            env_id,
            num_envs,
            observation_space=Box(-np.inf, np.inf, (self._observation_size(),), np.float32),
            action_space=Box(low, high, dtype=np.float32),
            max_episode_steps=max_episode_steps,
        )
        self.frame_skip = frame_skip
        self.dt = self.model.opt.timestep * frame_skip
        """Seconds that one step lasts."""
        self.metadata = self.metadata | {"render_fps": 1 / self.dt}
        self.num_threads = min(num_threads or default_num_threads(), num_envs)
        self._simulations = self._build_simulations()
        self._qpos, self._qvel = self._simulations.bind("qpos"), self._simulations.bind("qvel")
        self._ctrl = self._simulations.bind("ctrl")
        self._carried: dict[str, np.ndarray] = {}
        self._never = np.zeros(num_envs, bool)
        spec = int(mj.mjtState.mjSTATE_INTEGRATION)
        self._first_row = np.empty(mj.mj_stateSize(self.model, spec))
        mj.mj_getState(self.model, mj.MjData(self.model), self._first_row, spec)

    def set_physics(self, qpos: np.ndarray, qvel: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Put environments into given states, as Gymnasium's reset does: all else cleared, then one forward pass.

        Args:
            qpos: [n, nq] joint positions.
            qvel: [n, nv] joint velocities.
            rows: [n] sorted environment indices; None for all.
        """
        rows = np.arange(self.num_envs) if rows is None else rows
        self._simulations.state[rows] = self._first_row
        self._qpos[rows] = qpos
        self._qvel[rows] = qvel
        self._simulations.forward(rows)
        self._after_set(rows)

    def physics(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the joint positions [N, nq] and velocities [N, nv]."""
        return self._qpos.copy(), self._qvel.copy()

    def snapshot(self) -> np.ndarray:
        """[N, nq] float32 joint positions."""
        return self._qpos.astype(np.float32)

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        np.copyto(self._ctrl, actions)
        self._step_physics()
        self._observe(ALL, observation)
        return self._judge(actions)

    def _step_physics(self) -> None:
        try:
            self._simulations.step(nstep=self.frame_skip)
        except SimulationError as error:
            index = int(error.ids[0])
            raise WorldError(
                f"{self.env_id}: MuJoCo stopped environment {index} at step {self._num_steps + 1}: {error}"
            ) from error

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        self.set_physics(*self._first_states(len(rows)), rows)
        self._observe(rows, observation)

    def _save(self) -> dict[str, np.ndarray]:
        return {"physics": self._simulations.state.copy()} | {
            name: array.copy() for name, array in self._carried.items()
        }

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self._simulations.state[:] = state["physics"]
        for name, array in self._carried.items():
            array[:] = state[name]

    def _uniform(self, count: int, size: int, scale: float) -> np.ndarray:
        return self.np_random.uniform(-scale, scale, (count, size))

    def _normal(self, count: int, size: int, scale: float) -> np.ndarray:
        return scale * self.np_random.standard_normal((count, size))

    def _load_model(self) -> Any:
        return load_model(self.xml_file)

    def _build_simulations(self) -> Batch | ContactForcePool:
        return Batch(self.model, self.num_envs, self.num_threads)

    def _observation_size(self) -> int:
        return self.model.nq + self.model.nv

    def _first_states(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Random first positions [count, nq], around the model's own, and velocities [count, nv]."""
        qpos = self.model.qpos0 + self._uniform(count, self.model.nq, self._reset_noise_scale)
        velocities = self._normal if self.first_velocities == "normal" else self._uniform
        return qpos, velocities(count, self.model.nv, self._reset_noise_scale)

    def _observe(self, rows: Rows, observation: np.ndarray) -> None:
        """Fill the rows `rows` of `observation` [N, O]."""
        raise NotImplementedError

    def _judge(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rewards [N] float64 and terminated [N] of the step just made."""
        raise NotImplementedError

    def _after_set(self, rows: np.ndarray) -> None:
        """Bring what is carried between steps in line with new states of the environments `rows`."""

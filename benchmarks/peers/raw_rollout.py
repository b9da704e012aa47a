"""Steps/s of `mujoco.rollout` alone, with the model and frame skip of one of Gymnasium's v5 tasks and random controls.

    python benchmarks/peers/raw_rollout.py --task Hopper-v5 --batch 256 --threads 2

A step is one environment step, that is `frame_skip` steps of the physics. Closed loop: one call for each environment
step, as a policy needs it that chooses every action. Open loop: many steps a call. Controls are ready beforehand, in
the layout that the call takes, and its own checks are skipped, so nothing but the call itself is timed.

Nothing but mujoco and NumPy is imported, so that the memory of this process is that of the physics.
"""

import argparse
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco.rollout import Rollout

# The names of mujoco come from a compiled module that a type checker cannot read.
mj: Any = mujoco
MODELS: dict[str, tuple[str, int]] = {
    "Hopper-v5": ("hopper.xml", 4),
    "HalfCheetah-v5": ("half_cheetah.xml", 5),
    "Walker2d-v5": ("walker2d_v5.xml", 4),
    "Ant-v5": ("ant.xml", 5),
    "Swimmer-v5": ("swimmer.xml", 4),
    "Humanoid-v5": ("humanoid.xml", 5),
    "Reacher-v5": ("reacher.xml", 2),
    "InvertedPendulum-v5": ("inverted_pendulum.xml", 2),
    "InvertedDoublePendulum-v5": ("inverted_double_pendulum.xml", 5),
}
"""Each task's model among the files that Gymnasium installs, and its frame skip."""
NUM_CONTROLS = 64
RESET_NOISE = 5e-3


class RawRollout:
    """A batch of simulations of one task's model that is stepped through `mujoco.rollout`.

    Shapes: N simulations, K control steps a call, F physics steps a control step, S numbers of a full physics state, V
    degrees of freedom, U controls.
    """

    def __init__(self, task: str, *, batch: int, threads: int):
        xml_file, self.frame_skip = MODELS[task]
        self.model = load_model(xml_file)
        self.batch = batch
        self.rollout = Rollout(nthread=threads)
        self.data = [mj.MjData(self.model) for _ in range(threads)]
        self.models = [self.model] * batch
        self.state_size = mj.mj_stateSize(self.model, mj.mjtState.mjSTATE_FULLPHYSICS)
        self.state, self.sensors = self._buffers(self.frame_skip)

    @property
    def warm_start_columns(self) -> slice:
        """Where a row of MuJoCo's integration state, whose head is the full physics state, holds the warm start."""
        bit = int(mj.mjtState.mjSTATE_WARMSTART)
        start = mj.mj_stateSize(self.model, int(mj.mjtState.mjSTATE_INTEGRATION) & (bit - 1))
        return slice(start, start + self.model.nv)

    @property
    def reached(self) -> np.ndarray:
        """[N, S]: the states after the last control step of the last closed-loop call."""
        return self.state[:, -1]

    def control_step(self, first: np.ndarray, warm_start: np.ndarray | None, actions: np.ndarray) -> float:
        """Seconds of one closed-loop call; `reached` holds what came of it.

        Args:
            first: [N, S] states to start from.
            warm_start: [N, V] accelerations that the constraint solver begins with; None begins at zero.
            actions: [N, U] controls, held for all physics steps of the call.
        """
        first = np.ascontiguousarray(first, np.float64)
        warm = None if warm_start is None else np.ascontiguousarray(warm_start, np.float64)
        held = np.ascontiguousarray(np.repeat(actions.astype(np.float64)[:, None], self.frame_skip, axis=1))
        start = time.perf_counter()
        self._call(first, warm, held, self.state, self.sensors)
        return time.perf_counter() - start

    def closed_loop(self, num_calls: int, controls: np.ndarray) -> float:
        """Seconds that `num_calls` calls of one control step take, each from where the one before ended."""
        now, seconds = self.first_states(), 0.0
        for call in range(num_calls):
            seconds += self.control_step(now, None, controls[call % len(controls)])
            now = self.reached
        return seconds

    def open_loop(self, num_calls: int, controls: np.ndarray) -> float:
        """Seconds that `num_calls` calls of `len(controls)` control steps take, every one from the first states."""
        held = np.ascontiguousarray(np.repeat(controls.swapaxes(0, 1), self.frame_skip, axis=1))
        state, sensors = self._buffers(held.shape[1])
        first = self.first_states()
        start = time.perf_counter()
        for _ in range(num_calls):
            self._call(first, None, held, state, sensors)
        return time.perf_counter() - start

    def first_states(self) -> np.ndarray:
        """[N, S]: the model's first pose and rest, each number moved a little."""
        rng, data = np.random.default_rng(0), mj.MjData(self.model)
        states = np.empty((self.batch, self.state_size))
        for row in states:
            data.qpos[:] = self.model.qpos0 + rng.uniform(-RESET_NOISE, RESET_NOISE, self.model.nq)
            data.qvel[:] = rng.uniform(-RESET_NOISE, RESET_NOISE, self.model.nv)
            mj.mj_getState(self.model, data, row, mj.mjtState.mjSTATE_FULLPHYSICS)
        return states

    def random_controls(self, num: int, seed: int) -> np.ndarray:
        """[num, N, U] float64, uniform over the range of each actuator."""
        low, high = self.model.actuator_ctrlrange.T
        return np.random.default_rng(seed).uniform(low, high, (num, self.batch, self.model.nu))

    def _call(
        self, first: np.ndarray, warm: np.ndarray | None, held: np.ndarray, state: np.ndarray, sensors: np.ndarray
    ) -> None:
        self.rollout.rollout(
            self.models,
            self.data,
            first,
            held,
            skip_checks=True,
            nstep=held.shape[1],
            initial_warmstart=warm,
            state=state,
            sensordata=sensors,
        )

    def _buffers(self, num_physics_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Room for the states [N, F, S] and the sensor readings of one call."""
        state = np.empty((self.batch, num_physics_steps, self.state_size))
        return state, np.empty((self.batch, num_physics_steps, self.model.nsensordata))


def load_model(xml_file: str) -> Any:
    """The compiled model of a file that Gymnasium installs; Gymnasium itself is not imported."""
    gymnasium = importlib.util.find_spec("gymnasium")
    assert gymnasium is not None and gymnasium.origin is not None
    # A notice about an old attribute in these files would go to a log in the working directory.
    mj.set_mju_user_warning(lambda _notice: None)
    path = Path(gymnasium.origin).parent / "envs" / "mujoco" / "assets" / xml_file
    model = mj.MjModel.from_xml_path(str(path))
    mj.set_mju_user_warning(None)
    return model


def main() -> None:
    """Measure both forms for about `--seconds` each and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=MODELS, required=True)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--open-loop-steps", type=int, default=50, help="control steps of one open-loop call; 0: none")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    raw = RawRollout(arguments.task, batch=arguments.batch, threads=arguments.threads)
    controls = raw.random_controls(NUM_CONTROLS, arguments.seed)
    calls = max(10, round(arguments.seconds / (raw.closed_loop(10, controls) / 10)))
    printed = {"closed_loop_steps_per_s": calls * arguments.batch / raw.closed_loop(calls, controls)}
    if arguments.open_loop_steps > 0:
        shown = raw.random_controls(arguments.open_loop_steps, arguments.seed)
        calls = max(1, round(arguments.seconds / raw.open_loop(1, shown)))
        steps = calls * len(shown) * arguments.batch
        printed["open_loop_steps_per_s"] = steps / raw.open_loop(calls, shown)
    print(json.dumps(printed))


if __name__ == "__main__":
    main()

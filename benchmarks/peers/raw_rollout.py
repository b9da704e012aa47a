"""Steps/s of `mujoco.rollout` alone, with the model and frame skip of one of Gymnasium's v5 tasks and random controls.

    python -m benchmarks.peers.raw_rollout --task Hopper-v5 --batch 256 --threads 2

A step is one environment step, that is `frame_skip` steps of the physics. Closed loop: one call for each environment
step, as a policy needs it that chooses every action. Open loop: many steps a call. Controls are ready beforehand, in
the layout that the call takes, and its own checks are skipped, so nothing but the call itself is timed.
"""

import argparse
import json
import time
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco.mujoco_env import MujocoEnv
from gymnasium.spaces import Box
from mujoco.rollout import Rollout

# The names of mujoco come from a compiled module that a type checker cannot read.
mj: Any = mujoco
NUM_CONTROLS = 64
RESET_NOISE = 5e-3


class RawRollout:
    """A batch of simulations of one task's model that is stepped through `mujoco.rollout`.

    Shapes: N simulations, K control steps a call, F physics steps a control step, S numbers of a full physics state.
    """

    def __init__(self, task: str, *, batch: int, threads: int, episode_steps: int, seed: int):
        # A notice about an old attribute in a file that Gymnasium ships would go to a log in the working directory.
        mj.set_mju_user_warning(lambda _notice: None)
        env = gymnasium.make(task).unwrapped
        mj.set_mju_user_warning(None)
        assert isinstance(env, MujocoEnv)
        self.model, self.frame_skip = env.model, env.frame_skip
        self.batch, self.episode_steps = batch, max(1, episode_steps)
        self.rng = np.random.default_rng(seed)
        self.rollout = Rollout(nthread=threads)
        self.data = [mj.MjData(self.model) for _ in range(threads)]
        self.models = [self.model] * batch
        box = env.action_space
        assert isinstance(box, Box)
        self.controls = self.rng.uniform(box.low, box.high, (NUM_CONTROLS, batch, self.model.nu))
        self.first_states = self._first_states()

    def closed_loop(self, num_calls: int) -> float:
        """Seconds that `num_calls` calls of one control step take.

        Rows are reset in turn, one share of the batch a call, so that each is reset every `episode_steps` and the batch
        is spread over all ages of an episode.
        """
        held = np.ascontiguousarray(np.repeat(self.controls[:, :, None], self.frame_skip, axis=2))
        now, state, sensors = self._buffers(self.frame_skip)
        turn = np.arange(self.batch) % self.episode_steps
        rows_by_turn = [np.flatnonzero(turn == each) for each in range(self.episode_steps)]
        start = time.perf_counter()
        for call in range(num_calls):
            self._call(now, held[call % NUM_CONTROLS], state, sensors)
            now[:] = state[:, -1]
            rows = rows_by_turn[call % self.episode_steps]
            now[rows] = self.first_states[rows]
        return time.perf_counter() - start

    def open_loop(self, num_calls: int, control_steps: int) -> float:
        """Seconds that `num_calls` calls of `control_steps` each take, every one from the first states."""
        chosen = self.controls[np.arange(control_steps) % NUM_CONTROLS].swapaxes(0, 1)
        held = np.ascontiguousarray(np.repeat(chosen, self.frame_skip, axis=1))
        now, state, sensors = self._buffers(control_steps * self.frame_skip)
        start = time.perf_counter()
        for _ in range(num_calls):
            self._call(now, held, state, sensors)
        return time.perf_counter() - start

    def _call(self, now: np.ndarray, held: np.ndarray, state: np.ndarray, sensors: np.ndarray) -> None:
        self.rollout.rollout(
            self.models,
            self.data,
            now,
            held,
            skip_checks=True,
            nstep=held.shape[1],
            state=state,
            sensordata=sensors,
        )

    def _buffers(self, num_physics_steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First states [N, S] and room for states [N, F, S] and sensor readings of one call."""
        state = np.empty((self.batch, num_physics_steps, self.first_states.shape[1]))
        return self.first_states.copy(), state, np.empty((self.batch, num_physics_steps, self.model.nsensordata))

    def _first_states(self) -> np.ndarray:
        """[N, S] full physics states: the model's first pose and rest, each number moved a little."""
        spec = mj.mjtState.mjSTATE_FULLPHYSICS
        data = mj.MjData(self.model)
        states = np.empty((self.batch, mj.mj_stateSize(self.model, spec)))
        for row in states:
            data.qpos[:] = self.model.qpos0 + self.rng.uniform(-RESET_NOISE, RESET_NOISE, self.model.nq)
            data.qvel[:] = self.rng.uniform(-RESET_NOISE, RESET_NOISE, self.model.nv)
            mj.mj_getState(self.model, data, row, spec)
        return states


def main() -> None:
    """Measure both forms for about `--seconds` each and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--episode-steps", type=int, default=1000, help="each simulation is reset after so many steps")
    parser.add_argument("--open-loop-steps", type=int, default=50, help="control steps of one open-loop call")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    raw = RawRollout(
        arguments.task,
        batch=arguments.batch,
        threads=arguments.threads,
        episode_steps=arguments.episode_steps,
        seed=arguments.seed,
    )
    num_steps = min(arguments.open_loop_steps, arguments.episode_steps)
    raw.closed_loop(10)
    closed_calls = max(10, round(arguments.seconds / (raw.closed_loop(10) / 10)))
    open_calls = max(1, round(arguments.seconds / raw.open_loop(1, num_steps)))
    printed = {
        "closed_loop_steps_per_s": closed_calls * arguments.batch / raw.closed_loop(closed_calls),
        "open_loop_steps_per_s": open_calls * num_steps * arguments.batch / raw.open_loop(open_calls, num_steps),
    }
    print(json.dumps(printed))


if __name__ == "__main__":
    main()

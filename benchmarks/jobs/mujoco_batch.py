"""Steps/s of heeler's batched MuJoCo tasks and of raw `mujoco.rollout`, in turn in one process: both meet one noise.

Ours: `world.step` with random actions made beforehand, episodes reset as they end, rewards and observations computed.
Raw: the same model, frame skip, batch and threads, one call for each environment step, reset as often as ours was.
Prints {"tasks": {task: {"ours_steps_per_s": [...], "raw_steps_per_s": [...]}}}, one number a repeat.
"""

import argparse
import json
import time

import numpy as np
from gymnasium.spaces import Box

from benchmarks.peers.raw_rollout import RawRollout

NUM_ACTIONS = 64
NUM_WARM_UP_STEPS = 50


class OurWorld:
    """One of heeler's worlds with the random actions that it is stepped with."""

    def __init__(self, task: str, *, batch: int, threads: int, seed: int):
        # Imported here, so that the raw side, measured alone, holds nothing of heeler in memory.
        from heeler.envs import EnvConfig, make

        self.world = make(EnvConfig(id=task, num_envs=batch, num_threads=threads, vectorization="batched"), seed)
        self.batch = batch
        self.world.reset()
        box = self.world.single_action_space
        assert isinstance(box, Box)
        shape = (NUM_ACTIONS, batch, *box.shape)
        self.actions = np.random.default_rng(seed).uniform(box.low, box.high, shape).astype(np.float32)
        self.num_ended = 0

    def loop(self, num_steps: int) -> float:
        """Seconds that `num_steps` steps of the batch take."""
        start = time.perf_counter()
        for step in range(num_steps):
            _, _, terminated, truncated, _ = self.world.step(self.actions[step % NUM_ACTIONS])
            self.num_ended += int(np.count_nonzero(terminated | truncated))
        return time.perf_counter() - start


def main() -> None:
    """Measure the tasks one after the other and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument(
        "--only", choices=("both", "ours", "raw"), default="both", help="one side alone shows its memory"
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long one repeat of one side lasts")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    measure = {"both": measure_both, "ours": step_ours, "raw": step_raw}[arguments.only]
    print(json.dumps({"tasks": {task: measure(task, arguments) for task in arguments.tasks}}))


def measure_both(task: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Steps/s of each repeat, ours and raw in turn."""
    sizes = {"batch": arguments.batch, "threads": arguments.threads, "seed": arguments.seed}
    ours = OurWorld(task, **sizes)
    num_steps = max(10, round(arguments.seconds / (ours.loop(NUM_WARM_UP_STEPS) / NUM_WARM_UP_STEPS)))
    ours.loop(num_steps)
    mean_episode_steps = round((NUM_WARM_UP_STEPS + num_steps) * ours.batch / max(1, ours.num_ended))
    raw = RawRollout(task, episode_steps=mean_episode_steps, **sizes)
    raw.closed_loop(NUM_WARM_UP_STEPS)
    figures: dict[str, list[float]] = {"ours_steps_per_s": [], "raw_steps_per_s": []}
    for _ in range(arguments.repeats):
        figures["ours_steps_per_s"].append(num_steps * ours.batch / ours.loop(num_steps))
        figures["raw_steps_per_s"].append(num_steps * raw.batch / raw.closed_loop(num_steps))
    return figures


def step_ours(task: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """A short loop of ours alone."""
    ours = OurWorld(task, batch=arguments.batch, threads=arguments.threads, seed=arguments.seed)
    return {"ours_steps_per_s": [NUM_WARM_UP_STEPS * ours.batch / ours.loop(NUM_WARM_UP_STEPS)]}


def step_raw(task: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """A short loop of `mujoco.rollout` alone."""
    raw = RawRollout(
        task, batch=arguments.batch, threads=arguments.threads, episode_steps=NUM_WARM_UP_STEPS, seed=arguments.seed
    )
    return {"raw_steps_per_s": [NUM_WARM_UP_STEPS * raw.batch / raw.closed_loop(NUM_WARM_UP_STEPS)]}


if __name__ == "__main__":
    main()

"""Steps/s of heeler's batched MuJoCo tasks and of raw `mujoco.rollout`, in turn in one process, on the same physics.

Ours: `world.step` with random actions made beforehand, episodes reset as they end, rewards and observations computed.
Raw: one call of `mujoco.rollout` for each of those steps, from the very states and solver warm starts that ours steps
from, under the same actions, with the same model, batch and threads; the final states of both must be equal to the last
bit. Which of the two goes first changes from step to step. Only the calls themselves are timed.
Prints {"tasks": {task: {"ours_steps_per_s": [...], "raw_steps_per_s": [...]}}}, one number a repeat.
"""

import argparse
import json
import time

import numpy as np
from gymnasium.spaces import Box

from heeler.envs import EnvConfig, make

NUM_ACTIONS = 64
NUM_WARM_UP_STEPS = 50


class OurWorld:
    """One of heeler's worlds with the random actions that it is stepped with.

    Shapes: N environments, A action numbers, P numbers of a physics state, the solver's warm start included.
    """

    def __init__(self, task: str, *, batch: int, threads: int, seed: int):
        self.world = make(EnvConfig(id=task, num_envs=batch, num_threads=threads, vectorization="batched"), seed)
        self.batch = batch
        self.world.reset()
        box = self.world.single_action_space
        assert isinstance(box, Box)
        shape = (NUM_ACTIONS, batch, *box.shape)
        self.actions = np.random.default_rng(seed).uniform(box.low, box.high, shape).astype(np.float32)
        self.ended = np.zeros(batch, bool)

    @property
    def physics(self) -> np.ndarray:
        """[N, P]: a copy of the present states."""
        return self.world.state_dict()["physics"]

    def step(self, actions: np.ndarray) -> float:
        """Seconds of one step of the batch; `ended` tells whose episode ended with it."""
        start = time.perf_counter()
        _, _, terminated, truncated, _ = self.world.step(actions)
        seconds = time.perf_counter() - start
        self.ended = terminated | truncated
        return seconds

    def loop(self, num_steps: int) -> float:
        """Seconds that `num_steps` steps of the batch take."""
        return sum(self.step(self.actions[step % NUM_ACTIONS]) for step in range(num_steps))


def main() -> None:
    """Measure the tasks one after the other and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--alone", action="store_true", help="ours without the raw side, which shows its memory")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long one repeat of one side lasts")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    measure = measure_ours if arguments.alone else measure_both
    print(json.dumps({"tasks": {task: measure(task, arguments) for task in arguments.tasks}}))


def measure_ours(task: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Steps/s of each repeat of ours."""
    ours = OurWorld(task, batch=arguments.batch, threads=arguments.threads, seed=arguments.seed)
    num_steps = steps_for(arguments.seconds, ours)
    speeds = [num_steps * ours.batch / ours.loop(num_steps) for _ in range(arguments.repeats)]
    return {"ours_steps_per_s": speeds}


def measure_both(task: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Steps/s of each repeat, of ours and of raw on the same physics."""
    # Imported here, so that ours, measured alone, holds nothing of the raw side in memory.
    from benchmarks.peers.raw_rollout import RawRollout

    ours = OurWorld(task, batch=arguments.batch, threads=arguments.threads, seed=arguments.seed)
    raw = RawRollout(task, batch=arguments.batch, threads=arguments.threads)
    num_steps = steps_for(arguments.seconds, ours)
    speeds: dict[str, list[float]] = {"ours_steps_per_s": [], "raw_steps_per_s": []}
    for _ in range(arguments.repeats):
        ours_s = raw_s = 0.0
        physics = ours.physics
        for step in range(num_steps):
            actions = ours.actions[step % NUM_ACTIONS]
            same = (physics[:, : raw.state_size], physics[:, raw.warm_start_columns], actions)
            if step % 2 == 0:
                raw_s += raw.control_step(*same)
            ours_s += ours.step(actions)
            if step % 2 == 1:
                raw_s += raw.control_step(*same)
            physics = ours.physics
            require_equal(task, raw.reached, physics[:, : raw.state_size], compared=~ours.ended)
        speeds["ours_steps_per_s"].append(num_steps * ours.batch / ours_s)
        speeds["raw_steps_per_s"].append(num_steps * raw.batch / raw_s)
    return speeds


def steps_for(seconds: float, ours: OurWorld) -> int:
    """How many steps last about so many seconds; warms `ours` up, at least into the midst of its episodes."""
    return max(10, round(seconds / (ours.loop(NUM_WARM_UP_STEPS) / NUM_WARM_UP_STEPS)))


def require_equal(task: str, raw: np.ndarray, ours: np.ndarray, *, compared: np.ndarray) -> None:
    """Refuse to compare the speed of two simulations that do not compute the same.

    Args:
        task: for the message.
        raw: [N, S] states that the raw side reached.
        ours: [N, S] states that ours reached.
        compared: [N] whether to compare a row; one that was reset holds its next episode already.
    """
    differing = np.flatnonzero((raw != ours).any(axis=1) & compared)
    if len(differing):
        row = int(differing[0])
        raise RuntimeError(f"{task}: simulation {row} differs: raw reached {raw[row]}, ours {ours[row]}")


if __name__ == "__main__":
    main()

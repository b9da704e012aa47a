"""PPO on Hopper-v5 to 1,000,000 steps against Stable-Baselines3 with its zoo's settings, and against raw physics."""

import statistics
import sys
from collections.abc import Sequence

from benchmarks import mujoco_batch
from benchmarks.comparison import TARGETS_OF_MEMORY
from benchmarks.harness import Benchmark, Figures, medians, run_job
from benchmarks.sb3 import compare_with_sb3


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds."""
    figures = compare_with_sb3("Hopper-v5", 1_000_000, seeds, quick=quick)
    raw = medians(_raw_figures(seed, quick) for seed in seeds)
    return figures | raw | {"raw_ratio": figures["steps_per_s"] / raw["raw_steps_per_s"]}


def _raw_figures(seed: int, quick: bool) -> Figures:
    """Steps/s of `mujoco.rollout` with 256 hoppers on two threads, random controls.

    One call a step, which is what a policy needs, from the states that our own world goes through as its episodes end
    and begin; and many steps a call, which no policy can use, from the first states.
    """
    lengths = ("--repeats", "1", "--seconds", "0.5") if quick else ("--repeats", "5", "--seconds", "2")
    replayed = run_job((*mujoco_batch.JOB, "--tasks", "Hopper-v5", "--seed", str(seed), *lengths))
    open_loop = run_job(
        (sys.executable, "benchmarks/peers/raw_rollout.py", "--task", "Hopper-v5", *lengths[2:], "--seed", str(seed))
    )
    return {
        "raw_steps_per_s": statistics.median(replayed.printed["tasks"]["Hopper-v5"]["raw_steps_per_s"]),
        "raw_open_loop_steps_per_s": open_loop.printed["open_loop_steps_per_s"],
    }


BENCHMARK = Benchmark(
    name="ppo-hopper",
    about="PPO Hopper-v5 to 1 M steps against Stable-Baselines3 and raw mujoco.rollout",
    targets={"speed_ratio": ">= 10", "raw_ratio": ">= 0.5", "return": ">= peer_return"} | TARGETS_OF_MEMORY,
    measure=measure,
)

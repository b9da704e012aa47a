"""PPO on Hopper-v5 to 1,000,000 steps against Stable-Baselines3 with its zoo's settings, and against raw physics."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import peers
from benchmarks.comparison import TARGETS_OF_MEMORY, compare
from benchmarks.harness import Benchmark, Figures, medians, run_job

NUM_STEPS = 1_000_000
NUM_STEPS_QUICK = 2_000
# A policy that acts at random falls within about so many steps. Reset that often, the raw physics is kept among the
# upright states that all of training is made of; a hopper on the ground has more contacts and is slower to simulate.
RAW_EPISODE_STEPS = 20


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; heeler's job is `python -m benchmarks.jobs.ppo_hopper --seed S --steps N`."""
    steps = str(NUM_STEPS_QUICK if quick else NUM_STEPS)

    def peer(seed: int) -> Sequence[str]:
        script = "benchmarks/peers/sb3_ppo.py"
        return (peers.python("sb3"), script, "--task", "Hopper-v5", "--steps", steps, "--seed", str(seed))

    def ours(seed: int, _: Mapping[str, Any]) -> Sequence[str]:
        return (sys.executable, "-m", "benchmarks.jobs.ppo_hopper", "--steps", steps, "--seed", str(seed))

    figures = compare(seeds, peer, ours, peer_threads=1)
    raw = medians(_raw_figures(seed, quick) for seed in seeds)
    return figures | raw | {"raw_ratio": figures["steps_per_s"] / raw["raw_steps_per_s"]}


def _raw_figures(seed: int, quick: bool) -> Figures:
    """Steps/s of `mujoco.rollout` with 256 hoppers on two threads, random controls."""
    options = ("--seconds", "0.5" if quick else "5", "--episode-steps", str(RAW_EPISODE_STEPS), "--seed", str(seed))
    job = run_job((sys.executable, "-m", "benchmarks.peers.raw_rollout", "--task", "Hopper-v5", *options))
    return {
        "raw_steps_per_s": job.printed["closed_loop_steps_per_s"],
        "raw_open_loop_steps_per_s": job.printed["open_loop_steps_per_s"],
    }


BENCHMARK = Benchmark(
    name="ppo-hopper",
    about="PPO Hopper-v5 to 1 M steps against Stable-Baselines3 and raw mujoco.rollout",
    targets={"speed_ratio": ">= 10", "raw_ratio": ">= 0.5", "return": ">= peer_return"} | TARGETS_OF_MEMORY,
    measure=measure,
)

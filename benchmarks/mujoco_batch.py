"""Batched MuJoCo against raw `mujoco.rollout` with the same model, batch and threads, over all nine tasks."""

import statistics
import sys
from collections.abc import Sequence

from benchmarks.comparison import TARGETS_OF_MEMORY
from benchmarks.harness import Benchmark, Figures, medians, run_job

TASKS = (
    "Hopper-v5",
    "HalfCheetah-v5",
    "Walker2d-v5",
    "Ant-v5",
    "Swimmer-v5",
    "Humanoid-v5",
    "Reacher-v5",
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
)
JOB = (sys.executable, "-m", "benchmarks.jobs.mujoco_batch")
RAW = (sys.executable, "benchmarks/peers/raw_rollout.py", "--open-loop-steps", "0")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over seeds, each seed's the median over its repeats.

    `raw_ratio` is the lowest task's, `memory_ratio` the highest task's; every task's own stand beside them.
    """
    lengths = ("--repeats", "1", "--seconds", "0.1") if quick else ("--repeats", "5", "--seconds", "1")
    speeds = medians(_speeds(seed, lengths) for seed in seeds)
    memory = _memory(TASKS[:1] if quick else TASKS)
    worst = {
        "raw_ratio": min(speeds[f"raw_ratio_{task}"] for task in TASKS),
        "memory_ratio": max(ratio for name, ratio in memory.items() if name.startswith("memory_ratio_")),
    }
    return worst | speeds | memory


def _speeds(seed: int, lengths: Sequence[str]) -> Figures:
    """For each task its ratio, as the median of ratios of neighbouring repeats, and both speeds."""
    job = run_job((*JOB, "--tasks", *TASKS, "--seed", str(seed), *lengths))
    figures: Figures = {}
    for task, speeds in job.printed["tasks"].items():
        pairs = list(zip(speeds["ours_steps_per_s"], speeds["raw_steps_per_s"], strict=True))
        figures[f"raw_ratio_{task}"] = statistics.median(ours / raw for ours, raw in pairs)
        figures[f"steps_per_s_{task}"] = statistics.median(ours for ours, _ in pairs)
        figures[f"raw_steps_per_s_{task}"] = statistics.median(raw for _, raw in pairs)
    return figures


def _memory(tasks: Sequence[str]) -> Figures:
    """Peak memory of each side for each task, every one in a process of its own: same batch, threads and length."""
    figures: Figures = {}
    for task in tasks:
        ours = run_job((*JOB, "--alone", "--tasks", task, "--repeats", "1", "--seconds", "1")).peak_mb
        raw = run_job((*RAW, "--task", task, "--seconds", "1")).peak_mb
        figures |= {f"memory_ratio_{task}": ours / raw, f"peak_mb_{task}": ours, f"raw_peak_mb_{task}": raw}
    return figures


BENCHMARK = Benchmark(
    name="mujoco-batch",
    about="batched MuJoCo against raw mujoco.rollout with the same model, batch and threads",
    targets={"raw_ratio": ">= 0.8"} | TARGETS_OF_MEMORY,
    measure=measure,
)

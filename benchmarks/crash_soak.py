"""200 times `kill -9` of the service, the learner or both while programs answer: what is lost, and what doubled."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.crash_soak")
NUM_KILLS, NUM_KILLS_QUICK = 200, 6


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Sums over the seeds, which share the kills; each seed has a run of its own."""
    number = -(-(NUM_KILLS_QUICK if quick else NUM_KILLS) // len(seeds))
    parts = [run_job((*JOB, "--seed", str(seed), "--kills", str(number)), live=True).printed for seed in seeds]
    return {name: sum(part[name] for part in parts) for name in parts[0]}


BENCHMARK = Benchmark(
    name="crash-soak",
    about="answers lost or doubled while service and learner are killed at random",
    targets={"kills": ">= 200", "lost": "<= 0", "doubled": "<= 0", "manual_repairs": "<= 0", "other_faults": "<= 0"},
    measure=measure,
)

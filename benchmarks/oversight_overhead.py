"""How much longer training takes where monitors, the audit log and an overseer's review are on."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, medians, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.oversight_overhead")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; with and without take turns in one process."""
    lengths = ("--updates", "8", "--turns", "2") if quick else ()
    return medians(dict(run_job((*JOB, "--seed", str(seed), *lengths), threads=1).printed) for seed in seeds)


BENCHMARK = Benchmark(
    name="oversight-overhead",
    about="training slowed by monitors, audit log and a cheap overseer's review",
    targets={"slowdown": "<= 0.05"},
    measure=measure,
)

"""How much longer training takes where monitors, the audit log and overseers of every step are on.

`slowdown` is that of HalfCheetah, a body in MuJoCo. Beside it CartPole's, a world that takes next to no time, in which
some hundred microseconds a step weigh as much as they can, and that of Ant, whose physics takes long.
"""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, medians, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.oversight_overhead")
WORLD = "halfcheetah"


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; runs with and without take turns in one process."""
    lengths = ("--blocks", "1") if quick else ()
    figures = medians(dict(run_job((*JOB, "--seed", str(seed), *lengths), threads=1).printed) for seed in seeds)
    return {"slowdown": figures[f"slowdown_{WORLD}"], **figures}


BENCHMARK = Benchmark(
    name="oversight-overhead",
    about="training slowed by monitors, audit log and overseers' review of every step",
    targets={"slowdown": "<= 0.05"},
    measure=measure,
)

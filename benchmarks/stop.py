"""How soon a run that learns obeys: a soft stop in steps of its world, a hard stop of a hanging learner in seconds."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.stop")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """The worst of all seeds, and all that went wrong."""
    lengths = ("--soft", "2", "--hard", "1") if quick else ()
    rows = [dict(run_job((*JOB, "--seed", str(seed), *lengths)).printed) for seed in seeds]
    figures: Figures = {name: max(row[name] for row in rows) for name in ("soft_steps", "soft_s", "hard_s")}
    return figures | {name: sum(row[name] for row in rows) for name in ("unsound", "left_over", "stops")}


BENCHMARK = Benchmark(
    name="stop",
    about="steps after a soft stop was acknowledged, and seconds until a learner that hangs in C code has ended",
    targets={"soft_steps": "<= 1", "hard_s": "<= 1", "unsound": "<= 0", "left_over": "<= 0"},
    measure=measure,
)

"""How much slower a run trains while an operator's page is open, without and with the browser on the same machine."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, medians, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.console_overhead")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; each is a run of its own, with the page opened and closed in turn."""
    lengths = ("--cycles", "1", "--phase-s", "4", "--warm-up-s", "3") if quick else ()
    return medians(dict(run_job((*JOB, "--seed", str(seed), *lengths)).printed) for seed in seeds)


BENCHMARK = Benchmark(
    name="console-overhead",
    about="training slowed by an operator's page: by a client that asks for what the page asks for, and by Chromium",
    targets={"slowdown": "<= 0.05"},
    measure=measure,
)

"""What the page where people answer costs beside looking: seconds a comparison, of a scripted annotator in Chromium."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, medians, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.answering")
LOOKING_S = 2.0


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; nothing here is random, so that a seed is one more time."""
    settings = ("--number", "6", "--looking-s", "0.5") if quick else ("--number", "40", "--looking-s", str(LOOKING_S))
    runs = (dict(run_job((*JOB, *settings)).printed) for _ in seeds)
    return medians({name: run[name] for name in ("overhead_s", "comparisons")} for run in runs)


BENCHMARK = Benchmark(
    name="annotator-time",
    about="seconds a comparison that the page costs beside looking, for a scripted annotator in Chromium",
    targets={"overhead_s": "<= 0.5"},
    measure=measure,
)

"""How long somebody who answers waits for the next pair: from the key to its paint, in Chromium."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, medians, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.answering")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; nothing here is random, so that a seed is one more time."""
    # Half a second is less than anybody looks, so that the page has little time to load what comes next.
    settings = ("--number", "6") if quick else ("--number", "60")
    runs = (dict(run_job((*JOB, *settings, "--looking-s", "0.5")).printed) for _ in seeds)
    return medians({name: run[name] for name in ("median_ms", "p95_ms", "comparisons")} for run in runs)


BENCHMARK = Benchmark(
    name="console-latency",
    about="key press to the next pair painted, in Chromium, on the page where people answer",
    targets={"median_ms": "<= 100"},
    measure=measure,
)

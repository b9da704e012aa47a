"""How many answers a second the service keeps: 200 clients, single answers and batches of 100, on SQLite."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, medians, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.ingest")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; nothing here is random, so that a seed is one more time."""
    lengths = ("--singles", "6", "--batches", "1") if quick else ("--singles", "60", "--batches", "4")
    return medians(dict(run_job((*JOB, *lengths)).printed) for _ in seeds)


BENCHMARK = Benchmark(
    name="ingest",
    about="answers a second from 200 clients into a real service, and what group commit is worth",
    targets={
        "single_per_s": ">= 1000",
        "batch_per_s": ">= 15000",
        "p99_ms": "<= 150",
        "group_commit_ratio": ">= 3",
    },
    measure=measure,
)

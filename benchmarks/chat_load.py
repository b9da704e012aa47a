"""A served chat under load: 50 streams, with and without a learner beside the service, and a swap of the model."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, medians, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.chat_load")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds, but of dropped streams the sum."""
    lengths = ("--seconds", "6") if quick else ()
    rows = [dict(run_job((*JOB, "--seed", str(seed), *lengths)).printed) for seed in seeds]
    return medians(rows) | {"dropped_streams": sum(row["dropped_streams"] for row in rows)}


BENCHMARK = Benchmark(
    name="chat-load",
    about="time to the first text and tokens a second of 50 streams, alone and beside a learner; a swap drops none",
    targets={"dropped_streams": "<= 0"},
    measure=measure,
)

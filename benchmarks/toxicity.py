"""The shipped toxicity classifier and word list on held-out sentences: precision, recall, disguises, look-alikes."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, medians, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.toxicity")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds, which draw the held-out sentences."""
    settings = ("--quick",) if quick else ()
    return medians(dict(run_job((*JOB, "--seed", str(seed), *settings)).printed) for seed in seeds)


BENCHMARK = Benchmark(
    name="toxicity",
    about="the shipped toxicity classifier and word list on held-out sentences, disguised ones and look-alikes",
    targets={
        "precision": ">= 0.95",
        "recall_known_words": ">= 0.9",
        "recall_disguised": ">= 0.85",
        "look_alikes_called_toxic": "<= 0.05",
    },
    measure=measure,
)

"""A change of what people want in mid-run: answers until it is noticed, and from there until the reward follows."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, Figures
from benchmarks.plan import PlannedJob, run_plan

JOB = (sys.executable, "-m", "benchmarks.jobs.drift")
QUICK = ("--before", "200")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """One job a seed."""
    options = QUICK if quick else ()
    plan = [PlannedJob(label=f"seed {seed}", command=(*JOB, "--seed", str(seed), *options), size=1) for seed in seeds]
    return summarize([job.printed for job in run_plan("drift", plan)])


def summarize(printed: Sequence[Mapping[str, Any]]) -> Figures:
    """Medians over seeds, and the worst."""
    return {
        "answers_to_notice": statistics.median(one["notice"] for one in printed),
        "answers_to_notice_worst": max(one["notice"] for one in printed),
        "answers_to_recover": statistics.median(one["recover"] for one in printed),
        "answers_to_recover_worst": max(one["recover"] for one in printed),
        "answers_to_recover_without_forgetting": statistics.median(one["recover_without"] for one in printed),
    }


BENCHMARK = Benchmark(
    name="drift",
    about="people change what they want in mid-run: answers until it is noticed, and until the reward follows",
    targets={"answers_to_notice": "<= 100", "answers_to_recover": "<= 300"},
    measure=measure,
)

"""Two groups that want opposite things: shares of seeds in which both are found, and each rule does as declared."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, Figures
from benchmarks.plan import PlannedJob, run_plan

JOB = (sys.executable, "-m", "benchmarks.jobs.groups")
QUICK = ("--answers", "600")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """One job a seed."""
    options = QUICK if quick else ()
    plan = [PlannedJob(label=f"seed {seed}", command=(*JOB, "--seed", str(seed), *options), size=1) for seed in seeds]
    return summarize([job.printed for job in run_plan("groups", plan)])


def summarize(printed: Sequence[Mapping[str, Any]]) -> Figures:
    """Shares of the seeds."""
    figures = {f"{rule}_holds": statistics.fmean(one["rules"][rule] for one in printed) for rule in printed[0]["rules"]}
    return {
        "groups_found": statistics.fmean(one["found"] for one in printed),
        "rules_hold": min(figures.values()),
        **figures,
    }


BENCHMARK = Benchmark(
    name="groups",
    about="two groups that want opposite things: both found, and each rule of deciding does as declared",
    targets={"groups_found": ">= 1", "rules_hold": ">= 1"},
    measure=measure,
)

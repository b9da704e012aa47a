"""Careless, hostile and colluding people: what is learned from them as a share of what is learned without them.

20 people compare 30 arms, three a question; 8 are careless, or 4 hostile, or 2 colluding, and those answer four times
as often as the others. A share is the value of the exact policy π ∝ exp(reward) over that of an all honest crowd.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, Figures
from benchmarks.plan import PlannedJob, run_plan

JOB = (sys.executable, "-m", "benchmarks.jobs.annotators")
WAYS = ("crowd_bt", "uniform", "majority")
QUICK = ("--questions", "200")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """One job a seed."""
    options = QUICK if quick else ()
    plan = [PlannedJob(label=f"seed {seed}", command=(*JOB, "--seed", str(seed), *options), size=1) for seed in seeds]
    return summarize([job.printed for job in run_plan("annotators", plan)])


def summarize(printed: Sequence[Mapping[str, Any]]) -> Figures:
    """Medians over seeds; precision and recall are of all seeds together, over every crowd."""
    figures: Figures = {"clean_value": statistics.median(one["clean"]["crowd_bt"] for one in printed)}
    for kind in ("careless", "hostile", "colluding"):
        for way in WAYS:
            name = f"{kind}_share" if way == "crowd_bt" else f"{kind}_share_{way}"
            figures[name] = statistics.median(one[kind][way] / one["clean"][way] for one in printed)
    named = [(set(crowd["named"]), set(crowd["hostile"])) for one in printed for crowd in one.values()]
    right = sum(len(said & true) for said, true in named)
    figures["precision"] = right / max(sum(len(said) for said, _ in named), 1)
    figures["recall"] = right / max(sum(len(true) for _, true in named), 1)
    return figures


BENCHMARK = Benchmark(
    name="annotators",
    about="careless, hostile and colluding people against an honest crowd; majority and uniform weighting beside it",
    targets={
        "careless_share": ">= 0.9",
        "hostile_share": ">= 0.9",
        "colluding_share": ">= 0.9",
        "precision": ">= 0.9",
        "recall": ">= 0.8",
    },
    measure=measure,
)

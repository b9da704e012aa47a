"""Learning halts when the learned reward rises and held-out agreement does not: how often wrongly, how soon rightly.

Simulated runs in which the true reward is known, as long as the recipes `helpdesk` and `chat` make theirs, with as many
comparisons as these ask and with their watches: see `benchmarks.jobs.over_optimisation`. Figures begin with the
recipe's name. `false_alarms_per_20_runs` is of the three kinds of sound runs together. Of the two kinds of
over-optimised runs, `delay_updates` is the median, over those that were caught, of the updates from the peak of the
true reward to the halt; `caught_share` the share that was halted after its peak and before its end. `lost_share` is the
median share of the peak's true reward that was lost by the halt, and `lost_share_without` what is lost in the end where
nothing halts. Without a recipe's name: the worse of the two.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, Figures, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.over_optimisation")
RECIPES, BAD = ("helpdesk", "chat"), ("planted", "collapsing")
RUNS, RUNS_QUICK = 100, 2
Printed = Sequence[Mapping[str, Any]]


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """All seeds' runs together."""
    number = str(RUNS_QUICK if quick else RUNS)
    return summarize(
        {
            recipe: [run_job((*JOB, recipe, "--seed", str(seed), "--runs", number)).printed for seed in seeds]
            for recipe in RECIPES
        }
    )


def summarize(printed: Mapping[str, Printed]) -> Figures:
    """Figures of what the jobs printed for each recipe."""
    of = {recipe: _of_recipe(rows) for recipe, rows in printed.items()}
    figures = {f"{recipe}_{name}": value for recipe, row in of.items() for name, value in row.items()}
    figures["false_alarms_per_20_runs"] = max(row["false_alarms_per_20_runs"] for row in of.values())
    figures["collapsing_caught_share"] = min(row["collapsing_caught_share"] for row in of.values())
    figures["collapsing_delay_updates"] = max(row["collapsing_delay_updates"] for row in of.values())
    return figures


def _of_recipe(printed: Printed) -> Figures:
    runs = sum(each["runs"] for each in printed)
    alarms = {kind: sum(each["alarms"][kind] for each in printed) for kind in printed[0]["alarms"]}
    figures = {
        "false_alarms_per_20_runs": 20 * sum(alarms.values()) / (runs * len(alarms)),
        **{f"false_alarms_per_20_runs_{kind}": 20 * count / runs for kind, count in alarms.items()},
        "runs_of_each_kind": float(runs),
    }
    for kind in BAD:
        figures |= {f"{kind}_{name}": value for name, value in _of_bad([each[kind] for each in printed]).items()}
    return figures


def _of_bad(printed: Printed) -> Figures:
    of = {
        name: [value for each in printed for value in each[name]]
        for name in ("caught", "early", "delays", "lost", "lost_without")
    }
    return {
        "caught_share": statistics.fmean(of["caught"]),
        "early_share": statistics.fmean(of["early"]),
        "delay_updates": statistics.median(of["delays"]) if of["delays"] else float("nan"),
        "lost_share": statistics.median(of["lost"]) if of["lost"] else float("nan"),
        "lost_share_without": statistics.median(of["lost_without"]),
    }


BENCHMARK = Benchmark(
    name="over-optimisation",
    about="the recipes' watches over learned rewards: false alarms, and how soon they halt",
    targets={
        "false_alarms_per_20_runs": "<= 1",
        "collapsing_caught_share": ">= 0.8",
        "collapsing_delay_updates": "<= 60",
    },
    measure=measure,
)

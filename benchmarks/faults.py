"""What the monitors catch of the faults that are planted in short runs, how soon, and how often they err.

See `benchmarks.jobs.planted` for the faults and `benchmarks.jobs.faults` for the runs. `false_alarms_per_20_runs`
counts every finding of a run in which nothing was planted. Each fault (`caught_`, `delay_updates_`) and each monitor
(`told_by_`: how many faults it told of, fitting or not; `delay_updates_by_`, `false_alarms_by_`) has its own figures.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, Figures, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.faults")
CLEAN = 40
QUICK = ("--clean", "1", "--faults", "reward_sign", "weight_nan", "world_slow")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """All seeds' runs together."""
    lengths = QUICK if quick else ("--clean", str(CLEAN))
    return summarize([run_job((*JOB, "--seed", str(seed), *lengths), threads=1, live=True).printed for seed in seeds])


def summarize(printed: Sequence[Mapping[str, Any]]) -> Figures:
    """Figures of what the jobs printed."""
    planted = [one for each in printed for one in each["faults"].values()]
    clean = sum(each["clean"] for each in printed)
    delays = [one["delay"] for one in planted if one["caught"]]
    return {
        "caught_share": statistics.fmean(one["caught"] for one in planted),
        "false_alarms_per_20_runs": 20 * sum(each["false_alarms"] for each in printed) / clean,
        "delay_updates": float(statistics.median(delays)) if delays else float("nan"),
        "slowest_delay_updates": float(max(delays)) if delays else float("nan"),
        "faults": float(len(planted) / len(printed)),
        "clean_runs": float(clean),
        **_of_each_fault(printed),
        **_of_each_monitor(printed),
    }


def _of_each_fault(printed: Sequence[Mapping[str, Any]]) -> Figures:
    figures: Figures = {}
    for name in printed[0]["faults"]:
        own = [each["faults"][name] for each in printed if name in each["faults"]]
        figures[f"caught_{name}"] = statistics.fmean(one["caught"] for one in own)
        if delays := [one["delay"] for one in own if one["caught"]]:
            figures[f"delay_updates_{name}"] = float(statistics.median(delays))
    return figures


def _of_each_monitor(printed: Sequence[Mapping[str, Any]]) -> Figures:
    """Median updates until it told of a fault, of those that it told of, and findings where nothing was planted."""
    planted = [one["by"] for each in printed for one in each["faults"].values()]
    alarms = [said for each in printed for run in each["alarms"].values() for said in run]
    figures: Figures = {}
    for name in printed[0]["monitors"]:
        told = [by[name] for by in planted if name in by]
        figures[f"told_by_{name}"] = float(len(told))
        if told:
            figures[f"delay_updates_by_{name}"] = float(statistics.median(told))
        figures[f"false_alarms_by_{name}"] = float(sum(said.split(" at ")[0] == name for said in alarms))
    return figures


BENCHMARK = Benchmark(
    name="faults",
    about="planted faults that monitors catch before the run's end, how soon, and false alarms where nothing is wrong",
    targets={"caught_share": ">= 0.9", "false_alarms_per_20_runs": "<= 1"},
    measure=measure,
)

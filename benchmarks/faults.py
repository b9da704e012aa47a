"""What the monitors catch of the faults that are planted in short runs, how soon, and how often they err.

See `benchmarks.jobs.planted` for the faults and `benchmarks.jobs.faults` for the runs. `false_alarms_per_20_runs`
counts every finding of a run in which nothing was planted.
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
    }


BENCHMARK = Benchmark(
    name="faults",
    about="planted faults that monitors catch before the run's end, how soon, and false alarms where nothing is wrong",
    targets={"caught_share": ">= 0.9", "false_alarms_per_20_runs": "<= 1"},
    measure=measure,
)

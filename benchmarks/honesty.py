"""How often `heeler honesty` is right: planted over-optimisation, planted shortcuts, situations that nobody saw.

Everything is simulated and known; see `benchmarks.jobs.honesty`. `caught_share` is the share of planted faults that are
named, the worst of the three kinds; `false_alarms` the share of faultless runs, rewards and situations that are called
faulty, the worst of the three. Both also stand for each kind.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, Figures, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.honesty")
KINDS = ("run", "reward", "situation")
CASES, CASES_QUICK = 100, 5


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """All seeds' cases together."""
    number = str(CASES_QUICK if quick else CASES)
    return summarize([run_job((*JOB, "--seed", str(seed), "--cases", number)).printed for seed in seeds])


def summarize(printed: Sequence[Mapping[str, Any]]) -> Figures:
    """Figures of what the jobs printed."""
    cases = sum(each["cases"] for each in printed)
    caught = {kind: sum(each["caught"][kind] for each in printed) / cases for kind in KINDS}
    false = {
        kind: sum(each["false"][kind] for each in printed) / sum(each["sound"][kind] for each in printed)
        for kind in KINDS
    }
    figures = {"caught_share": min(caught.values()), "false_alarms": max(false.values()), "cases": float(cases)}
    figures |= {f"caught_share_{kind}": share for kind, share in caught.items()}
    return figures | {f"false_alarms_{kind}": share for kind, share in false.items()}


BENCHMARK = Benchmark(
    name="honesty",
    about="planted faults of rewards and runs: how often they are named, and how often wrongly",
    targets={"caught_share": ">= 0.9", "false_alarms": "<= 0.05"},
    measure=measure,
)

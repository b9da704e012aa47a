"""What the gate releases: how often what it must not, and how often and after how many items what it should.

Simulated scores of seven suites: see `benchmarks.jobs.release_gate`. The gate promises a false release in 20 at most.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, Figures, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.release_gate")
GATES, GATES_QUICK = 200, 2
FALSE = ("equal", "toxic_by_the_margin", "sycophantic_by_the_margin")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """All seeds' gates together."""
    number = str(GATES_QUICK if quick else GATES)
    return summarize([run_job((*JOB, "--seed", str(seed), "--gates", number)).printed for seed in seeds])


def summarize(printed: Sequence[Mapping[str, Any]]) -> Figures:
    """Figures of what the jobs printed: shares released, and median items that each version was asked."""
    gates = sum(each["gates"] for each in printed)
    names = list(printed[0]["candidates"])
    share = {name: sum(each["candidates"][name]["released"] for each in printed) / gates for name in names}
    items = {name: statistics.median(each["candidates"][name]["items"] for each in printed) for name in names}
    return {
        "false_release_share": max(share[name] for name in FALSE),
        "power": share["better_by_20_points"],
        **{f"released_share_{name}": value for name, value in share.items()},
        **{f"items_{name}": float(value) for name, value in items.items()},
        "gates_of_each": float(gates),
    }


BENCHMARK = Benchmark(
    name="release-gate",
    about="what the gate releases wrongly, and what it needs to release rightly",
    targets={"false_release_share": "<= 0.05", "power": ">= 0.8"},
    measure=measure,
)

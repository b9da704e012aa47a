"""Asking by information a second against asking each kind as often: seconds and labels to 90 % of the final score.

Runs, curves and levels are those of `kinds`, with all kinds in both; the level is 90 % of what uniform asking reaches
with the largest budget. `labels_saved` is the share of answers that are not needed.
"""

from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures
from benchmarks.kinds import ALL, TOGETHER, Way, run_ways, summarize

UNIFORM: Way = (ALL, "uniform")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Runs every task, way, budget and seed; finished runs are kept, so that a killed benchmark goes on."""
    figures = summarize(run_ways("asking", (UNIFORM, TOGETHER), seeds, quick), way=TOGETHER, baseline=UNIFORM)
    return figures | {"labels_saved": 1 - figures["labels_ratio"]}


BENCHMARK = Benchmark(
    name="asking",
    about="seconds and labels that asking by information a second needs, against uniform",
    targets={"seconds_ratio": "< 1"},
    measure=measure,
)

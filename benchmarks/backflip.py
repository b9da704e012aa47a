"""A hopper learns backflips from at most 700 comparisons by a noisy simulated teacher, 10 % of its answers mistaken."""

import statistics
import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, Job, medians
from benchmarks.plan import PlannedJob, run_plan

JOB = (sys.executable, "-m", "benchmarks.jobs.backflip")
# About the fewest steps after which there is a learned reward at all.
QUICK = ("--steps", "90000", "--comparisons", "40")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """The recipe as it stands, once for each seed."""
    options = QUICK if quick else ()
    plan = [PlannedJob(label=f"seed {seed}", command=(*JOB, "--seed", str(seed), *options), size=1) for seed in seeds]
    return summarize(seeds, run_plan("backflip", plan))


def summarize(seeds: Sequence[int], jobs: Sequence[Job]) -> Figures:
    """Landed backflips: the median over seeds of the mean over episodes. Seconds and memory: of the whole process.

    `share_` before a part is its share of the run's seconds, `limit_` the share of the part that cannot be left out.
    """
    means = [statistics.fmean(job.printed["landed_backflips"]) for job in jobs]
    return {
        "landed_backflips": statistics.median(means),
        "landed_backflips_worst_seed": min(means),
        "comparisons": max(job.printed["comparisons"] for job in jobs),
        "wall_s": statistics.median(job.wall_s for job in jobs),
        "wall_s_worst_seed": max(job.wall_s for job in jobs),
        "peak_mb": max(job.peak_mb for job in jobs),
        "steps": statistics.median(job.printed["steps"] for job in jobs),
        "steps_per_s": statistics.median(job.printed["steps"] / job.wall_s for job in jobs),
        **medians(job.printed["time"] for job in jobs),
        **{f"landed_backflips_seed_{seed}": mean for seed, mean in zip(seeds, means, strict=True)},
    }


BENCHMARK = Benchmark(
    name="backflip",
    about="backflips from at most 700 comparisons in at most 8 minutes",
    targets={"landed_backflips": ">= 4", "comparisons": "<= 700", "wall_s": "<= 480"},
    measure=measure,
)

"""A body that may neither be too fast nor push too hard: two budgets at once, of a speed limit and of energy."""

import statistics
import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, Job
from benchmarks.plan import PlannedJob, run_plan

JOB = (sys.executable, "-m", "benchmarks.jobs.velocity")
TASK = "HalfCheetahVelocity"
VELOCITY_BUDGET, ENERGY_BUDGET = 25.0, 0.1
QUICK = ("--steps", "70000")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """One run for each seed."""
    options = ("--task", TASK, "--energy", str(ENERGY_BUDGET), *(QUICK if quick else ()))
    plan = [PlannedJob(label=f"seed {seed}", command=(*JOB, "--seed", str(seed), *options), size=1) for seed in seeds]
    return summarize(run_plan("two-costs", plan, at_once=2))


def summarize(jobs: Sequence[Job]) -> Figures:
    """`budget_share_max`: what fresh episodes cost in their budgets, of the cost that is nearest to its own, or
    furthest above it, in the worst seed. Beside it what they are paid."""
    shares = [
        {
            "velocity": job.printed["cost_mean"] / VELOCITY_BUDGET,
            "energy": job.printed["energy_mean"] / ENERGY_BUDGET,
        }
        for job in jobs
    ]
    worst = [max(share.values()) for share in shares]
    return {
        "budget_share_max": max(worst),
        "budget_share_velocity": statistics.median(share["velocity"] for share in shares),
        "budget_share_energy": statistics.median(share["energy"] for share in shares),
        "return": statistics.median(job.printed["return_mean"] for job in jobs),
        "return_worst_seed": min(job.printed["return_mean"] for job in jobs),
    }


BENCHMARK = Benchmark(
    name="two-costs",
    about="a body within two budgets at once: speed and energy",
    targets={"budget_share_max": "<= 1"},
    measure=measure,
)

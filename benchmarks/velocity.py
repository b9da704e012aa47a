"""Four MuJoCo bodies under a speed limit: the recipe `velocity`, a budget of 25 steps above the limit in 1,000.

A ceiling is what an episode could pay at most if the body kept just to the limit: 1,000 times the limit and what the
body is paid for being healthy. What is paid above it is paid for steps above the limit.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence

from benchmarks.harness import Benchmark, Figures, Job
from benchmarks.plan import KEPT, KeptJobs, PlannedJob, run_plan

JOB = (sys.executable, "-m", "benchmarks.jobs.velocity")
CEILINGS: Mapping[str, float] = {
    "HopperVelocity": 1740.0,
    "HalfCheetahVelocity": 3210.0,
    "Walker2dVelocity": 3342.0,
    "AntVelocity": 3622.0,
}
STEPS: Mapping[str, int] = {
    "HopperVelocity": 2_000_000,
    "HalfCheetahVelocity": 1_500_000,
    "Walker2dVelocity": 2_500_000,
    "AntVelocity": 6_000_000,
}
SHARE = 0.9
AT_ONCE = 2
"""Jobs beside one another: two threads are of less use to one job than to two."""
QUICK_TASKS = ("HopperVelocity", "HalfCheetahVelocity")
QUICK_STEPS = 70_000


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Every body with every seed."""
    runs = [(task, seed) for task in (QUICK_TASKS if quick else CEILINGS) for seed in seeds]
    plan = [_planned(task, seed, QUICK_STEPS if quick else STEPS[task]) for task, seed in runs]
    kept = None if quick else KeptJobs(KEPT / "velocity.jsonl")
    jobs = run_plan("velocity", plan, kept=kept, at_once=AT_ONCE)
    return summarize(dict(zip(runs, jobs, strict=True)))


def _planned(task: str, seed: int, steps: int) -> PlannedJob:
    options = {"--task": task, "--seed": seed, "--steps": steps, "--level": SHARE * CEILINGS[task]}
    words = [str(word) for option in options.items() for word in option]
    return PlannedJob(label=f"{task}, seed {seed}", command=(*JOB, *words), size=steps)


def summarize(jobs: Mapping[tuple[str, int], Job]) -> Figures:
    """`cost_max` is that of the worst body and seed, `ceiling_share_min` the lowest body's median over its seeds.

    `steps_to_target_TASK`: steps of learning after which its episodes first came to .9 of the ceiling within the
    budget, while it explores; those of the whole run for seeds that never did, which `reached_TASK` (a share) tells.
    """
    figures: Figures = {}
    for task in dict.fromkeys(task for task, _ in jobs):
        own = [job.printed for (name, _), job in jobs.items() if name == task]
        figures |= {
            f"cost_{task}": statistics.median(each["cost_mean"] for each in own),
            f"cost_worst_seed_{task}": max(each["cost_mean"] for each in own),
            f"return_{task}": statistics.median(each["return_mean"] for each in own),
            f"ceiling_share_{task}": statistics.median(each["return_mean"] for each in own) / CEILINGS[task],
            f"ceiling_share_worst_seed_{task}": min(each["return_mean"] for each in own) / CEILINGS[task],
            f"steps_to_target_{task}": statistics.median(each["reached_at"] for each in own),
            f"reached_{task}": statistics.fmean(each["reached"] for each in own),
            f"violations_{task}": statistics.median(each["violations"] for each in own),
        }
    return {
        "cost_max": max(figures[f"cost_worst_seed_{task}"] for task, _ in jobs),
        "ceiling_share_min": min(figures[f"ceiling_share_{task}"] for task, _ in jobs),
    } | figures


BENCHMARK = Benchmark(
    name="velocity",
    about="four MuJoCo bodies under a speed limit: cost within 25, return near its ceiling",
    targets={"cost_max": "<= 25", "ceiling_share_min": ">= 0.9"},
    measure=measure,
)

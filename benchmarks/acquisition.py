"""How many labels each acquisition needs: true return at the end of a run against the budget of comparisons.

Every point is a whole run with that budget, so that steps and labels do not grow together. A method needs as many
labels as bring its curve, the mean over seeds, to 80 % of what random acquisition reaches with the largest budget
(uniformly random actions = 0): interpolated between budgets on a logarithmic scale; the smallest budget where that is
enough already, and twice the largest where none is. `labels_ratio` is that of the active method which needs the fewest,
over those of random, as the geometric mean over tasks. The best of four methods is chosen after the fact, which by
itself favours it; the interval of `labels_ratio`, from resampled seeds with the choice made anew in each, shows by how
much.
"""

import itertools
import math
import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.harness import Benchmark, Figures, Job
from benchmarks.plan import KEPT, KeptJobs, PlannedJob, run_plan
from benchmarks.scores import bootstrap, quantile, resample

STEPS: Mapping[str, int] = {"Pendulum-v1": 300_000, "HalfCheetah-v5": 300_000}
BUDGETS = (20, 40, 80)
QUICK_STEPS: Mapping[str, int] = {"Pendulum-v1": 90_000}
QUICK_BUDGETS = (16,)
BASELINE = "random"
ACTIVE = ("disagreement", "entropy", "information_gain", "coverage")
LEVEL = 0.8
# Fits of the reward in a run: with the recipe's own interval the smallest budgets would have no fit between the first
# and the last, and an active method nothing to choose by.
NUM_REFITS = 10
NUM_RESAMPLES = 2_000
JOB = (sys.executable, "-m", "benchmarks.jobs.preference_task")
Run = tuple[str, str, int, int]
"""Task, method, budget, seed."""


@dataclass(frozen=True, kw_only=True)
class TaskCurves:
    """Returns on one task."""

    random_return: float
    """Of uniformly random actions."""
    returns: Mapping[str, Mapping[int, Sequence[float]]]
    """By method, then budget: one number a seed."""

    def resampled(self, rng: random.Random) -> "TaskCurves":
        """Seeds drawn anew at every point."""
        drawn = {
            method: {budget: resample(values, rng) for budget, values in curve.items()}
            for method, curve in self.returns.items()
        }
        return TaskCurves(random_return=self.random_return, returns=drawn)

    def labels(self) -> dict[str, float]:
        """By method: labels needed for 80 % of what random acquisition reaches."""
        curves = {
            method: {budget: statistics.fmean(values) for budget, values in curve.items()}
            for method, curve in self.returns.items()
        }
        final = curves[BASELINE][max(curves[BASELINE])]
        level = self.random_return + LEVEL * (final - self.random_return)
        return {method: labels_needed(curve, level) for method, curve in curves.items()}


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Runs every task, method, budget and seed; finished runs are kept, so that a killed benchmark goes on."""
    steps, budgets = (QUICK_STEPS, QUICK_BUDGETS) if quick else (STEPS, BUDGETS)
    runs: list[Run] = [
        (task, method, budget, seed)
        for task in steps
        for seed in seeds
        for budget in budgets
        for method in (BASELINE, *ACTIVE)
    ]
    plan = [_planned(steps[run[0]], *run) for run in runs]
    kept = None if quick else KeptJobs(KEPT / "acquisition.jsonl")
    return summarize(dict(zip(runs, run_plan("acquisition", plan, kept=kept), strict=True)))


def _planned(steps: int, task: str, method: str, budget: int, seed: int) -> PlannedJob:
    options = ("--steps", str(steps), "--seed", str(seed), "--refit-every", str(max(1, budget // NUM_REFITS)))
    command = (*JOB, "--task", task, "--acquisition", method, "--comparisons", str(budget), *options)
    return PlannedJob(label=f"{task}, {method}, {budget} labels, seed {seed}", command=command, size=steps)


def labels_needed(curve: Mapping[int, float], level: float) -> float:
    """Where a curve of returns by budget first reaches `level`; see the module's docstring for its two ends.

    >>> labels_needed({20: 0.0, 80: 1.0}, 0.5)
    40.0
    """
    points = sorted(curve.items())
    if points[0][1] >= level:
        return float(points[0][0])
    for (budget, value), (next_budget, next_value) in itertools.pairwise(points):
        if next_value >= level:
            share = (level - value) / (next_value - value)
            return round(math.exp(math.log(budget) + share * math.log(next_budget / budget)), 6)
    return 2.0 * points[-1][0]


def summarize(jobs: Mapping[Run, Job]) -> Figures:
    """Ratios, labels needed, and the points of every curve."""
    tasks = dict.fromkeys(run[0] for run in jobs)
    curves = {task: task_curves({run: job for run, job in jobs.items() if run[0] == task}) for task in tasks}
    ratios = labels_ratios(list(curves.values()))
    resampled = bootstrap(
        lambda rng: min(labels_ratios([of.resampled(rng) for of in curves.values()]).values()),
        num_resamples=NUM_RESAMPLES,
    )
    figures: Figures = {
        "labels_ratio": min(ratios.values()),
        "labels_ratio_low": quantile(resampled, 0.025),
        "labels_ratio_high": quantile(resampled, 0.975),
        **{f"labels_ratio_{method}": ratio for method, ratio in ratios.items()},
        "jobs_wall_s": sum(job.wall_s for job in jobs.values()),
        "peak_mb": max(job.peak_mb for job in jobs.values()),
    }
    for task, of in curves.items():
        figures |= {f"labels_{task}_{method}": labels for method, labels in of.labels().items()}
        figures[f"random_actions_return_{task}"] = of.random_return
        for method, curve in of.returns.items():
            figures |= {f"return_{task}_{method}_{budget}": statistics.fmean(seen) for budget, seen in curve.items()}
    return figures


def task_curves(jobs: Mapping[Run, Job]) -> TaskCurves:
    """The curves of one task from its runs."""
    returns: dict[str, dict[int, list[float]]] = {}
    for (_, method, budget, _), job in jobs.items():
        of_budget = returns.setdefault(method, {}).setdefault(budget, [])
        of_budget.append(statistics.fmean(job.printed["returns"]))
    random_return = statistics.fmean(value for job in jobs.values() for value in job.printed["random_returns"])
    return TaskCurves(random_return=random_return, returns=returns)


def labels_ratios(tasks: Sequence[TaskCurves]) -> dict[str, float]:
    """By active method: labels needed over those of random, the geometric mean over tasks."""
    needed = [of.labels() for of in tasks]
    return {
        method: statistics.geometric_mean([labels[method] / labels[BASELINE] for labels in needed])
        for method in needed[0]
        if method != BASELINE
    }


BENCHMARK = Benchmark(
    name="acquisition",
    about="labels that active acquisition needs, against random",
    targets={"labels_ratio": "<= 0.99"},
    measure=measure,
)

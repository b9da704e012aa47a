"""All kinds of answers against comparisons alone: seconds of a person's time to 90 % of the final score.

Every point is a whole run with that budget of seconds, so that steps and seconds do not grow together. A way of asking
needs as many seconds as bring its curve, the mean over seeds, to 90 % of what comparisons alone reach with the largest
budget (uniformly random actions = 0): interpolated between budgets on a logarithmic scale; the smallest budget where
that is enough already, and twice the largest where none is. `seconds_ratio` is what all kinds need, chosen by
information a second, over what comparisons alone need, chosen likewise: the geometric mean over tasks. The simulated
person answers each kind as surely and as fast as `KindsTeacherConfig` says, which is a supposition about people: the
ratio is no better than it.
"""

import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.acquisition import labels_needed
from benchmarks.harness import Benchmark, Figures, Job
from benchmarks.plan import KEPT, KeptJobs, PlannedJob, run_plan
from benchmarks.scores import bootstrap, quantile, resample

STEPS: Mapping[str, int] = {"Pendulum-v1": 300_000, "CartPole-v1": 400_000, "Reacher-v5": 400_000}
BUDGETS_S = (60, 120, 240, 480)
QUICK_STEPS: Mapping[str, int] = {"CartPole-v1": 100_000}
QUICK_BUDGETS_S = (40,)
ALL = "preference,rating,evaluation,critique"
LEVEL = 0.9
NUM_RESAMPLES = 2_000
JOB = (sys.executable, "-m", "benchmarks.jobs.kinds_task")
Way = tuple[str, str]
"""Kinds that are asked, and how they are chosen."""
Run = tuple[str, Way, int, int]
"""Task, way, budget, seed."""
COMPARISONS: Way = ("preference", "information")
TOGETHER: Way = (ALL, "information")


@dataclass(frozen=True, kw_only=True)
class TaskCurves:
    """Scores on one task."""

    random_score: float
    """Of uniformly random actions."""
    scores: Mapping[Way, Mapping[int, Sequence[float]]]
    """By way, then budget: one number a seed."""
    labels: Mapping[Way, Mapping[int, float]]
    """Mean number of answers, likewise."""

    def resampled(self, rng: random.Random) -> "TaskCurves":
        """Seeds drawn anew at every point."""
        drawn = {
            way: {budget: resample(values, rng) for budget, values in curve.items()}
            for way, curve in self.scores.items()
        }
        return TaskCurves(random_score=self.random_score, scores=drawn, labels=self.labels)

    def seconds(self, baseline: Way) -> dict[Way, float]:
        """By way: seconds needed for 90 % of what the baseline reaches."""
        curves = {
            way: {b: statistics.fmean(values) for b, values in curve.items()} for way, curve in self.scores.items()
        }
        final = curves[baseline][max(curves[baseline])]
        level = self.random_score + LEVEL * (final - self.random_score)
        return {way: labels_needed(curve, level) for way, curve in curves.items()}

    def labels_for(self, way: Way, seconds: float) -> float:
        """Answers that so many seconds are good for: as many a second as at the nearest budget."""
        nearest = min(self.labels[way], key=lambda budget: abs(budget - seconds))
        return self.labels[way][nearest] * seconds / nearest


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Runs every task, way, budget and seed; finished runs are kept, so that a killed benchmark goes on."""
    jobs = run_ways("kinds", (COMPARISONS, TOGETHER), seeds, quick)
    return summarize(jobs, way=TOGETHER, baseline=COMPARISONS)


def run_ways(name: str, ways: Sequence[Way], seeds: Sequence[int], quick: bool) -> dict[Run, Job]:
    """Every run of these ways, two at a time; `kinds` and `asking` keep theirs together, as they share some."""
    steps, budgets = (QUICK_STEPS, QUICK_BUDGETS_S) if quick else (STEPS, BUDGETS_S)
    runs: list[Run] = [
        (task, way, budget, seed) for task in steps for seed in seeds for budget in budgets for way in ways
    ]
    plan = [_planned(steps[run[0]], *run) for run in runs]
    kept = None if quick else KeptJobs(KEPT / "kinds.jsonl")
    return dict(zip(runs, run_plan(name, plan, kept=kept, at_once=2), strict=True))


def _planned(steps: int, task: str, way: Way, budget: int, seed: int) -> PlannedJob:
    kinds, asking = way
    options = ("--kinds", kinds, "--asking", asking, "--budget-s", str(budget), "--seed", str(seed))
    command = (*JOB, "--task", task, "--steps", str(steps), *options)
    label = f"{task}, {kinds if kinds != ALL else 'all kinds'} by {asking}, {budget} s, seed {seed}"
    return PlannedJob(label=label, command=command, size=steps)


def summarize(jobs: Mapping[Run, Job], *, way: Way, baseline: Way) -> Figures:
    """The ratio of seconds with its 95 % interval from resampled seeds, that of labels, and every point."""
    tasks = dict.fromkeys(run[0] for run in jobs)
    curves = {task: task_curves({run: job for run, job in jobs.items() if run[0] == task}) for task in tasks}
    every = list(curves.values())
    resampled = bootstrap(
        lambda rng: seconds_ratio([of.resampled(rng) for of in every], way, baseline), num_resamples=NUM_RESAMPLES
    )
    needed = {task: of.seconds(baseline) for task, of in curves.items()}
    labels = {
        task: {each: of.labels_for(each, needed[task][each]) for each in (way, baseline)} for task, of in curves.items()
    }
    figures: Figures = {
        "seconds_ratio": seconds_ratio(every, way, baseline),
        "seconds_ratio_low": quantile(resampled, 0.025),
        "seconds_ratio_high": quantile(resampled, 0.975),
        "labels_ratio": statistics.geometric_mean([each[way] / each[baseline] for each in labels.values()]),
        "jobs_wall_s": sum(job.wall_s for job in jobs.values()),
        "peak_mb": max(job.peak_mb for job in jobs.values()),
    }
    for task, of in curves.items():
        figures[f"random_score_{task}"] = of.random_score
        for name, each in (("asked", way), ("baseline", baseline)):
            figures[f"seconds_{task}_{name}"] = needed[task][each]
            figures[f"labels_{task}_{name}"] = labels[task][each]
            figures |= {f"score_{task}_{name}_{b}": statistics.fmean(seen) for b, seen in of.scores[each].items()}
    return figures


def task_curves(jobs: Mapping[Run, Job]) -> TaskCurves:
    """The curves of one task from its runs."""
    scores: dict[Way, dict[int, list[float]]] = {}
    labels: dict[Way, dict[int, list[float]]] = {}
    for (_, way, budget, _), job in jobs.items():
        scores.setdefault(way, {}).setdefault(budget, []).append(statistics.fmean(job.printed["scores"]))
        labels.setdefault(way, {}).setdefault(budget, []).append(job.printed["labels"])
    return TaskCurves(
        random_score=statistics.fmean(value for job in jobs.values() for value in job.printed["random_scores"]),
        scores=scores,
        labels={way: {b: statistics.fmean(each) for b, each in curve.items()} for way, curve in labels.items()},
    )


def seconds_ratio(tasks: Sequence[TaskCurves], way: Way, baseline: Way) -> float:
    """Seconds needed over those of the baseline, the geometric mean over tasks."""
    needed = [of.seconds(baseline) for of in tasks]
    return statistics.geometric_mean([seconds[way] / seconds[baseline] for seconds in needed])


BENCHMARK = Benchmark(
    name="kinds",
    about="seconds of a person's time that all kinds of answers need, against comparisons alone",
    targets={"seconds_ratio": "< 1"},
    measure=measure,
)

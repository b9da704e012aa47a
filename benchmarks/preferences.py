"""700 comparisons by an oracle against the same learner on the true reward, over six tasks.

Episodes have a fixed length, so that an early end tells nothing. A score is (return − random) / (true − random): return
of one run that learned from comparisons; random: mean return of uniformly random actions, over all seeds; true: mean
return of the same learner on the true reward at the same steps, over all seeds. Every run is judged by the mean of 20
fresh deterministic episodes.
"""

import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.harness import Benchmark, Figures, Job
from benchmarks.plan import KEPT, KeptJobs, PlannedJob, run_plan
from benchmarks.scores import bootstrap, interquartile_mean, quantile, resample

STEPS: Mapping[str, int] = {
    "Pendulum-v1": 300_000,
    "Reacher-v5": 500_000,
    "Swimmer-v5": 500_000,
    "HalfCheetah-v5": 1_000_000,
    "Hopper-v5": 1_000_000,
    "Walker2d-v5": 1_000_000,
}
NUM_COMPARISONS = 700
NUM_RESAMPLES = 10_000
# One task on NumPy and one on MuJoCo, with about the fewest steps after which there is a learned reward at all.
QUICK_STEPS: Mapping[str, int] = {"Pendulum-v1": 90_000, "Reacher-v5": 90_000}
QUICK_NUM_COMPARISONS = 40
REWARDS = ("true", "learned")
JOB = (sys.executable, "-m", "benchmarks.jobs.preference_task")
Run = tuple[str, str, int]
"""Task, reward, seed."""


@dataclass(frozen=True, kw_only=True)
class TaskReturns:
    """Mean returns on one task, one number a seed."""

    learned: Sequence[float]
    true: Sequence[float]
    random_actions: Sequence[float]

    def scores(self) -> list[float]:
        """Of each run that learned from comparisons; 0 where the true reward teaches nothing to compare with."""
        zero, one = statistics.fmean(self.random_actions), statistics.fmean(self.true)
        return [(each - zero) / (one - zero) if one > zero else 0.0 for each in self.learned]

    def resampled(self, rng: random.Random) -> "TaskReturns":
        """Seeds drawn anew, those of the true reward too: what a score is measured by is uncertain as well."""
        return replace(self, learned=resample(self.learned, rng), true=resample(self.true, rng))


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Runs every task, reward and seed; finished runs are kept, so that a killed benchmark goes on."""
    steps = QUICK_STEPS if quick else STEPS
    labels = QUICK_NUM_COMPARISONS if quick else NUM_COMPARISONS
    runs: list[Run] = [(task, reward, seed) for task in steps for seed in seeds for reward in REWARDS]
    plan = [_planned(steps[run[0]], labels, *run) for run in runs]
    kept = None if quick else KeptJobs(KEPT / "preferences.jsonl")
    return summarize(dict(zip(runs, run_plan("preferences", plan, kept=kept), strict=True)))


def _planned(steps: int, comparisons: int, task: str, reward: str, seed: int) -> PlannedJob:
    options = ("--steps", str(steps), "--comparisons", str(comparisons), "--seed", str(seed))
    command = (*JOB, "--task", task, "--reward", reward, *options)
    return PlannedJob(label=f"{task}, {reward} reward, seed {seed}", command=command, size=steps)


def summarize(jobs: Mapping[Run, Job]) -> Figures:
    """The interquartile mean over tasks and seeds with its 95 % interval, and what it is made of."""
    tasks = dict.fromkeys(run[0] for run in jobs)
    returns = {task: task_returns({run: job for run, job in jobs.items() if run[0] == task}) for task in tasks}
    resampled = bootstrap(
        lambda rng: normalised_iqm([of.resampled(rng) for of in returns.values()]), num_resamples=NUM_RESAMPLES
    )
    figures = {
        "normalised_iqm": normalised_iqm(list(returns.values())),
        "normalised_iqm_low": quantile(resampled, 0.025),
        "normalised_iqm_high": quantile(resampled, 0.975),
        "comparisons": max(job.printed["comparisons"] for job in jobs.values()),
        "jobs_wall_s": sum(job.wall_s for job in jobs.values()),
        "peak_mb": max(job.peak_mb for job in jobs.values()),
    }
    for task, of in returns.items():
        figures |= {
            f"normalised_{task}": statistics.fmean(of.scores()),
            f"normalised_worst_seed_{task}": min(of.scores()),
            f"return_{task}": statistics.fmean(of.learned),
            f"true_reward_return_{task}": statistics.fmean(of.true),
            f"random_return_{task}": statistics.fmean(of.random_actions),
        }
    return figures


def task_returns(jobs: Mapping[Run, Job]) -> TaskReturns:
    """The returns of one task from its runs."""

    def means(reward: str, field: str) -> list[float]:
        return [statistics.fmean(job.printed[field]) for run, job in jobs.items() if run[1] == reward]

    return TaskReturns(
        learned=means("learned", "returns"),
        true=means("true", "returns"),
        random_actions=means("true", "random_returns"),
    )


def normalised_iqm(tasks: Sequence[TaskReturns]) -> float:
    """The interquartile mean of the scores of all tasks and seeds."""
    return interquartile_mean([score for of in tasks for score in of.scores()])


BENCHMARK = Benchmark(
    name="preferences",
    about="700 comparisons against the same learner on the true reward, six tasks",
    targets={"normalised_iqm": ">= 0.95", "comparisons": "<= 700"},
    measure=measure,
)

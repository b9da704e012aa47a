"""Four ways to imitate on five runners from ten episodes each, beside the package `imitation` where that is asked.

Experts are heeler's own PPO and stay in the build folder with their demonstrations; all sides learn from the same file.
A normalised return is (return - random) / (expert - random). The peer runs Gymnasium's v4 of the two tasks, the newest
that its Gymnasium has: bodies, observations and actions are those of v5. Every job runs on one thread, with another job
beside it.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.harness import Benchmark, Figures, Job, medians
from benchmarks.plan import KEPT, KeptJobs, PlannedJob, run_plan

TASKS = ("Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Ant-v5", "Swimmer-v5")
METHODS = ("bc", "dagger", "gail", "airl")
COMPARED_TASKS, COMPARED_METHODS = ("Hopper-v5", "HalfCheetah-v5"), ("bc", "gail", "airl")
EXPERT_STEPS, COMPARED_STEPS, NUM_EPISODES = 3_000_000, 500_000, 10
QUICK_EXPERT_STEPS, QUICK_STEPS, PEER_QUICK_STEPS = 16_384, 8_192, 2_048
_LEAST_PEER = 0.01
"""A peer that learned nothing, or less, counts as having learned this: a ratio to nought says nothing."""
_EXPERT = (sys.executable, "-m", "benchmarks.jobs.imitation_expert")
_OURS = (sys.executable, "-m", "benchmarks.jobs.imitation")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; what is finished survives a kill."""
    tasks = COMPARED_TASKS[:1] if quick else TASKS
    kept = None if quick else KeptJobs(KEPT / "imitation.jsonl")
    experts = _experts(tasks, quick, kept)
    plan, keys = _plan(tasks, experts, seeds, quick)
    jobs = dict(zip(keys, run_plan("imitation", plan, kept=kept, at_once=2), strict=True))
    rows = [figures_of(seed, tasks, experts, jobs) for seed in seeds]
    return medians(rows)


def _experts(tasks: Sequence[str], quick: bool, kept: KeptJobs | None) -> dict[str, Mapping[str, Any]]:
    """What each expert's job printed."""
    steps = str(QUICK_EXPERT_STEPS if quick else EXPERT_STEPS)
    plan: list[PlannedJob] = []
    for task in tasks:
        options = ("--task", task, "--steps", steps, "--episodes", str(NUM_EPISODES))
        options += ("--folder", str(_folder(task, quick)))
        plan.append(PlannedJob(label=f"expert of {task}", command=(*_EXPERT, *options), size=float(steps)))
    # A kept result without its files is none.
    are_there = all((_folder(task, quick) / "demos.npz").exists() for task in tasks)
    there = kept if are_there else None
    jobs = run_plan("imitation", plan, kept=there)
    if kept is not None and there is None:
        for planned, job in zip(plan, jobs, strict=True):
            kept.add(planned.command, job)
    return {task: job.printed for task, job in zip(tasks, jobs, strict=True)}


def _folder(task: str, quick: bool) -> Path:
    return KEPT / "imitation" / (f"quick-{task}" if quick else task)


Key = tuple[str, str, str, int]
"""Whose job, task, method and seed; whose is `ours`, `compared` (ours on the peer's steps) or `peer`."""


def _plan(
    tasks: Sequence[str], experts: Mapping[str, Mapping[str, Any]], seeds: Sequence[int], quick: bool
) -> tuple[list[PlannedJob], list[Key]]:
    plan: list[PlannedJob] = []
    keys: list[Key] = []
    for seed in seeds:
        for task in tasks:
            for method in METHODS:
                given = _given(experts[task], method)
                steps = ("--steps", str(QUICK_STEPS)) if quick and method not in ("bc", "dagger") else ()
                command = (*_OURS, "--task", task, "--method", method, *given, *steps, "--seed", str(seed))
                keys.append(("ours", task, method, seed))
                plan.append(PlannedJob(label=f"{method} on {task}, seed {seed}", command=command, size=1.0))
        for task in (task for task in COMPARED_TASKS if task in tasks):
            for method in COMPARED_METHODS:
                for key, planned in _compared(experts[task], task, method, seed, quick):
                    keys.append(key)
                    plan.append(planned)
    return plan, keys


def _compared(
    expert: Mapping[str, Any], task: str, method: str, seed: int, quick: bool
) -> list[tuple[Key, PlannedJob]]:
    """The peer's job, and ours on as many steps where steps are made to learn from."""
    script, shown = "benchmarks/peers/imitation_learning.py", ("--demonstrations", expert["demonstrations"])
    options = ("--task", task.replace("-v5", "-v4"), "--method", method, *shown, "--seed", str(seed))
    options += ("--steps", str(PEER_QUICK_STEPS if quick else COMPARED_STEPS))
    command = (peers.python("imitation"), script, *options, "--sha256", expert["sha256"])
    planned = PlannedJob(label=f"peer's {method} on {task}, seed {seed}", command=command, size=10.0)
    found: list[tuple[Key, PlannedJob]] = [(("peer", task, method, seed), planned)]
    if method != "bc":
        steps = str(QUICK_STEPS if quick else COMPARED_STEPS)
        mine = (*_OURS, "--task", task, "--method", method, *_given(expert, method), "--steps", steps)
        label = f"{method} on {task} as long as the peer, seed {seed}"
        planned = PlannedJob(label=label, command=(*mine, "--seed", str(seed)), size=1.0)
        found.append((("compared", task, method, seed), planned))
    return found


def _given(expert: Mapping[str, Any], method: str) -> tuple[str, ...]:
    """What a job of heeler's is given of an expert."""
    given = ("--demonstrations", expert["demonstrations"], "--sha256", expert["sha256"])
    return (*given, "--expert", expert["expert"]) if method == "dagger" else given


def normalized(value: float, expert: Mapping[str, Any]) -> float:
    """0 is chance, 1 is the expert."""
    return (value - expert["random_return"]) / (expert["expert_return"] - expert["random_return"])


def figures_of(
    seed: int, tasks: Sequence[str], experts: Mapping[str, Mapping[str, Any]], jobs: Mapping[Key, Job]
) -> Figures:
    """All figures of one seed; `peer_` before a name marks the peer's.

    Speed is steps over the wall seconds of the whole process; of cloning, which makes no steps to learn from, the wall
    seconds of one process over those of the other.
    """
    figures: Figures = {}
    for task in tasks:
        name = task.removesuffix("-v5").lower()
        for method in METHODS:
            value = jobs["ours", task, method, seed].printed["return_mean"]
            figures[f"{name}_{method}"] = normalized(value, experts[task])
    figures["airl_normalised"] = statistics.fmean(figures[f"{task.removesuffix('-v5').lower()}_airl"] for task in tasks)
    returns: list[float] = []
    speeds: list[float] = []
    for task in (task for task in COMPARED_TASKS if task in tasks):
        for method in COMPARED_METHODS:
            peer = jobs["peer", task, method, seed]
            ours = jobs["ours" if method == "bc" else "compared", task, method, seed]
            mine, theirs = (normalized(job.printed["return_mean"], experts[task]) for job in (ours, peer))
            name = f"{task.removesuffix('-v5').lower()}_{method}"
            figures |= {f"compared_{name}": mine, f"peer_{name}": theirs}
            returns.append(mine / max(theirs, _LEAST_PEER))
            speeds.append(speed_ratio(ours, peer, makes_steps=method != "bc"))
            figures[f"speed_{name}"] = speeds[-1]
    return figures | {"return_ratio_min": min(returns), "speed_ratio_min": min(speeds)}


def speed_ratio(ours: Job, peer: Job, *, makes_steps: bool) -> float:
    """How many times as fast ours was."""
    if not makes_steps:
        return peer.wall_s / ours.wall_s
    return (ours.printed["steps"] / ours.wall_s) / (peer.printed["steps"] / peer.wall_s)


BENCHMARK = Benchmark(
    name="imitation",
    about="BC, DAgger, GAIL and AIRL from ten episodes, against the package imitation",
    targets={"return_ratio_min": ">= 1", "speed_ratio_min": ">= 5", "airl_normalised": ">= .9"},
    measure=measure,
)

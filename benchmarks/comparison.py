"""A job of heeler's and a peer's, one after the other for each seed: speed, memory and what each learned.

A training job, heeler's or a peer's, prints one JSON object on its last line of standard output:

    {"steps": environment steps that it really made while training, evaluation not counted,
     "train_wall_s": seconds of training alone,
     "return_mean": mean true return of 20 deterministic episodes with normalisation frozen,
     "returns": those 20 returns}

Episode i of those 20 (from 0) begins where Gymnasium's own environment begins after `reset(seed=10_000 + i)`, whatever
the training's seed: both sides are judged from the same first states.

Speed is steps over the wall seconds of the whole process (start-up, training and evaluation), memory is the peak
resident memory of the whole process; both are measured from outside and alike for both sides.
"""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.harness import BenchmarkError, Figures, Job, medians, run_job

TARGETS_OF_MEMORY = {"memory_ratio": "<= 1"}
_PEER_THREADS = 1
"""OpenMP threads of the peers: with networks as small as those here Stable-Baselines3 is faster on one than on two."""
FIELDS = ("steps", "train_wall_s", "return_mean", "returns")
PeerCommand = Callable[[int], Sequence[str]]
"""Seed to command."""
OurCommand = Callable[[int, Mapping[str, Any]], Sequence[str]]
"""Seed and what the peer printed to command, so that a job can be told to make as many steps as the peer made."""


def compare(seeds: Sequence[int], peer: PeerCommand, ours: OurCommand) -> Figures:
    """Medians over `seeds` of what `pair_figures` gives.

    Args:
        seeds: one pair of runs for each.
        peer: seed to the peer's command.
        ours: seed and what the peer printed to heeler's command.
    """
    rows: list[Figures] = []
    for seed in seeds:
        peer_job = training_job(peer(seed), threads=_PEER_THREADS)
        our_job = training_job(ours(seed, peer_job.printed))
        rows.append(pair_figures(our_job, peer_job))
        print(f"seed {seed}: {rows[-1]}", file=sys.stderr)
    return medians(rows) | {"return_worst_seed": min(row["return"] for row in rows)}


def training_job(command: Sequence[str], *, threads: int | None = None) -> Job:
    """Run a job that prints what the module's docstring says.

    Raises:
        BenchmarkError: it failed, or what it printed lacks a field or holds nonsense.
    """
    job = run_job(command, threads=threads)
    missing = [field for field in FIELDS if field not in job.printed]
    if missing:
        raise BenchmarkError(f"{' '.join(command)}: the object that it printed lacks {', '.join(missing)}")
    steps, returns = job.printed["steps"], job.printed["returns"]
    if (
        steps <= 0
        or not returns
        or abs(statistics.fmean(returns) - job.printed["return_mean"])
        > 1e-3 * max(1.0, abs(job.printed["return_mean"]))
    ):
        raise BenchmarkError(
            f"{' '.join(command)}: steps must be > 0 and return_mean the mean of returns, got {job.printed}"
        )
    return job


def pair_figures(ours: Job, peer: Job) -> Figures:
    """Figures of one seed; `peer_` before a name marks the peer's."""
    speed, peer_speed = ours.printed["steps"] / ours.wall_s, peer.printed["steps"] / peer.wall_s
    return {
        "speed_ratio": speed / peer_speed,
        "memory_ratio": ours.peak_mb / peer.peak_mb,
        "return": ours.printed["return_mean"],
        "peer_return": peer.printed["return_mean"],
        "steps_per_s": speed,
        "peer_steps_per_s": peer_speed,
        "train_steps_per_s": ours.printed["steps"] / ours.printed["train_wall_s"],
        "peer_train_steps_per_s": peer.printed["steps"] / peer.printed["train_wall_s"],
        "steps": ours.printed["steps"],
        "peer_steps": peer.printed["steps"],
        "job_wall_s": ours.wall_s,
        "peer_job_wall_s": peer.wall_s,
        "peak_mb": ours.peak_mb,
        "peer_peak_mb": peer.peak_mb,
    }

"""PPO-Lagrangian on a running cheetah under a speed limit, against OmniSafe: speed, and violations while it learns.

Same steps and networks; each side with its own settings. The peer's task is its nearest, SafetyHalfCheetahVelocity-v1,
whose body is that of Gymnasium's v4; ours is of v5, with the same limit and the same budget.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import peers
from benchmarks.harness import Benchmark, BenchmarkError, Figures, Job, medians, run_job

NUM_STEPS = 1_000_000
QUICK_STEPS, PEER_QUICK_STEPS = 70_000, 4_000
TASK = "HalfCheetahVelocity"
JOB = (sys.executable, "-m", "benchmarks.jobs.velocity", "--task", TASK)
_FIELDS = ("steps", "violations", "training_return", "training_cost")
_PEER_THREADS = 1
"""OpenMP threads of the peer: with networks as small as these it is faster on one than on two."""


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds of one pair each."""
    rows: list[Figures] = []
    for seed in seeds:
        peer = run_job(_peer(seed, quick), threads=_PEER_THREADS)
        steps = QUICK_STEPS if quick else peer.printed["steps"]
        ours = run_job((*JOB, "--seed", str(seed), "--steps", str(steps)))
        rows.append(pair_figures(ours, peer))
        print(f"seed {seed}: {rows[-1]}", file=sys.stderr)
    return medians(rows)


def _peer(seed: int, quick: bool) -> Sequence[str]:
    script = "benchmarks/peers/omnisafe_velocity.py"
    steps = ("--steps", str(PEER_QUICK_STEPS), "--quick") if quick else ("--steps", str(NUM_STEPS))
    return (peers.python("omnisafe"), script, "--seed", str(seed), *steps)


def pair_figures(ours: Job, peer: Job) -> Figures:
    """Figures of one seed; `peer_` before a name marks the peer's.

    Speed is steps over the wall seconds of the whole process. Violations are what all steps of learning have cost, a
    thousand steps: how many of them were too fast.

    Raises:
        BenchmarkError: a side did not say what it did.
    """
    for name, job in (("heeler", ours), ("the peer", peer)):
        missing = [field for field in _FIELDS if field not in job.printed]
        if missing or job.printed["steps"] <= 0:
            raise BenchmarkError(f"{name} must print {', '.join(_FIELDS)} and make steps, got {dict(job.printed)}")
    speed, peer_speed = ours.printed["steps"] / ours.wall_s, peer.printed["steps"] / peer.wall_s
    rate, peer_rate = _rate(ours.printed), _rate(peer.printed)
    return {
        "speed_ratio": speed / peer_speed,
        # A peer that broke no limit at all cannot be bettered.
        "violation_ratio": rate / peer_rate if peer_rate else math.inf,
        "steps_per_s": speed,
        "peer_steps_per_s": peer_speed,
        "violations_per_1000": rate,
        "peer_violations_per_1000": peer_rate,
        "training_return": ours.printed["training_return"],
        "peer_training_return": peer.printed["training_return"],
        "training_cost": ours.printed["training_cost"],
        "peer_training_cost": peer.printed["training_cost"],
        "steps": ours.printed["steps"],
        "peer_steps": peer.printed["steps"],
        "memory_ratio": ours.peak_mb / peer.peak_mb,
        "job_wall_s": ours.wall_s,
        "peer_job_wall_s": peer.wall_s,
    }


def _rate(printed: Mapping[str, Any]) -> float:
    return 1000 * printed["violations"] / printed["steps"]


BENCHMARK = Benchmark(
    name="velocity-omnisafe",
    about="PPO-Lagrangian on HalfCheetah under a speed limit against OmniSafe",
    targets={"speed_ratio": ">= 8", "violation_ratio": "< 1"},
    measure=measure,
)

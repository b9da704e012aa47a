"""PPO-Lagrangian on a running cheetah under a speed limit, against OmniSafe: speed, and violations while it learns.

Same steps and networks; each side with its own settings, on one thread, and another job beside it. The peer's task is
its nearest, SafetyHalfCheetahVelocity-v1, whose body is that of Gymnasium's v4; ours is of v5, with the same limit and
the same budget. Who runs as fast as the limit breaks it now and then; who has not learned to run breaks none: what both
are paid at the end stands beside.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import peers
from benchmarks.harness import Benchmark, BenchmarkError, Figures, Job, medians
from benchmarks.plan import KEPT, KeptJobs, PlannedJob, run_plan

NUM_STEPS = 1_000_000
QUICK_STEPS, PEER_QUICK_STEPS = 70_000, 4_000
TASK = "HalfCheetahVelocity"
JOB = (sys.executable, "-m", "benchmarks.jobs.velocity", "--task", TASK)
PEER = "benchmarks/peers/omnisafe_velocity.py"
_FIELDS = ("steps", "violations", "training_return", "training_cost")
_PEER_SIZE = 30.0
"""How long a peer's job lasts, beside one of ours."""


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds of one pair each; what is finished survives a kill."""
    plan = [*(_peer(seed, quick) for seed in seeds), *(_ours(seed, quick) for seed in seeds)]
    kept = None if quick else KeptJobs(KEPT / "velocity-omnisafe.jsonl")
    jobs = run_plan("velocity-omnisafe", plan, kept=kept, at_once=2)
    return medians(pair_figures(jobs[len(seeds) + place], jobs[place]) for place in range(len(seeds)))


def _peer(seed: int, quick: bool) -> PlannedJob:
    steps = ("--steps", str(PEER_QUICK_STEPS), "--quick") if quick else ("--steps", str(NUM_STEPS))
    command = (peers.python("omnisafe"), PEER, "--seed", str(seed), *steps)
    return PlannedJob(label=f"the peer, seed {seed}", command=command, size=_PEER_SIZE)


def _ours(seed: int, quick: bool) -> PlannedJob:
    steps = str(QUICK_STEPS if quick else NUM_STEPS)
    return PlannedJob(label=f"heeler, seed {seed}", command=(*JOB, "--seed", str(seed), "--steps", steps), size=1.0)


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

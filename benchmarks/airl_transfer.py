"""A reward by AIRL moved to changed dynamics: of states alone it carries over, of states and actions it does not."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, BenchmarkError, Figures, medians
from benchmarks.plan import KEPT, KeptJobs, PlannedJob, run_plan

JOB = (sys.executable, "-m", "benchmarks.jobs.airl_transfer")
QUICK_STEPS = 10_240
_FIELDS = ("random_return", "true_return", "state_only_return", "state_action_return")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; what is finished survives a kill."""
    steps = ("--steps", str(QUICK_STEPS)) if quick else ()
    plan = [PlannedJob(label=f"seed {seed}", command=(*JOB, "--seed", str(seed), *steps), size=1.0) for seed in seeds]
    kept = None if quick else KeptJobs(KEPT / "airl-transfer.jsonl")
    # No figure here is about time.
    jobs = run_plan("airl-transfer", plan, kept=kept, at_once=2)
    return medians(figures_of(job.printed) for job in jobs)


def figures_of(printed: Mapping[str, Any]) -> Figures:
    """Of one seed: how much of what training on the true reward gains, either reward gains after it was moved.

    Raises:
        BenchmarkError: the job did not say what it did.
    """
    missing = [name for name in _FIELDS if name not in printed]
    if missing:
        raise BenchmarkError(f"the job must print {', '.join(_FIELDS)}; it lacks {', '.join(missing)}")
    chance = printed["random_return"]
    whole = printed["true_return"] - chance
    named = ("expert_return", "state_only_imitation", "state_action_imitation", *_FIELDS)
    return {
        "transfer_share": (printed["state_only_return"] - chance) / whole,
        "state_action_share": (printed["state_action_return"] - chance) / whole,
        **{name: float(printed[name]) for name in named if name in printed},
    }


BENCHMARK = Benchmark(
    name="airl-transfer",
    about="a reward by AIRL moved to a maze whose gap is on the other side",
    targets={"transfer_share": ">= .8", "state_action_share": "< .8"},
    measure=measure,
)

"""Two groups that want opposite things: shares of seeds in which both are found, and each rule does as declared.

Twice: of arms, where groups are found from the answers alone and a rule settles on a policy by what was learned of each
arm; and in whole runs, one under each rule, in which the policy learns from the reward that the rule decides on. Both
are judged by what the groups truly want, against the exact optimum.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, Figures
from benchmarks.plan import PlannedJob, run_plan

JOB = (sys.executable, "-m", "benchmarks.jobs.groups")
RUN = (sys.executable, "-m", "benchmarks.jobs.groups_run")
RULES = ("mean", "least_happy", "budgeted")
QUICK, QUICK_RUN = ("--answers", "600"), ("--updates", "24", "--answers", "120")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """One job of arms a seed, and a run a seed and rule."""
    plan = list[PlannedJob]()
    for seed in seeds:
        of_arms = (*JOB, "--seed", str(seed), *(QUICK if quick else ()))
        plan.append(PlannedJob(label=f"arms, seed {seed}", command=of_arms, size=1))
        for rule in RULES:
            command = (*RUN, "--rule", rule, "--seed", str(seed), *(QUICK_RUN if quick else ()))
            plan.append(PlannedJob(label=f"run, {rule}, seed {seed}", command=command, size=5))
    printed = [job.printed for job in run_plan("groups", plan)]
    return summarize([one for one in printed if "rules" in one], [one for one in printed if "rules" not in one])


def summarize(arms: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> Figures:
    """Shares of the seeds, and what each group truly gets in runs: medians, 0 for nothing done and 1 for its best."""
    held = {f"arms_{rule}_holds": statistics.fmean(one["rules"][rule] for one in arms) for rule in RULES}
    gets = dict[str, float]()
    for rule in RULES:
        own = [one for one in runs if one["rule"] == rule]
        held[f"run_{rule}_holds"] = statistics.fmean(one["holds"] for one in own)
        for place, name in enumerate(("first", "second")):
            gets[f"run_{rule}_{name}_gets"] = statistics.median(one["gets"][place] for one in own)
    found = {
        "arms_groups_found": statistics.fmean(one["found"] for one in arms),
        "run_groups_found": statistics.fmean(one["found"] for one in runs),
    }
    return {"groups_found": min(found.values()), "rules_hold": min(held.values()), **found, **held, **gets}


BENCHMARK = Benchmark(
    name="groups",
    about="two groups that want opposite things: both found, and each rule of deciding does as declared, in runs too",
    targets={"groups_found": ">= 1", "rules_hold": ">= 1"},
    measure=measure,
)

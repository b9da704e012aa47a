"""The recipe `velocity` as `heeler run velocity` runs it, with a budget for energy beside it where one is given.

Prints {"return_mean", "cost_mean" and "energy_mean" (of a step) of fresh episodes, "steps", "train_wall_s",
"violations" (what all steps of learning have cost), "episodes_over" (episodes of learning above the budget),
"training_return" and "training_cost" (of the last 100 of them), "reached_at" (steps after which episodes of learning
first came to `--level` within the budget; those of the whole run where they never did), "reached", "files": the sources
that all this depends on}.
"""

import argparse
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.jobs.training import Trained, loaded_sources, train
from heeler.loop.config import RunConfig
from heeler.recipes import velocity
from heeler.safety.costs import CostConfig

BUDGET, ENERGY_AIM = 25.0, 0.95


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--steps", type=int, help="instead of the recipe's own")
    parser.add_argument("--method", default="ppo_lagrangian")
    parser.add_argument("--energy", type=float, help="budget of energy a step; without it there is none")
    parser.add_argument("--level", type=float, default=math.inf, help="return that `reached_at` is about")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    given = {} if arguments.steps is None else {"total_steps": arguments.steps}
    config = velocity(env=arguments.task, seed=arguments.seed, budget=BUDGET, method=arguments.method, **given)
    trained = train(replace(_with_energy(config, arguments.energy), num_evaluation_episodes=50))
    print(json.dumps(fields(trained, arguments.level) | {"files": loaded_sources()}))


def _with_energy(config: RunConfig, budget: float | None) -> RunConfig:
    if budget is None:
        return config
    assert config.limits is not None
    # A policy comes to what is aimed at on average; each is to keep the budget.
    energy = CostConfig(name="energy", budget=budget, per="step", aim=ENERGY_AIM)
    return replace(config, limits=replace(config.limits, costs=(*config.limits.costs, energy)))


def fields(trained: Trained, level: float) -> dict[str, Any]:
    """What is printed of a run."""
    evaluation, last = trained.evaluation, trained.metrics
    costs = evaluation.figures["cost_velocity"]
    reached = [
        row["step"]
        for row in trained.rows
        if row.get("true_return_mean", -math.inf) >= level and row.get("cost_velocity_mean", math.inf) <= BUDGET
    ]
    return {
        "return_mean": float(np.mean(evaluation.returns)),
        "cost_mean": float(np.mean(costs)),
        "cost_standard_error": float(np.std(costs, ddof=1) / len(costs) ** 0.5),
        "energy_mean": float(np.sum(evaluation.figures["cost_energy"]) / np.sum(evaluation.lengths)),
        "steps": trained.steps,
        "train_wall_s": trained.train_wall_s,
        "violations": last["cost_velocity_total"],
        "episodes_over": last["cost_velocity_episodes_over"],
        "training_return": last.get("true_return_mean", 0.0),
        "training_cost": last.get("cost_velocity_mean", 0.0),
        "reached_at": int(reached[0]) if reached else trained.steps,
        "reached": bool(reached),
    }


if __name__ == "__main__":
    main()

"""The recipe `velocity` as `heeler run velocity` runs it.

Prints {"return_mean", "cost_mean" of fresh episodes, "steps", "train_wall_s", "violations" of a step while learning}.
"""

import argparse
import json
from dataclasses import replace

import numpy as np

from benchmarks.jobs.training import train
from heeler.recipes import velocity


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--steps", type=int, help="instead of the recipe's own")
    parser.add_argument("--method", default="ppo_lagrangian")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    given = {} if arguments.steps is None else {"total_steps": arguments.steps}
    config = velocity(env=arguments.task, seed=arguments.seed, method=arguments.method, **given)
    trained = train(replace(config, num_evaluation_episodes=50))
    costs = trained.evaluation.figures["cost_velocity"]
    printed = {
        "return_mean": float(np.mean(trained.evaluation.returns)),
        "cost_mean": float(np.mean(costs)),
        "cost_standard_error": float(np.std(costs, ddof=1) / len(costs) ** 0.5),
        "steps": trained.steps,
        "train_wall_s": trained.train_wall_s,
    }
    print(json.dumps(printed))


if __name__ == "__main__":
    main()

"""Heeler's PPO on the true reward with the settings of its recipe, end to end as a user runs it.

Prints what `benchmarks/comparison.py` asks of a training job.
"""

import argparse
import json
import math
from dataclasses import replace

from benchmarks.jobs.training import gymnasium_returns, train, training_fields
from heeler.recipes import ppo


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--steps", type=int, required=True, help="at least so many; whole updates are made")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = ppo(env=arguments.task, seed=arguments.seed, total_steps=arguments.steps)
    whole = math.ceil(arguments.steps / config.steps_per_update) * config.steps_per_update
    # Judged below, in the very environment that the peer is judged in; the run's own evaluation would come on top.
    trained = train(replace(config, total_steps=whole, num_evaluation_episodes=1))
    returns = gymnasium_returns(trained.policy, arguments.task)
    print(json.dumps(training_fields(trained, returns)))


if __name__ == "__main__":
    main()

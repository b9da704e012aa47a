"""Heeler's PPO on CartPole-v1 with the settings of its recipe, end to end as a user runs it.

Prints what `benchmarks/comparison.py` asks of a training job.
"""

import argparse
import json
from dataclasses import replace

from benchmarks.jobs.training import NUM_EVALUATION_EPISODES, gymnasium_returns, train, training_fields
from heeler.recipes import ppo

TASK = "CartPole-v1"


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = ppo(env=TASK, seed=arguments.seed, total_steps=arguments.steps)
    # Judged below, in the very environment that the peer is judged in; the run's own evaluation would come on top.
    trained = train(replace(config, num_evaluation_episodes=1))
    returns = gymnasium_returns(trained.policy, TASK, num_at_once=NUM_EVALUATION_EPISODES)
    print(json.dumps(training_fields(trained, returns)))


if __name__ == "__main__":
    main()

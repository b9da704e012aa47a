"""Heeler's preferences on Pendulum-v1 with the settings of its recipe, end to end as a user runs it.

Prints what `benchmarks/comparison.py` asks of a training job, and the comparisons made.
"""

import argparse
import json
from dataclasses import replace

from benchmarks.jobs.training import gymnasium_returns, train, training_fields
from heeler.recipes import preferences

TASK = "Pendulum-v1"


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True, help="at most so many; whole updates are made")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = preferences(
        env=TASK, seed=arguments.seed, budget=arguments.comparisons, total_steps=arguments.steps, teacher="oracle"
    )
    # Judged below, in the very environment that the peer is judged in; the run's own evaluation would come on top.
    trained = train(replace(config, num_evaluation_episodes=1))
    returns = gymnasium_returns(trained.policy, TASK)
    print(json.dumps(training_fields(trained, returns) | {"comparisons": trained.comparisons}))


if __name__ == "__main__":
    main()

"""The recipe `imitation` as `heeler run imitation` runs it, from a file of demonstrations.

Prints what `benchmarks/comparison.py` asks of a training job, and "files": the sources that it depends on.
"""

import argparse
import json
from dataclasses import replace

from benchmarks.jobs.training import gymnasium_returns, loaded_sources, train, training_fields
from heeler.recipes import imitation


def main() -> None:
    """Learn, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--demonstrations", required=True)
    parser.add_argument("--expert", default="", help="directory of the run that DAgger asks")
    parser.add_argument("--sha256", default="", help="of the demonstrations: a result counts for these alone")
    parser.add_argument("--steps", type=int, help="instead of the recipe's own")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = imitation(
        env=arguments.task,
        method=arguments.method,
        demonstrations=arguments.demonstrations,
        expert=arguments.expert,
        total_steps=arguments.steps,
        seed=arguments.seed,
    )
    # Judged below, in the very environment that the peer is judged in; the run's own evaluation would come on top.
    trained = train(replace(config, num_evaluation_episodes=1))
    returns = gymnasium_returns(trained.policy, arguments.task)
    print(json.dumps(training_fields(trained, returns) | {"files": loaded_sources()}))


if __name__ == "__main__":
    main()

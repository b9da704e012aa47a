"""The recipe `backflip` as `heeler run backflip` runs it, with its noisy teacher that makes 10 % mistakes.

Prints {"landed_backflips": [in each of 20 fresh episodes of 1,000 steps], "comparisons", "steps", "train_wall_s"}.
"""

import argparse
import json
import time

from benchmarks.jobs.clock import Clock, time_figures
from benchmarks.jobs.training import train
from heeler.recipes import backflip


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, help="instead of the recipe's own")
    parser.add_argument("--steps", type=int, help="instead of the recipe's own")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    given = {"budget": arguments.comparisons, "total_steps": arguments.steps}
    changed = {name: value for name, value in given.items() if value is not None}
    config, clock = backflip(seed=arguments.seed, teacher="backflip", **changed), Clock()
    start = time.perf_counter()
    with clock.running():
        trained = train(config)
    wall_s = time.perf_counter() - start
    printed = {
        "landed_backflips": trained.evaluation.figures["landed_backflips"].tolist(),
        "comparisons": trained.comparisons,
        "steps": trained.steps,
        "train_wall_s": trained.train_wall_s,
        "time": time_figures(clock, config, trained.policy, wall_s=wall_s),
    }
    print(json.dumps(printed))


if __name__ == "__main__":
    main()

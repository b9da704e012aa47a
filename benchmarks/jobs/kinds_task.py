"""One run of the recipe `kinds` with a simulated person.

Prints {"scores": of 20 fresh deterministic episodes, "random_scores": of 20 episodes of uniformly random actions,
"seconds": of the simulated person's time, "labels": answers, "bits", "steps", "train_wall_s", "files": the sources that
all this depends on}. A score is an episode's true return, of CartPole its length: its return says only that it fell.
"""

import argparse
import json
from dataclasses import replace

import numpy as np

from benchmarks.jobs.training import NUM_EVALUATION_EPISODES, loaded_sources, train
from heeler.envs import EnvConfig, make
from heeler.recipes import kinds

BY_LENGTH = ("CartPole-v1",)


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--budget-s", type=int, required=True)
    parser.add_argument("--kinds", default="preference,rating,evaluation,critique")
    parser.add_argument("--asking", choices=("information", "uniform"), default="information")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = kinds(
        env=arguments.task,
        seed=arguments.seed,
        budget_s=arguments.budget_s,
        total_steps=arguments.steps,
        kinds=arguments.kinds,
        asking=arguments.asking,
    )
    trained = train(replace(config, num_evaluation_episodes=NUM_EVALUATION_EPISODES))
    evaluation, row = trained.evaluation, trained.metrics
    scores = evaluation.lengths if arguments.task in BY_LENGTH else evaluation.returns
    printed = {
        "scores": [float(score) for score in scores],
        "random_scores": random_scores(config.env, arguments.seed, by_length=arguments.task in BY_LENGTH),
        "seconds": row["seconds_used"],
        "labels": row["answered"],
        "bits": sum(value for name, value in row.items() if name.startswith("kinds/") and name.endswith("/bits")),
        "steps": trained.steps,
        "train_wall_s": trained.train_wall_s,
        "files": loaded_sources(),
    }
    print(json.dumps(printed))


def random_scores(env: EnvConfig, seed: int, *, by_length: bool) -> list[float]:
    """Of 20 episodes of uniformly random actions."""
    world = make(replace(env, num_envs=NUM_EVALUATION_EPISODES), seed)
    world.action_space.seed(seed)
    world.reset(seed=seed)
    scores, running = np.zeros(world.num_envs), np.ones(world.num_envs, bool)
    while running.any():
        _, reward, terminated, truncated, _ = world.step(world.action_space.sample())
        scores += running if by_length else reward * running
        running &= ~(terminated | truncated)
    world.close()
    return scores.tolist()


if __name__ == "__main__":
    main()

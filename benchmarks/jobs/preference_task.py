"""One run of the recipe `preferences` with an oracle, or of the same learner on the true reward.

Prints {"returns": true returns of 20 fresh deterministic episodes, "random_returns": those of 20 episodes of uniformly
random actions, "comparisons", "steps", "train_wall_s", "files": the sources that all this depends on}.
"""

import argparse
import json
from dataclasses import replace

import numpy as np
from gymnasium.spaces import Box

from benchmarks.jobs.training import NUM_EVALUATION_EPISODES, loaded_sources, train
from heeler.envs import EnvConfig, make
from heeler.feedback.acquisition import ACQUISITIONS
from heeler.loop.config import RunConfig
from heeler.recipes import preferences


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--comparisons", type=int, required=True)
    parser.add_argument("--reward", choices=("learned", "true"), default="learned")
    parser.add_argument("--acquisition", choices=tuple(ACQUISITIONS), help="instead of the recipe's own")
    parser.add_argument("--refit-every", type=int, help="instead of the recipe's own")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = configuration(arguments)
    trained = train(config)
    printed = {
        "returns": trained.evaluation.returns.tolist(),
        "random_returns": random_returns(config.env, arguments.seed).tolist(),
        "comparisons": trained.comparisons,
        "steps": trained.steps,
        "train_wall_s": trained.train_wall_s,
        "files": loaded_sources(),
    }
    print(json.dumps(printed))


def configuration(arguments: argparse.Namespace) -> RunConfig:
    """The recipe's configuration with what the command line changes; the true reward needs no comparisons."""
    config = preferences(
        env=arguments.task,
        seed=arguments.seed,
        budget=arguments.comparisons,
        total_steps=arguments.steps,
        teacher="oracle",
    )
    assert config.preferences is not None
    given = {"acquisition": arguments.acquisition, "refit_every": arguments.refit_every}
    changed = {name: value for name, value in given.items() if value is not None}
    learned = replace(config.preferences, **changed) if arguments.reward == "learned" else None
    return replace(config, preferences=learned, num_evaluation_episodes=NUM_EVALUATION_EPISODES)


def random_returns(env: EnvConfig, seed: int) -> np.ndarray:
    """[20] true returns of episodes of uniformly random actions."""
    world = make(replace(env, num_envs=NUM_EVALUATION_EPISODES), seed)
    box, rng = world.single_action_space, np.random.default_rng(seed)
    assert isinstance(box, Box)
    world.reset()
    returns, running = np.zeros(world.num_envs), np.ones(world.num_envs, bool)
    while running.any():
        actions = rng.uniform(box.low, box.high, (world.num_envs, *box.shape)).astype(np.float32)
        _, reward, terminated, truncated, _ = world.step(actions)
        returns += reward * running
        running &= ~(terminated | truncated)
    world.close()
    return returns


if __name__ == "__main__":
    main()

"""A point robot learns to reach goals past hazards, and is then acted with behind a shield.

It learns within a budget of 25 steps in hazards an episode (the recipe `course`), or with --unaware from the reward
alone. Fresh episodes of its policy are played bare, and behind a model check: a twin of the world takes each action and
then brakes, and what would enter a hazard on the way is not done. Both are played by its noise, as while it learns
(`sampled`), and by its likeliest actions (`likeliest`).
Prints {"sampled", "likeliest": {"violations": steps in a hazard of all shielded episodes, "bare_violations",
"shielded_return", "bare_return": means of an episode, "shielded_share": of steps, "nothing_safe": steps without a safe
action}, "train_wall_s", "steps", "evaluation_wall_s" of all episodes, "files": the sources that all this depends on}.
"""

import argparse
import json
import time
from dataclasses import replace

import numpy as np

from benchmarks.jobs.training import loaded_sources, train
from heeler.core.rollout import cost_figure
from heeler.evaluation.returns import NOTHING_SAFE, SHIELDED
from heeler.loop.config import RunConfig
from heeler.loop.evaluations import final_seed
from heeler.loop.reading import evaluate_policy
from heeler.models.policy import Policy
from heeler.recipes import course, ppo
from heeler.safety.shields.config import CheckConfig, FallbackConfig, ShieldConfig

COST = "hazards"
BRAKE = FallbackConfig(kind="brake", function="heeler.safety.shields.brakes:point_robot")
SHIELD = ShieldConfig(
    fallback=BRAKE,
    # The robot is at rest within twenty steps of braking; after sixty, what is still to come is micrometres.
    check=CheckConfig(steps=60, costs=(COST,), foresight=28),
    num_candidates=16,
)
NO_BUDGET = 1e9


def main() -> None:
    """Train, play both ways, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="PointGoal")
    parser.add_argument("--steps", type=int, default=2_000_000)
    parser.add_argument("--unaware", action="store_true", help="learn from the reward alone")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--episode-steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    given = {"env": arguments.task, "seed": arguments.seed, "total_steps": arguments.steps}
    # The shield is about hazards alone, and so is what is learned.
    config = ppo(**given) if arguments.unaware else course(**given, vases=NO_BUDGET)
    env = replace(config.env, kwargs={"max_episode_steps": arguments.episode_steps})
    config = replace(config, env=env, num_evaluation_episodes=1)
    trained = train(config)
    began = time.perf_counter()
    printed = {
        "sampled": _played(trained.policy, config, arguments.episodes, deterministic=False),
        "likeliest": _played(trained.policy, config, arguments.episodes, deterministic=True),
        "steps": trained.steps,
        "train_wall_s": trained.train_wall_s,
        "evaluation_wall_s": time.perf_counter() - began,
        "files": loaded_sources(),
    }
    print(json.dumps(printed))


def _played(policy: Policy, config: RunConfig, num_episodes: int, *, deterministic: bool) -> dict[str, float]:
    """The same episodes bare and shielded."""
    bare, shielded = (
        evaluate_policy(
            policy,
            replace(config, shield=shield),
            num_episodes=num_episodes,
            seed=final_seed(config),
            deterministic=deterministic,
        )
        for shield in (None, SHIELD)
    )
    return {
        "violations": float(shielded.figures[cost_figure(COST)].sum()),
        "bare_violations": float(bare.figures[cost_figure(COST)].sum()),
        "shielded_return": float(np.mean(shielded.returns)),
        "bare_return": float(np.mean(bare.returns)),
        "shielded_share": float(shielded.figures[SHIELDED].sum() / shielded.lengths.sum()),
        "nothing_safe": float(shielded.figures[NOTHING_SAFE].sum()),
    }


if __name__ == "__main__":
    main()

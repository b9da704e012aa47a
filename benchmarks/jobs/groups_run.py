"""A whole run in which two groups of simulated people want opposite things, under one rule of deciding.

Nine people want a point to be on the right and up, three on the left and up, and the policy learns from what both say
of its clips. Prints whether both groups and everybody's membership were found, what each group truly gets from the
policy at the end (1 its best, 0 nothing done), and whether the rule held: against the exact optimum over policies.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.jobs.two_wishes import LENGTH, WISH_GF, worth_of_places
from heeler.core.rundir import RunDirectory
from heeler.envs import make
from heeler.feedback.annotators.deciding import RULES, Rule
from heeler.feedback.annotators.left_groups import left_groups
from heeler.feedback.control_crowd import ControlCrowd, ControlCrowdConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig
from heeler.loop.reading import load_policy
from heeler.loop.running import run
from heeler.models.policy import Policy
from heeler.recipes import preferences
from heeler.rewards.answerers import PeopleConfig
from heeler.rewards.group_rewards import GroupingConfig
from heeler.rewards.preference_model import PreferenceModelConfig

STEP = 0.5
BUDGET, SLACK, NUM_PEOPLE, SECOND_SHARE = 0.8, 0.15, 12, 0.25
CROWD = ControlCrowdConfig(
    num_people=NUM_PEOPLE,
    overlap=2,
    second_group_share=SECOND_SHARE,
    other_goal=tuple((column, float(weight)) for column, weight in enumerate(WISH_GF[1])),
)


def configuration(rule: Rule, seed: int, num_updates: int, num_answers: int = 360) -> RunConfig:
    """A short run of the recipe `preferences`."""
    config = preferences(
        env="benchmarks.jobs.two_wishes:TwoWishes", seed=seed, teacher="two-groups", budget=num_answers
    )
    assert config.preferences is not None
    settings: dict[str, Any] = {"budget": BUDGET} if rule == "budgeted" else {}
    settings |= {} if rule == "mean" else {"step": STEP}
    asking = replace(
        config.preferences,
        # Groups are found before there is a policy that has settled on what the larger one wants.
        schedule=LabelSchedule(budget=num_answers, initial_share=0.5),
        teacher=CROWD,
        people=PeopleConfig(),
        groups=GroupingConfig(rule=rule, turn_share=0.06, look_every=60, **settings),
        segment_length=10,
        acquisition="random",
        num_warmup_rollouts=8,
        refit_every=60,
        model=PreferenceModelConfig(
            num_members=2, hidden_sizes=(16,), inputs=("next_observation",), learning_rate=5e-3, max_epochs=15
        ),
    )
    return replace(
        config,
        env=replace(config.env, num_envs=32),
        num_steps=LENGTH,
        total_steps=num_updates * 32 * LENGTH,
        algorithm=replace(
            config.algorithm, minibatch_size=160, num_epochs=5, final_learning_rate_share=1.0, entropy_coefficient=0.01
        ),
        preferences=asking,
        checkpoint_every=num_updates,
        num_evaluation_episodes=1,
    )


def is_found(path: Path, seed: int) -> bool:
    """Whether there are two groups, and everybody is in their own."""
    left = left_groups(path)
    if left is None or left.member_QG.shape[1] != 2:
        return False
    kinds = ControlCrowd(CROWD, seed).people
    with open_store(RunDirectory.open(path)) as store:
        who = {at: one.annotator for at, one in store.feedback_after(0, limit=100_000, up_to_step=None)}
    wanted = np.array([int(kinds[who[position]] == "second") for position in left.position_Q.tolist()])
    return bool((left.member_QG.argmax(1) == wanted).all())


def gets(policy: Policy, config: RunConfig) -> np.ndarray:
    """[G] what each group truly gets from the policy: 0 for nothing done, 1 for its best."""
    world = make(replace(config.env, num_envs=50), seed=1)
    observation, _ = world.reset(seed=1)
    seen = list[np.ndarray]()
    for _ in range(LENGTH - 1):
        action = policy.within_bounds(policy.act(observation, None).numpy())
        observation = world.step(policy.executable(action))[0]
        seen.append(observation)
    world.close()
    return (np.stack(seen) @ WISH_GF.T).mean((0, 1)) / worth_of_places(LENGTH - 1)[1]


def holds(rule: str, got_G: np.ndarray) -> bool:
    """Whether a rule does as declared."""
    every_GK, share_G = worth_of_places()[0], np.array([1 - SECOND_SHARE, SECOND_SHARE])
    if rule == "mean":
        return bool(share_G @ got_G >= (share_G @ every_GK).max() - SLACK)
    if rule == "least_happy":
        return bool(got_G.min() >= every_GK.min(0).max() - SLACK)
    most = every_GK[0, every_GK[1] >= 1 - BUDGET].max()
    return bool(got_G[1] >= 1 - BUDGET - SLACK and got_G[0] >= most - SLACK)


def main() -> None:
    """Run, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rule", choices=RULES, required=True)
    parser.add_argument("--updates", type=int, default=240)
    parser.add_argument("--answers", type=int, default=360)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = configuration(arguments.rule, arguments.seed, arguments.updates, arguments.answers)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        run(config, path)
        policy, _ = load_policy(path)
        got_G = gets(policy, config)
        printed = {"found": is_found(path, arguments.seed), "gets": got_G.tolist()}
    print(json.dumps(printed | {"rule": arguments.rule, "holds": holds(arguments.rule, got_G)}))


if __name__ == "__main__":
    main()

"""People who change what they want in mid-run: how soon it is noticed, and how soon the reward follows.

Answers about two arms each come one by one; each is foretold before it is learned from, as the loop does it
(`heeler.loop.drifting`), and a reward linear in the arms' features is fitted to all of them after every 25. Recovered
is when the exact policy of the reward is at 90 % of what a reward fitted to 300 answers of the new goal alone reaches.
Prints answers until noticed, and from there until recovered, with forgetting and without.
"""

import argparse
import json

import numpy as np

from benchmarks.jobs.trust_world import NUM_ARMS, NUM_FEATURES, ArmWorld, arm_world
from heeler.loop.drifting import Drifting
from heeler.rewards.answerers import DriftConfig

REFIT_EVERY, MOST_AFTER = 25, 700


def fit(feature_NF: np.ndarray, left_N: np.ndarray, weight_N: np.ndarray) -> np.ndarray:
    """[F] weighted logistic regression with a small ridge, by Newton's method."""
    weight_F = np.zeros(feature_NF.shape[1])
    for _ in range(12):
        right_N = 1 / (1 + np.exp(-np.clip(feature_NF @ weight_F, -50, 50)))
        slope_F = feature_NF.T @ (weight_N * (left_N - right_N)) - 0.3 * weight_F
        curve_FF = feature_NF.T @ (feature_NF * (weight_N * right_N * (1 - right_N))[:, None])
        weight_F = weight_F + np.linalg.solve(curve_FF + 0.3 * np.eye(NUM_FEATURES), slope_F)
    return weight_F


def reward(world: ArmWorld, weight_F: np.ndarray) -> np.ndarray:
    """[K] of every arm, brought to a spread of two, as the loop brings every learned reward to one spread."""
    score_K = world.feature_KF @ weight_F
    return 2 * score_K / max(float(score_K.std()), 1e-9)


def one_way(seed: int, num_before: int, *, forgets: bool) -> tuple[int, int]:
    """Answers until noticed, and from there until recovered; `MOST_AFTER` where that never was."""
    world, rng = arm_world(seed), np.random.default_rng([seed, 79])
    # Half of the way from the opposite to something else altogether.
    new_F = (world.other_F - world.goal_F) / np.sqrt(2)
    drifting = Drifting(DriftConfig(), num_before + MOST_AFTER)
    features, lefts, weight_F = list[np.ndarray](), list[bool](), np.zeros(NUM_FEATURES)
    noticed: int | None = None
    # What can be had: a reward that was fitted to the new goal alone.
    pairs = rng.integers(NUM_ARMS, size=(300, 2))
    asked = world.feature_KF[pairs[:, 0]] - world.feature_KF[pairs[:, 1]]
    said = rng.random(300) < 1 / (1 + np.exp(-asked @ new_F))
    best = world.value(reward(world, fit(asked, said.astype(float), np.ones(300))), new_F)
    for number in range(1, num_before + MOST_AFTER + 1):
        goal_F = world.goal_F if number <= num_before else new_F
        a, b = rng.choice(NUM_ARMS, 2, replace=False)
        shown = world.feature_KF[a] - world.feature_KF[b]
        left = bool(rng.random() < 1 / (1 + np.exp(-shown @ goal_F)))
        changed = bool(weight_F.any()) and drifting.add(number, f"p{number % 8}", bool(shown @ weight_F > 0) == left)
        features.append(shown)
        lefts.append(left)
        if changed and number > num_before and noticed is None:
            noticed = number
        if changed or number % REFIT_EVERY == 0:
            count = drifting.forgotten(list(range(1, number + 1))) if forgets else np.ones(number)
            weight_F = fit(np.array(features), np.array(lefts, float), count)
        is_there = world.value(reward(world, weight_F), new_F) >= 0.9 * best
        if number > num_before and noticed is not None and is_there:
            return noticed - num_before, number - noticed
    return (MOST_AFTER if noticed is None else noticed - num_before), MOST_AFTER


def main() -> None:
    """Answer, notice, follow, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=int, default=400, help="answers before the change")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    notice, recover = one_way(arguments.seed, arguments.before, forgets=True)
    _, without = one_way(arguments.seed, arguments.before, forgets=False)
    print(json.dumps({"notice": notice, "recover": recover, "recover_without": without}))


if __name__ == "__main__":
    main()

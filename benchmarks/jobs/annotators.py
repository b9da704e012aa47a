"""Careless, hostile and colluding people who compare arms, and what is learned from them, by three ways.

`crowd_bt`: people and items fitted together, and once more without who was found to spam, collude or poison; `uniform`:
Bradley–Terry that takes all at their word; `majority`: the share of duels that an arm wins, each decided by majority.
Prints, for each kind of crowd, the value of the policy by each way (1 for the best arm, 0 for chance), who was named
hostile, and who was so.
"""

import argparse
import json
from collections.abc import Sequence

import numpy as np

from benchmarks.jobs.trust_world import NUM_ARMS, ArmWorld, Crowd, arm_world, compare
from heeler.feedback.annotators.answers import Answers, Comparison, answers_of
from heeler.feedback.annotators.crowd_bt import CrowdBTConfig, fit_crowd_bt
from heeler.feedback.annotators.reliability import ReliabilityConfig
from heeler.feedback.annotators.verdicts import judge

CROWDS = {
    "clean": Crowd(),
    "careless": Crowd(careless=8),
    "hostile": Crowd(hostile=4),
    "colluding": Crowd(colluding=2),
}
NUM_GOLD = 12
HONEST = CrowdBTConfig(
    people=ReliabilityConfig(prior_honest=1e6, prior_hostile=1.0, lean_spread=0.0, models_speed=False)
)
"""Everybody taken at their word: Bradley–Terry with the same prior of items."""


def gold(world: ArmWorld, given: Sequence[Comparison]) -> dict[tuple[str, str], str]:
    """The clearest of the pairs that were asked, with their right answers."""
    worth = world.feature_KF @ world.goal_F
    pairs = {(one.left, one.right) for one in given if worth[int(one.left)] > worth[int(one.right)]}
    clearest = sorted(pairs, key=lambda pair: worth[int(pair[1])] - worth[int(pair[0])])
    return dict.fromkeys(clearest[:NUM_GOLD], "left")


def scores(answers: Answers, score_K: np.ndarray) -> np.ndarray:
    """By arm; one that nobody was asked about is as good as the mean."""
    found = np.full(NUM_ARMS, score_K.mean())
    found[[int(name) for name in answers.items]] = score_K
    return found


def trusted(world: ArmWorld, given: Sequence[Comparison]) -> tuple[np.ndarray, set[str]]:
    """Scores with people told apart, and who was named hostile. Who spams, colludes or poisons is left out at last."""
    answers, anchors = answers_of(given), gold(world, given)
    fit = fit_crowd_bt(answers, gold=anchors)
    judged = judge(answers, fit.margin_N, fit.people)
    hostile = {answers.people[one.person] for one in judged.people if one.verdict == "hostile"}
    suspects = {answers.people[one.person] for one in judged.people if one.is_suspect}
    kept = [one for one in given if one.person not in suspects]
    if suspects and kept:
        answers = answers_of(kept)
        asked = set(answers.items)
        fit = fit_crowd_bt(answers, gold={pair: right for pair, right in anchors.items() if set(pair) <= asked})
    return scores(answers, fit.score_K), hostile


def majority(given: Sequence[Comparison]) -> np.ndarray:
    """Log-odds of the share of duels that each arm wins."""
    votes: dict[tuple[int, int], int] = {}
    for one in given:
        a, b = int(one.left), int(one.right)
        won = 1 if one.choice == "left" else -1
        votes[min(a, b), max(a, b)] = votes.get((min(a, b), max(a, b)), 0) + (won if a < b else -won)
    wins, duels = np.ones(NUM_ARMS), np.full(NUM_ARMS, 2.0)
    for (a, b), lead in votes.items():
        share = 0.5 if lead == 0 else float(lead > 0)
        wins[[a, b]] += share, 1 - share
        duels[[a, b]] += 1
    return np.log(wins / (duels - wins))


def main() -> None:
    """Ask, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    world = arm_world(arguments.seed)
    printed: dict[str, dict[str, object]] = {}
    for name, crowd in CROWDS.items():
        given = compare(world, crowd, arguments.questions, 3, arguments.seed)
        score_K, named = trusted(world, given)
        answers = answers_of(given)
        uniform_K = scores(answers, fit_crowd_bt(answers, HONEST).score_K)
        printed[name] = {
            "crowd_bt": world.value(score_K, world.goal_F),
            "uniform": world.value(uniform_K, world.goal_F),
            "majority": world.value(majority(given), world.goal_F),
            "named": sorted(named),
            "hostile": sorted({one.person for one in given if one.person.startswith("hostile")}),
        }
    print(json.dumps(printed))


if __name__ == "__main__":
    main()

"""Two groups that want opposite things: are both found, and does each rule do as declared?

People compare arms by one of two opposite goals, to which each adds a wish that both share. Groups are found from the
answers alone; each rule then settles on a policy by the rewards that were learned of the groups, and is judged by the
true ones, against the exact optimum over all mixtures of two arms (two constraints need no more). Prints whether groups
and everybody's membership were found, and of each rule whether it held, with its figures.
"""

import argparse
import json

import numpy as np

from benchmarks.jobs.trust_world import NUM_ARMS, NUM_FEATURES
from heeler.feedback.annotators.answers import Answers
from heeler.feedback.annotators.deciding import DecidingConfig, begin, decide
from heeler.feedback.annotators.groups import Groups, find_groups

NUM_PEOPLE, SHARE, BUDGET, SLACK = 20, 0.6, 0.4, 0.1


def normalised(worth_GK: np.ndarray) -> np.ndarray:
    """Every group's best arm is worth 1, and chance 0."""
    mean_G1 = worth_GK.mean(1, keepdims=True)
    return (worth_GK - mean_G1) / (worth_GK.max(1, keepdims=True) - mean_G1)


def answer(seed: int, num_answers: int) -> tuple[Answers, np.ndarray, np.ndarray, np.ndarray]:
    """Answers, what was shown, the arms' true worth to both groups, and everybody's group."""
    rng = np.random.default_rng([seed, 80])
    arms_KF, goal, shared = rng.normal(size=(NUM_ARMS, NUM_FEATURES)), *rng.normal(size=(2, NUM_FEATURES))
    shared -= goal * (goal @ shared) / (goal @ goal)
    goal, shared = 2 * goal / np.linalg.norm(goal), 1.5 * shared / np.linalg.norm(shared)
    wish_GF = np.stack([goal + shared, -goal + shared])
    group_P = (np.arange(NUM_PEOPLE) >= round(SHARE * NUM_PEOPLE)).astype(np.int64)
    person = rng.integers(NUM_PEOPLE, size=num_answers)
    pair = np.stack([rng.choice(NUM_ARMS, 2, replace=False) for _ in range(num_answers)])
    shown = arms_KF[pair[:, 0]] - arms_KF[pair[:, 1]]
    margin = (shown * wish_GF[group_P[person]]).sum(1)
    left = rng.random(num_answers) < 1 / (1 + np.exp(-margin))
    answers = Answers(
        people=tuple(f"p{number}" for number in range(NUM_PEOPLE)),
        items=(),
        person_N=person,
        outcome_N=np.where(left, 0, 1),
        left_N=np.arange(num_answers),
        right_N=np.full(num_answers, -1),
        time_s_N=np.full(num_answers, np.nan),
    )
    return answers, shown, wish_GF @ arms_KF.T, group_P


def settle(config: DecidingConfig, learned_GK: np.ndarray, share_G: np.ndarray, rounds: int = 3000) -> np.ndarray:
    """[K] the policy that a rule settles on: the mean of the best arms by its weights, its beginning left out."""
    state, policy = begin(config, share_G), np.zeros(learned_GK.shape[1])
    for number in range(rounds):
        arm = int((state.weight_G @ learned_GK).argmax())
        state = decide(config, state, learned_GK[:, arm].copy(), share_G)
        policy[arm] += number >= rounds // 2
    return policy / policy.sum()


def mixtures(worth_GK: np.ndarray) -> np.ndarray:
    """[2, X] what both groups get of all mixtures of two arms."""
    share = np.linspace(0, 1, 51)
    first, second = worth_GK[:, :, None, None], worth_GK[:, None, :, None]
    return (share * first + (1 - share) * second).reshape(2, -1)


def rules(found: Groups, arms_KF: np.ndarray, true_GK: np.ndarray, share_G: np.ndarray) -> dict[str, bool]:
    """Whether each rule, going by what was learned, does as declared by what is true."""
    learned_GK, every = normalised(found.weight_GF @ arms_KF.T), mixtures(true_GK)
    mean = true_GK @ settle(DecidingConfig(rule="mean"), learned_GK, found.share_G)
    least = true_GK @ settle(DecidingConfig(rule="least_happy"), learned_GK, found.share_G)
    budgeted = true_GK @ settle(DecidingConfig(rule="budgeted", budget=BUDGET), learned_GK, found.share_G)
    allowed = every[:, every[1] >= 1 - BUDGET - 1e-9]
    most = allowed[0].max() if allowed.size else -np.inf
    return {
        "mean": bool(share_G @ mean >= (share_G @ every).max() - SLACK),
        "least_happy": bool(least.min() >= every.min(0).max() - SLACK),
        "budgeted": bool(budgeted[1] >= 1 - BUDGET - SLACK and budgeted[0] >= most - SLACK),
    }


def main() -> None:
    """Answer, find, decide, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    answers, shown, worth_GK, group_P = answer(arguments.seed, arguments.answers)
    found = find_groups(answers, shown, seed=arguments.seed)
    is_found = found.num_groups == 2 and bool((found.member_PG.argmax(1) == group_P).all())
    held: dict[str, bool] = dict.fromkeys(("mean", "least_happy", "budgeted"), False)
    if is_found:
        arms_KF = arms_of(arguments.seed)
        held = rules(found, arms_KF, normalised(worth_GK), np.array([SHARE, 1 - SHARE]))
    print(json.dumps({"num_groups": found.num_groups, "found": is_found, "rules": held}))


def arms_of(seed: int) -> np.ndarray:
    """[K, F] features of the arms of `answer`."""
    return np.random.default_rng([seed, 80]).normal(size=(NUM_ARMS, NUM_FEATURES))


if __name__ == "__main__":
    main()

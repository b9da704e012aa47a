"""Groups: planted ones are found, noise makes none, EM against enumeration, and rules against exact optima."""

import itertools
import math

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.annotators.answers import Answers
from heeler.feedback.annotators.deciding import Deciding, DecidingConfig, begin, decide
from heeler.feedback.annotators.groups import GroupsConfig, _by_person, _log_likelihood, find_groups, told_groups


def planted(wishes: list[list[float]], people_each: int = 6, answers_each: int = 40, seed: int = 0):
    """People of each wish in turn, and what was shown to them."""
    rng = np.random.default_rng(seed)
    num_people, size = people_each * len(wishes), people_each * len(wishes) * answers_each
    person = np.arange(size) % num_people
    feature = rng.normal(size=(size, len(wishes[0])))
    margin = (feature * np.array(wishes)[person % len(wishes)]).sum(1)
    outcome = (rng.random(size) >= 1 / (1 + np.exp(-margin))).astype(np.int64)
    answers = Answers(
        people=tuple(f"p{number}" for number in range(num_people)),
        items=(),
        person_N=person,
        outcome_N=outcome,
        left_N=np.arange(size),
        right_N=np.full(size, -1),
        time_s_N=np.full(size, np.nan),
    )
    return answers, feature


@pytest.mark.parametrize("wishes", [[[2.0, 0.0, 0.5], [-2.0, 0.0, 0.5]], [[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]]])
def test_planted_groups_are_found_with_their_people_and_wishes(wishes: list[list[float]]) -> None:
    answers, feature = planted(wishes)
    found = find_groups(answers, feature)
    assert found.num_groups == len(wishes)
    member = found.member_PG.argmax(1)
    for number in range(len(wishes)):
        (group,) = set(member[number :: len(wishes)].tolist())
        cosine = found.weight_GF[group] @ wishes[number]
        cosine /= np.linalg.norm(found.weight_GF[group]) * np.linalg.norm(wishes[number])
        assert cosine > 0.9
    assert found.share_G.sum() == pytest.approx(1) and (np.diff(found.share_G) <= 0).all()


def test_people_of_one_mind_are_one_group_however_noisy() -> None:
    more = 0
    for seed in range(8):
        answers, feature = planted([[1.0, -0.5, 0.2]], people_each=10, seed=seed)
        more += find_groups(answers, feature, seed=seed).num_groups > 1
    assert more <= 1


def test_opposite_wishes_disagree_and_small_groups_are_not_shown() -> None:
    answers, feature = planted([[2.0, 0.0], [-2.0, 0.0]])
    found = find_groups(answers, feature)
    assert found.agreement[0, 1] < -0.9 and found.agreement[0, 0] == pytest.approx(1)
    assert len(told_groups(found, min_people=3)) == 2
    assert told_groups(found, min_people=7) == []
    lonely = find_groups(answers, feature, GroupsConfig(min_people=7))
    assert lonely.num_groups == 1, "a group that would tell of few people is none"


def test_memberships_are_those_of_enumeration() -> None:
    """At the fitted weights: every way of putting three people into two groups."""
    answers, feature = planted([[2.0, 1.0], [-2.0, 0.5]], people_each=2, answers_each=15)
    config = GroupsConfig(min_people=1)
    found = find_groups(answers, feature, config)
    assert found.num_groups == 2
    sign = np.where(answers.outcome_N == 0, 1.0, -1.0)[:, None]
    log_PG = _by_person(answers.person_N, _log_likelihood(sign * feature, found.weight_GF, config.lapse), 4)
    weight = {
        groups: math.exp(sum(math.log(found.share_G[g]) + log_PG[p, g] for p, g in enumerate(groups)))
        for groups in itertools.product(range(2), repeat=4)
    }
    for person in range(4):
        first = sum(value for groups, value in weight.items() if groups[person] == 0) / sum(weight.values())
        assert found.member_PG[person, 0] == pytest.approx(first, abs=1e-3)


def test_bad_features_are_named() -> None:
    answers, feature = planted([[1.0]])
    with pytest.raises(DataError, match="one row for each"):
        find_groups(answers, feature[:3])
    with pytest.raises(DataError, match="row 2"):
        find_groups(answers, np.where(np.arange(len(feature))[:, None] == 2, np.nan, feature))
    silent = Answers(**(vars(answers) | {"outcome_N": np.full(len(answers), 2)}))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="nobody named a side"):
        find_groups(silent, feature)
    with pytest.raises(ConfigError, match="max_groups"):
        GroupsConfig(max_groups=0)


ARMS_GK = np.array([[1.0, 0.0, 0.7, 0.4], [0.0, 1.0, 0.5, 0.4]])
"""What four arms give to two groups."""


def settled(config: DecidingConfig, rounds: int = 4000, share=(0.7, 0.3)) -> tuple[Deciding, np.ndarray]:
    """Always the best arm by the weights; the mean of all policies is the rule's."""
    state, policy = begin(config, np.array(share)), np.zeros(4)
    for number in range(rounds):
        arm = int((state.weight_G @ ARMS_GK).argmax())
        state = decide(config, state, ARMS_GK[:, arm], np.array(share))
        policy[arm] += number >= rounds // 2
    return state, policy / policy.sum()


def best(objective, allowed=lambda _: True) -> float:
    """Over all mixtures of arms on a fine grid."""
    grid = np.linspace(0, 1, 41)
    mixtures = (np.array([a, b, c, 1 - a - b - c]) for a in grid for b in grid for c in grid if a + b + c <= 1 + 1e-9)
    return max(objective(ARMS_GK @ m) for m in mixtures if allowed(ARMS_GK @ m))


def test_the_mean_goes_by_shares() -> None:
    _, policy = settled(DecidingConfig(rule="mean"))
    assert policy.argmax() == 0
    _, policy = settled(DecidingConfig(rule="mean"), share=(0.5, 0.5))
    assert policy.argmax() == 2


def test_the_least_happy_group_is_as_happy_as_can_be() -> None:
    _, policy = settled(DecidingConfig(rule="least_happy"))
    assert (ARMS_GK @ policy).min() == pytest.approx(best(min), abs=0.02)


@pytest.mark.parametrize("budget", [0.2, 0.5, 1.0])
def test_budgeted_keeps_to_the_budget_and_gives_the_favoured_the_rest(budget: float) -> None:
    _, policy = settled(DecidingConfig(rule="budgeted", budget=budget))
    happy = ARMS_GK @ policy
    assert happy[1] >= 1 - budget - 0.02
    assert happy[0] == pytest.approx(best(lambda r: r[0], lambda r: r[1] >= 1 - budget - 1e-9), abs=0.03)


def followed(damping: float, rounds: int = 300) -> np.ndarray:
    """[rounds] the share of one arm of two, of a policy that goes a twentieth of the way to the better one."""
    config, share, policy = DecidingConfig(rule="least_happy", step=0.5, damping=damping), np.array([0.5, 0.5]), 1.0
    state, seen = begin(config, share), np.zeros(rounds)
    for number in range(rounds):
        state = decide(config, state, np.array([policy, 1 - policy]), share)
        policy += 0.05 * (float(state.weight_G[0] > 0.5) - policy)
        seen[number] = policy
    return seen


def test_damping_keeps_a_policy_that_follows_by_and_by_from_going_round() -> None:
    assert np.abs(followed(1.0)[100:200] - 0.5).max() < 0.05
    assert np.abs(followed(0.0)[100:200] - 0.5).max() > 0.15


def test_bad_rules_are_named() -> None:
    with pytest.raises(ConfigError, match="damping must be >= 0"):
        DecidingConfig(damping=-1.0)
    with pytest.raises(ConfigError, match=r"rule must be one of mean, least_happy, budgeted, got 'least'"):
        DecidingConfig(rule="least")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="budget"):
        DecidingConfig(budget=2.0)
    with pytest.raises(ConfigError, match="favoured must be one of 2 groups"):
        begin(DecidingConfig(rule="budgeted", favoured=2), np.array([0.5, 0.5]))
    state = begin(DecidingConfig(), np.array([0.5, 0.5]))
    with pytest.raises(DataError, match="one a group"):
        decide(DecidingConfig(), state, np.array([np.nan, 1.0]), np.array([0.5, 0.5]))

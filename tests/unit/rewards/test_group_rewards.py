"""Rewards of groups: rules over returns against enumeration, zero and unit, memberships, and what a fit takes."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError
from heeler.feedback.annotators.answers import Answers
from heeler.feedback.annotators.deciding import begin, decide
from heeler.rewards.answerers import Answerers
from heeler.rewards.group_rewards import (
    GroupingConfig,
    GroupMargins,
    fit_group,
    group_margins,
    memberships,
    mixed_margins,
    reward_weights,
    units,
)
from heeler.rewards.preference_model import Comparisons, PreferenceModel, PreferenceModelConfig, PreferenceModelState

RAW_GK = np.array([[7.0, 3.0, 6.0, 4.5], [-0.4, 0.1, -0.05, -0.2]])
"""What four arms are worth to two groups, each with a zero and a unit of its own."""
SHARE_G = np.array([0.7, 0.3])


def gets(policy_K: np.ndarray) -> np.ndarray:
    """[G] 0 for the uniform policy, 1 for the group's best arm."""
    chance_G, best_G = RAW_GK.mean(1), RAW_GK.max(1)
    return (RAW_GK @ policy_K - chance_G) / units(chance_G, best_G)


def best(objective, allowed=lambda _: True) -> float:
    """Over all mixtures of arms on a fine grid."""
    steps = range(41)
    mixtures = [(a, b, c, 40 - a - b - c) for a in steps for b in steps for c in steps if a + b + c <= 40]
    return max(objective(got_G) for got_G in (gets(np.array(m) / 40) for m in mixtures) if allowed(got_G))


def learned(config: GroupingConfig, rounds: int = 20_000) -> np.ndarray:
    """[G] what groups get on average of a learner that climbs the decided reward while the weights move."""
    chance_G, best_G = RAW_GK.mean(1), RAW_GK.max(1)
    unit_G = units(chance_G, best_G)
    state, logit_K, total_G = begin(config.deciding, SHARE_G), np.zeros(4), np.zeros(2)
    for number in range(rounds):
        policy_K = np.exp(logit_K - np.logaddexp.reduce(logit_K))
        state = decide(config.deciding, state, gets(policy_K), SHARE_G)
        reward_K = reward_weights(state.weight_G, unit_G) @ RAW_GK
        # Exponentiated gradient: the policy moves a little at a time, as the loop's does.
        logit_K = logit_K + 3.0 / math.sqrt(1 + number) * (reward_K - policy_K @ reward_K)
        total_G += (number >= rounds // 2) * gets(policy_K)
    return total_G / (rounds - rounds // 2)


@pytest.fixture(autouse=True)
def _units_that_are_not_floored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heeler.rewards.group_rewards._LEAST_UNIT", 1e-3)


def test_the_loops_weights_reach_the_least_happy_optimum_whatever_the_zero_and_unit() -> None:
    got_G = learned(GroupingConfig(rule="least_happy", step=1.0))
    assert got_G.min() == pytest.approx(best(min), abs=0.03)


@pytest.mark.parametrize("budget", [0.3, 0.6, 1.0])
def test_the_loops_weights_reach_the_budgeted_optimum(budget: float) -> None:
    got_G = learned(GroupingConfig(rule="budgeted", budget=budget, step=1.0))
    assert got_G[1] >= 1 - budget - 0.04
    assert got_G[0] == pytest.approx(best(lambda u: u[0], lambda u: u[1] >= 1 - budget - 1e-9), abs=0.05)


def test_the_mean_is_of_what_groups_get_by_their_shares() -> None:
    got_G = learned(GroupingConfig(rule="mean"))
    assert SHARE_G @ got_G == pytest.approx(best(lambda u: SHARE_G @ u), abs=0.02)


def test_the_decided_reward_is_the_weighed_sum_of_what_groups_get_but_for_a_scale_and_a_constant() -> None:
    weight_G, chance_G, best_G = np.array([0.4, 0.6]), RAW_GK.mean(1), RAW_GK.max(1)
    omega_G = reward_weights(weight_G, units(chance_G, best_G))
    assert omega_G.sum() == pytest.approx(1)
    wanted_K = weight_G @ np.stack([gets(arm) for arm in np.eye(4)], 1)
    made_K = omega_G @ RAW_GK
    scale = (made_K[0] - made_K[1]) / (wanted_K[0] - wanted_K[1])
    assert scale > 0
    np.testing.assert_allclose(made_K - made_K[0], scale * (wanted_K - wanted_K[0]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_groups": 1}, r"groups.max_groups must be >= 2, got 1"),
        ({"min_people": 1}, r"groups.min_people must be >= 2, got 1"),
        ({"look_every": 0}, r"groups.look_every must be >= 1, got 0"),
        ({"turn_share": 0.5}, r"groups.turn_share must be between 0 and 0.25, got 0.5"),
        ({"rule": "meen"}, r"groups.rule must be one of mean, least_happy, budgeted, got 'meen'"),
        ({"rule": "budgeted", "budget": 2.0}, r"groups.budget must be between 0 and 1, got 2"),
        ({"rule": "least_happy", "step": 0.0}, r"groups.step must be > 0 and finite, got 0"),
        ({"budget": 0.3}, r"groups.budget would be ignored by the rule mean"),
        ({"step": 0.3}, r"groups.step would be ignored"),
        ({"rule": "budgeted", "turn_share": 0.0}, r"groups.turn_share must be above 0 under the rule budgeted"),
    ],
)
def test_bad_settings_are_named(settings, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        GroupingConfig(**settings)


def given(person: list[int], outcome: list[int]) -> Answers:
    num = len(person)
    return Answers(
        people=tuple(f"p{number}" for number in range(max(person) + 1)),
        items=(),
        person_N=np.array(person),
        outcome_N=np.array(outcome),
        left_N=np.arange(num),
        right_N=np.full(num, -1),
        time_s_N=np.full(num, np.nan),
    )


def test_memberships_are_those_of_enumeration_and_who_said_little_stays_near_the_shares() -> None:
    rng = np.random.default_rng(0)
    person = [0] * 9 + [1] * 9 + [2] * 9 + [3]
    value_QG = np.stack([rng.normal(size=28) * 2, rng.normal(size=28) * 2], 1)
    side = [0, 1, 0, 0]
    outcome = [int(value_QG[q, side[p]] < 0) for q, p in enumerate(person)]
    outcome[5] = 2
    told = np.ones(28)
    told[20] = 0
    unseen = np.ones(28, bool)
    unseen[12] = False
    margins = GroupMargins(value_QG=value_QG, is_unseen_Q=unseen)
    member_PG = memberships(given(person, outcome), margins, np.array([0.5, 0.5]), told)
    counted = [q for q in range(28) if q not in (5, 12, 20)]

    def says(q: int, group: int) -> float:
        sign = 1 if outcome[q] == 0 else -1
        return 0.9 / (1 + math.exp(-sign * value_QG[q, group])) + 0.05

    # At the fixed point, the shares are those of the memberships, and every way of grouping four people is summed over.
    share_G = (member_PG.sum(0) + 1) / 6
    weight = {
        groups: math.prod(share_G[g] for g in groups) * math.prod(says(q, groups[person[q]]) for q in counted)
        for groups in itertools.product(range(2), repeat=4)
    }
    for one in range(4):
        first = sum(value for groups, value in weight.items() if groups[one] == 0) / sum(weight.values())
        assert member_PG[one, 0] == pytest.approx(first, abs=1e-4)
    assert member_PG[0, 0] > 0.9 and member_PG[1, 1] > 0.9 and 0.1 < member_PG[3, 0] < 0.98
    mixed = mixed_margins(margins, member_PG[person])
    assert mixed.value_Q[27] == pytest.approx(member_PG[3] @ value_QG[27])


MODEL = PreferenceModel(PreferenceModelConfig(hidden_sizes=(8,), max_epochs=4, lapse=0.1), 3, 1)


def data(num: int = 60) -> tuple[PreferenceModelState, Comparisons, Answerers]:
    chance = torch.Generator().manual_seed(0)
    feature = torch.randn(num, 2, 5, 4, generator=chance)
    wanted_Q = feature[:, 0, :, 0].sum(1) > feature[:, 1, :, 0].sum(1)
    weight = torch.poisson(torch.ones(3, num), generator=chance)
    comparisons = Comparisons(feature, (~wanted_Q).long(), weight, torch.arange(num) % 7 == 0)
    ones = torch.ones(num)
    answerers = Answerers(reliability_Q=0.9 * ones, lean_Q=0 * ones, looked_Q=ones, weight_Q=ones)
    return MODEL.init(3), comparisons, answerers


def test_a_group_of_all_is_fitted_as_the_reward_of_all_bit_for_bit() -> None:
    state, comparisons, answerers = data()
    own = fit_group(MODEL, state, comparisons, np.ones(60), answerers)
    plain, _, _ = data()
    plain.comparisons = comparisons
    plain, _ = MODEL.fit(plain, answerers)
    assert torch.equal(own.parameters.flat, plain.parameters.flat)


def test_who_is_surely_elsewhere_is_not_learned_from_and_counts_as_unseen() -> None:
    member_Q = np.array([1.0, 1.0, 0.001] * 20)
    state, comparisons, answerers = data()
    own = fit_group(MODEL, state, comparisons, member_Q, answerers)
    turned = torch.where(torch.from_numpy(member_Q < 0.5), 1 - comparisons.outcome_Q, comparisons.outcome_Q)
    other, _, _ = data()
    other = fit_group(MODEL, other, replace(comparisons, outcome_Q=turned), member_Q, answerers)
    assert torch.equal(own.parameters.flat, other.parameters.flat)
    margins = group_margins(MODEL, [own], comparisons, member_Q[:, None], 60)
    assert margins.is_unseen_Q[member_Q < 0.5].all() and not margins.is_unseen_Q.all()

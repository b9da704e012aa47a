r"""A reward for each group of people who honestly want different things, and one reward decided from them.

**Zero and unit.** Comparisons of clips of one length leave a reward's zero and unit free: adding a constant, or wanting
the same more surely, changes no answer's side. Added as they are, the group whose people answer with less noise, or
whose fit went further, would count for more. So every group's reward is measured alike, on the same steps: $r_g$ has a
spread of one a step; $J_g(\pi)$ is its mean a step under a policy; and what a group gets is

$$u_g(\pi) = (J_g(\pi) - c_g) / s_g, \qquad s_g = b_g - c_g,$$

with $c_g$ what the untrained policy gets and $b_g$ the best rollout of the run in the eyes of the group, both looked at
anew by each new fit. So $u_g$ is 0 by chance and 1 at the group's best, whatever the zero and unit of $r_g$.

**Deciding.** A rule's weights $\lambda$ are over $u$, and $\sum_g \lambda_g u_g(\pi)$ is, but for a constant, the
return of the reward $\sum_g (\lambda_g / s_g)\, r_g$: what is learned from is $\sum_g \omega_g r_g$ with
$\omega_g \propto \lambda_g / s_g$, adding up to one.

Rules about returns are not rules about steps: the group that is worst off on a step may be well off on the whole.
`least_happy`, $\max_\pi \min_g u_g(\pi)$, is the game $\min_\lambda \max_\pi \sum_g \lambda_g u_g(\pi)$. The learner
is one player; the other moves the weights by $\lambda_g \propto \exp(-\sum_t \eta_t u_g(\pi_t))$ once a rollout, so
that who gets little comes to count for more. `budgeted`, $\max_\pi u_0(\pi)$ with $u_g(\pi) \ge 1 - b$, is the
Lagrangian's saddle point: each other group has a price $\mu_g \leftarrow [\mu_g + \eta_t (1 - b - u_g(\pi_t))]_+$ and
$\lambda \propto (1, \mu)$. Both players' means over time come to the optimum (Freund and Schapire 1999; Nedić and
Ozdaglar 2009, J. Optim. Theory Appl. 142): the last policy alone does where the best answer to the final weights is
one policy, and else moves about it, less widely where what a group gets at present counts beside the sum.
`heeler.feedback.annotators.deciding` moves the weights.

Shapes: Q comparisons, P people, G groups, K steps of a sample, F features, T steps, N environments.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.feedback.annotators.answers import LEFT, RIGHT, Answers, Floats, sums_by
from heeler.feedback.annotators.deciding import DecidingConfig, Rule
from heeler.feedback.annotators.groups import GroupsConfig
from heeler.rewards.answerers import Answerers, Margins
from heeler.rewards.preference_model import Comparisons, PreferenceModel, PreferenceModelState
from heeler.rewards.unseen import unseen_margins

_LEAST_UNIT = 1.0
"""In spreads of the reward a step: where the run has seen hardly anything that a group likes, as after too short a
turn, what it gets is measured in spreads, and not blown up."""
_LEAST_SHARE = 0.01
"""Probability of a person being in a group below which the group does not learn from their answers."""
_LAPSE = 0.1
"""Share of answers taken to be random when people are put into groups, so that one slip puts nobody elsewhere."""
_NUM_ROUNDS = 20
_DAMPING = 2.0
"""A policy follows its reward over some ten updates; without damping it and the weights go round each other."""


@dataclass(frozen=True, kw_only=True)
class GroupingConfig:
    """What is done where people honestly want different things: groups are found, and a declared rule decides."""

    rule: Rule = "mean"
    """Whose wish counts: `mean`, each group by its share of people; `least_happy`, who is worst off; `budgeted`, the
    largest group, while no other loses more than `budget`."""
    budget: float = 0.2
    """What any other group may lose under `budgeted`, as a share of what it could have: its best less chance."""
    step: float = 0.2
    """How far weights move at a time under `least_happy` and `budgeted`."""
    max_groups: int = 4
    """The most that are looked for."""
    min_people: int = 3
    """A group of fewer is none, and is never shown."""
    look_every: int = 50
    """New answers after which it is looked again how many groups there are. A new number counts once two looks in a
    row agree on it."""
    turn_share: float = 0.05
    """Share of the run's updates in which, once groups are found, each alone counts in its turn, so that it is known
    what it could have; all turns take at most half of what is left. 0 for none: `u` is then measured in spreads."""

    def __post_init__(self) -> None:
        least = {"max_groups": 2, "min_people": 2, "look_every": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"groups.{name} must be >= {bound}, got {getattr(self, name)}")
        if not 0 <= self.turn_share <= 0.25:
            raise ConfigError(f"groups.turn_share must be between 0 and 0.25, got {self.turn_share}")
        try:
            DecidingConfig(rule=self.rule, budget=self.budget, step=self.step)
        except ConfigError as error:
            raise ConfigError(f"groups.{error}") from error
        if self.rule != "budgeted" and self.budget != GroupingConfig.budget:
            raise ConfigError(f"groups.budget would be ignored by the rule {self.rule}; leave it out, or set budgeted")
        if self.rule == "mean" and self.step != GroupingConfig.step:
            raise ConfigError("groups.step would be ignored: the rule mean moves no weights; leave it out")
        if self.rule == "budgeted" and self.turn_share == 0:
            raise ConfigError(
                "groups.turn_share must be above 0 under the rule budgeted, which goes by what each group could have, "
                "got 0"
            )

    @property
    def deciding(self) -> DecidingConfig:
        """The rule; groups are numbered by size, so that the largest is the one that `budgeted` favours."""
        return DecidingConfig(rule=self.rule, budget=self.budget, step=self.step, damping=_DAMPING)

    @property
    def finding(self) -> GroupsConfig:
        """How groups are looked for."""
        return GroupsConfig(max_groups=self.max_groups, min_people=self.min_people)


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupMargins:
    """How sure every group's reward is of each comparison."""

    value_QG: Floats
    """Log-odds of left, by what did not learn from the answer where anything did not."""
    is_unseen_Q: np.ndarray
    """Whether of every group some member did not learn from the answer."""


def fit_group(
    model: PreferenceModel,
    state: PreferenceModelState,
    everything: Comparisons,
    member_Q: Floats,
    answerers: Answerers,
) -> PreferenceModelState:
    """Fit a group's reward to the answers of who may be in it, going on from the weights it has.

    Args:
        model: of the learned reward.
        state: of the group's.
        everything: all comparisons.
        member_Q: probability of whoever answered each being in the group; their answers weigh by it.
        answerers: how whoever gave each answer gives answers.
    """
    is_in_Q = torch.from_numpy(member_Q > _LEAST_SHARE)
    rows = torch.nonzero(is_in_Q).squeeze(1)
    if (~everything.validation_Q[rows]).any():
        # Who is surely of another group costs the fit nothing, so that all groups together cost about one fit.
        state.comparisons = Comparisons(
            everything.feature_Q2LF[rows],
            everything.outcome_Q[rows],
            everything.weight_MQ[:, rows],
            everything.validation_Q[rows],
        )
        share = torch.from_numpy(member_Q.astype(np.float32))
        weighed = replace(answerers, weight_Q=answerers.weight_Q * share).rows(rows)
        state, _ = model.fit(state, weighed)
    state.comparisons = replace(everything, weight_MQ=everything.weight_MQ * is_in_Q)
    return state


def group_margins(
    model: PreferenceModel,
    states: list[PreferenceModelState],
    everything: Comparisons,
    member_QG: Floats,
    num_fitted: int,
) -> GroupMargins:
    """How sure groups' rewards are of all comparisons, by members that did not learn from the answer.

    Args:
        model: of the learned reward.
        states: of the groups'.
        everything: all comparisons.
        member_QG: as the last fit had it, which tells what each group learned from.
        num_fitted: how many of the comparisons, the first, that fit had.
    """
    value_GQ, unseen_GQ = list[np.ndarray](), list[np.ndarray]()
    for group, state in enumerate(states):
        is_in_Q = torch.from_numpy(member_QG[:, group] > _LEAST_SHARE)
        state.comparisons = replace(everything, weight_MQ=everything.weight_MQ * is_in_Q)
        margins = unseen_margins(model, state, num_fitted)
        value_GQ.append(margins.value_Q)
        unseen_GQ.append(margins.is_unseen_Q)
    return GroupMargins(value_QG=np.stack(value_GQ, 1), is_unseen_Q=np.all(unseen_GQ, axis=0))


def memberships(answers: Answers, margins: GroupMargins, share_G: Floats, told_Q: Floats) -> Floats:
    r"""[P, G] probability of each person being in each group: $\propto \pi_g \prod_n [(1 - \epsilon) P_g(o_n) +
    \epsilon / 2]$, with the groups' shares $\pi$ fitted to it (EM). Who answered little stays near the shares.

    Args:
        answers: the first Q are those of the margins; "equal" and "can't tell" tell nothing.
        margins: of groups' rewards.
        share_G: of people, to begin from.
        told_Q: 1 where an answer still tells of who gave it.
    """
    num = len(margins.value_QG)
    outcome_Q, person_Q = answers.outcome_N[:num], answers.person_N[:num]
    tells_Q = ((outcome_Q == LEFT) | (outcome_Q == RIGHT)) & margins.is_unseen_Q & (told_Q > 0)
    sign_Q = np.where(outcome_Q == LEFT, 1.0, -1.0)
    chosen_QG = np.clip(sign_Q[:, None] * margins.value_QG, -500, 500)
    log_QG = np.log((1 - _LAPSE) / (1 + np.exp(-chosen_QG)) + _LAPSE / 2) * tells_Q[:, None]
    log_PG = np.stack([sums_by(person_Q, column, answers.num_people) for column in log_QG.T], 1)
    member_PG = np.empty_like(log_PG)
    for _ in range(_NUM_ROUNDS):
        joint_PG = log_PG + np.log(share_G)
        member_PG = np.exp(joint_PG - np.logaddexp.reduce(joint_PG, axis=1, keepdims=True))
        share_G = (member_PG.sum(0) + 1) / (answers.num_people + len(share_G))
    return member_PG


def mixed_margins(margins: GroupMargins, member_QG: Floats) -> Margins:
    """How sure each answer is by the rewards of whoever gave it."""
    value_Q = (margins.value_QG * member_QG).sum(1)
    return Margins(value_Q=value_Q, is_unseen_Q=margins.is_unseen_Q, is_fitted=True)


def sample_steps(model: PreferenceModel, rollout: Rollout, size: int) -> Tensor:
    """[K, F]: features of at most `size` steps, evenly over a rollout."""
    feature = model.features(rollout.observation[:-1], rollout.executed, rollout.next_observation).flatten(0, 1)
    return feature[np.linspace(0, len(feature) - 1, min(size, len(feature))).astype(int)]


def mean_reward(model: PreferenceModel, state: PreferenceModelState, feature_KF: Tensor) -> float:
    """Of some steps, in spreads."""
    with torch.no_grad():
        return float(model.of_features(state, feature_KF).double().mean())


def units(chance_G: Floats, best_G: Floats) -> Floats:
    """[G] what one is worth to each group: its best less chance, in spreads of its reward."""
    return np.maximum(best_G - chance_G, _LEAST_UNIT)


def reward_weights(weight_G: Floats, unit_G: Floats) -> Floats:
    """[G] what the reward takes of each group's, for a rule's weights over what groups get; they add up to one."""
    taken_G = weight_G / unit_G
    total = float(taken_G.sum())
    assert math.isfinite(total) and total > 0
    return taken_G / total

"""What the learned reward of a released policy goes by, over the states that it visits.

A linear one is the sum of its weights times its features, each of which counts as five spreads at most: what each
adds is exact then, also where that limit cuts it off.

Shapes: M members, S steps, F features of the reward.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from heeler.core.rundir import Checkpoint
from heeler.envs.observation_names import observation_names
from heeler.loop.config import RunConfig
from heeler.loop.reading import learned_kinds, learned_preferences
from heeler.loop.release_saliency import Saliency, saliency_of
from heeler.loop.release_visits import Visited
from heeler.models.actions import CategoricalHead
from heeler.models.ensemble import EnsembleMLP
from heeler.models.moments import RunningMoments
from heeler.models.policy import Policy
from heeler.models.saliency import linear_shares
from heeler.rewards.scaled import RewardScale
from heeler.rewards.step_features import MOST_SPREADS, StepFeatures, normalized


@dataclass(frozen=True, kw_only=True)
class LearnedReward:
    """A reward learned from answers, of one kind or of every kind, as a checkpoint has it."""

    features: StepFeatures
    network: EnsembleMLP
    moments: RunningMoments
    scale: RewardScale

    def __call__(self, feature_SF: Tensor) -> Tensor:
        """[S] the members' mean of steps given as `features` gives them."""
        raw_MS = self.network(normalized(feature_SF, self.moments))
        return ((raw_MS - self.scale.offset_M[:, None]) * self.scale.scale_M[:, None]).mean(0)


def learned_reward(checkpoint: Checkpoint, config: RunConfig, policy: Policy) -> LearnedReward:
    """The reward of a checkpoint whose policy is `policy`; the run must learn one from answers."""
    if config.kinds is not None:
        model, kinds = learned_kinds(checkpoint, config, policy)
        return LearnedReward(features=model.features, network=kinds.network, moments=kinds.moments, scale=kinds.scale)
    model, state = learned_preferences(checkpoint, config, policy)
    return LearnedReward(features=model.features, network=state.network, moments=state.feature_moments, scale=state)


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What one input adds to a linear reward, beyond what its mean adds."""

    name: str
    share: float
    """Of all mean absolute contributions."""
    low: float
    high: float
    """Between which it was seen."""
    at_low: float
    at_high: float
    """What it adds there."""


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """What a linear reward is made of."""

    inputs: tuple[Contribution, ...]
    """The most important first."""
    num_states: int
    cut_off_share: float
    """Of the steps: those in which a number counted as five spreads although it was further out."""


def reward_saliency(
    checkpoint: Checkpoint, policy: Policy, states: Visited, config: RunConfig
) -> Saliency | Contributions:
    """What the learned reward of a checkpoint goes by; exactly, where its networks are linear."""
    reward = learned_reward(checkpoint, config, policy)
    feature_SF = reward.features(states.observation, states.executed, states.next_observation)
    names = _names(policy, config, reward.features)
    if len(reward.network.weights) == 1:
        return contributions(reward, feature_SF, names)
    return saliency_of([reward], feature_SF, feature_SF.mean(0), names)


@torch.no_grad()
def contributions(reward: LearnedReward, feature_SF: Tensor, names: Sequence[str]) -> Contributions:
    """What each feature adds to a linear reward: they sum up to the reward of a step less that of the mean one.

    Args:
        reward: whose networks have no hidden layer.
        feature_SF: as its `features` gives them.
        names: of the F features.
    """
    weight_F = (reward.network.weights[0][..., 0] * reward.scale.scale_M[:, None]).mean(0)
    mean_F = normalized(feature_SF.mean(0), reward.moments)
    normal_SF = normalized(feature_SF, reward.moments)
    own_SF = linear_shares(weight_F, normal_SF, mean_F)
    share_F = own_SF.abs().mean(0).double()
    share_F /= share_F.sum().clamp_min(1e-300)
    low_F, high_F = feature_SF.amin(0), feature_SF.amax(0)
    ends_2F = linear_shares(weight_F, normalized(torch.stack([low_F, high_F]), reward.moments), mean_F)
    found = [
        Contribution(
            name=name,
            share=float(share_F[i]),
            low=float(low_F[i]),
            high=float(high_F[i]),
            at_low=float(ends_2F[0, i]),
            at_high=float(ends_2F[1, i]),
        )
        for i, name in enumerate(names)
    ]
    return Contributions(
        inputs=tuple(sorted(found, key=lambda one: -one.share)),
        num_states=len(feature_SF),
        cut_off_share=float((normal_SF.abs() >= MOST_SPREADS).any(1).float().mean()),
    )


def _names(policy: Policy, config: RunConfig, features: StepFeatures) -> list[str]:
    """Of the features, in their order."""
    own = observation_names(config.env, policy.observation_size)
    parts = {
        "observation": [own[index] for index in features.columns],
        "action": _action_names(policy),
        "next_observation": [f"{own[index]}, after the step" for index in features.columns],
    }
    return [name for part in features.inputs for name in parts[part]]


def _action_names(policy: Policy) -> Sequence[str]:
    if not isinstance(policy.head, CategoricalHead):
        return [f"action {index}" for index in range(policy.head.action_size)]
    several = len(policy.head.num_choices) > 1
    return [
        f"action {component}: choice {choice}" if several else f"choice {choice}"
        for component, num in enumerate(policy.head.num_choices)
        for choice in range(num)
    ]

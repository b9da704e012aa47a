"""What the learned reward of a released policy goes by, over the states that it visits.

Shapes: M members, S steps, F features of the reward.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from heeler.core.rundir import Checkpoint
from heeler.envs.observation_names import observation_names
from heeler.loop.config import RunConfig
from heeler.loop.reading import learned_kinds, learned_preferences
from heeler.loop.release_saliency import Saliency, Visited, saliency_of
from heeler.models.actions import CategoricalHead
from heeler.models.ensemble import EnsembleMLP
from heeler.models.moments import RunningMoments
from heeler.models.policy import Policy
from heeler.rewards.scaled import RewardScale
from heeler.rewards.step_features import StepFeatures, normalized


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


def reward_saliency(checkpoint: Checkpoint, policy: Policy, states: Visited, config: RunConfig) -> Saliency:
    """What the learned reward of a checkpoint goes by; exact where its networks are linear."""
    reward = learned_reward(checkpoint, config, policy)
    feature_SF = reward.features(states.observation, states.executed, states.next_observation)
    found = saliency_of([reward], feature_SF, feature_SF.mean(0), _names(policy, config, reward.features))
    return replace(found, is_linear=len(reward.network.weights) == 1)


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

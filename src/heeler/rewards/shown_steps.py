"""Steps of demonstrations and of rollouts in the one form in which rewards compare them.

Shapes: B steps, O observation numbers, A action numbers, K action numbers with choices one-hot.
"""

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from heeler.core.demonstrations import Demonstrations
from heeler.core.rollout import Rollout
from heeler.models.actions import CategoricalHead, action_head
from heeler.models.policy import Policy
from heeler.rewards.discriminator import DiscriminatorConfig, DiscriminatorState, StepBatch, fresh_state
from heeler.rewards.step_features import StepInput


class StepSpace:
    """What the steps of a world are made of.

    Args:
        observation_size: O.
        action_space: of one environment.
    """

    def __init__(self, observation_size: int, action_space: gymnasium.Space) -> None:
        head = action_head(action_space)
        self.observation_size, self.action_size = observation_size, head.action_size
        self.num_choices = head.num_choices if isinstance(head, CategoricalHead) else ()
        self.coded_size = sum(self.num_choices) if self.num_choices else head.action_size
        """K."""

    @property
    def is_box(self) -> bool:
        """Whether actions are numbers, not choices."""
        return not self.num_choices

    def fresh_state(self, networks: nn.Module, config: DiscriminatorConfig, seed: int) -> DiscriminatorState:
        """Of a discriminator between steps of this kind."""
        return fresh_state(
            networks,
            config,
            observation_size=self.observation_size,
            action_size=self.coded_size,
            is_box=self.is_box,
            seed=seed,
        )

    @property
    def described(self) -> dict[str, object]:
        """JSON-ready; equal where the same rewards fit."""
        return {
            "observation_size": self.observation_size,
            "action_size": self.action_size,
            "num_choices": list(self.num_choices),
        }

    def columns(self, inputs: tuple[StepInput, ...]) -> list[int]:
        """Which of a step's numbers [X], as networks see it, these inputs are."""
        first = np.cumsum([0, self.observation_size, self.coded_size, self.observation_size])
        order: tuple[StepInput, ...] = ("observation", "action", "next_observation")
        spans = {name: range(a, b) for name, a, b in zip(order, first, first[1:], strict=False)}
        return [column for name in order if name in inputs for column in spans[name]]

    def coded(self, action_BA: np.ndarray) -> Tensor:
        """[B, K]."""
        if self.is_box:
            return torch.from_numpy(np.asarray(action_BA, np.float32))
        parts = [np.eye(n, dtype=np.float32)[action_BA[:, i]] for i, n in enumerate(self.num_choices)]
        return torch.from_numpy(np.concatenate(parts, -1))

    def shown(self, demonstrations: Demonstrations, policy: Policy | None) -> StepBatch:
        """The steps of demonstrations, with how likely `policy` is to make them (0 without one)."""
        steps = demonstrations.steps
        return self._batch(steps.observation, steps.action, steps.next_observation, steps.terminated, policy)

    def acted(self, rollout: Rollout, policy: Policy | None) -> StepBatch:
        """The steps of a rollout, by the actions that were executed; at an episode's end with its last observation."""
        parts = (rollout.observation[:-1], rollout.executed, rollout.next_observation)
        observation, action, following = (array.reshape(-1, array.shape[-1]) for array in parts)
        return self._batch(observation, action, following, rollout.terminated.ravel(), policy)

    def _batch(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        following: np.ndarray,
        terminated: np.ndarray,
        policy: Policy | None,
    ) -> StepBatch:
        observation_BO, action_BA = torch.from_numpy(observation), torch.from_numpy(action)
        likely = torch.zeros(len(terminated)) if policy is None else log_prob(policy, observation_BO, action_BA)
        ends = torch.from_numpy(terminated.astype(np.float32))
        return StepBatch(observation_BO, self.coded(action), torch.from_numpy(following), ends, likely)


@torch.no_grad()
def log_prob(policy: Policy, observation_BO: Tensor, action_BA: Tensor) -> Tensor:
    """[B]: how likely a policy is to do this, observations as the world gives them."""
    device = policy.shift.device
    output_BL = policy.actor(policy.normalize(observation_BO.to(device)))
    return policy.head.log_prob_entropy(output_BL, policy.log_std, action_BA.to(device))[0].cpu()

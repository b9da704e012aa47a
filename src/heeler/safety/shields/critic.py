"""A critic of costs: what an action is expected to come to, learned from the run's own rollouts.

As in Srinivasan et al. 2020 (arXiv 2010.14603) it is learned from what is done, the shield's own doings among it, by
temporal differences; beside the paper: lambda-returns, and several members of which the most worried counts.
Shapes: T steps, N environments, B samples, M members, O observation numbers, A action numbers, F features.
"""

from collections.abc import Mapping

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.core.rollout import Rollout
from heeler.envs import World
from heeler.models.actions import CategoricalHead, action_head
from heeler.models.ensemble import EnsembleMLP
from heeler.models.flat import FlatParameters
from heeler.models.moments import RunningMoments
from heeler.models.optimizers import Adam
from heeler.models.policy import Policy
from heeler.ops.policy_gradient import explained_variance
from heeler.ops.returns import gae
from heeler.safety.shields.check import cost_columns
from heeler.safety.shields.config import CriticConfig


class SafetyCritic:
    """Networks of observation and action, and all that learning them needs.

    Args:
        config: what is predicted, and how it is learned.
        world: one of those that are shielded.

    Raises:
        ConfigError: the world has no such cost.
    """

    def __init__(self, config: CriticConfig, world: World) -> None:
        self.config = config
        self._columns = cost_columns("shield.critic", config.costs, world)
        self._space, head = world.single_action_space, action_head(world.single_action_space)
        self._num_choices = head.num_choices if isinstance(head, CategoricalHead) else ()
        num_features = world.observation_size + (sum(self._num_choices) or head.action_size)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.networks = EnsembleMLP(config.num_members, num_features, config.hidden_sizes, "tanh")
        self._parameters = FlatParameters(self.networks)
        self._optimizer = Adam(self._parameters.flat, learning_rate=config.learning_rate)
        self._moments = RunningMoments(world.observation_size)
        self._generator = torch.Generator().manual_seed(0)
        self.num_updates = 0

    @property
    def has_a_say(self) -> bool:
        """Whether it has learned for as long as it was to before it refuses anything."""
        return self.num_updates >= self.config.num_warmup_updates

    @torch.no_grad()
    def danger(self, observation_BO: np.ndarray, action_BA: np.ndarray) -> np.ndarray:
        """[B] what the most worried member expects of each action; of probabilities within 0 and 1."""
        expected_B = self._expected(observation_BO, action_BA).amax(0)
        return expected_B.clamp(0, 1 if self.config.predicts == "probability" else None).double().numpy()

    def _expected(self, observation_BO: np.ndarray, action_BA: np.ndarray) -> Tensor:
        return self.networks(self._features(observation_BO, action_BA))

    def _features(self, observation_BO: np.ndarray, action_BA: np.ndarray) -> Tensor:
        """[B, F]: observations in units of their spread, and actions in units of their bounds, or one-hot."""
        shift_O, scale_O = self._moments.mean, torch.rsqrt(self._moments.variance + 1e-8)
        seen_BO = ((torch.from_numpy(observation_BO) - shift_O) * scale_O).clamp(-10, 10).float()
        if self._num_choices:
            parts = [
                torch.nn.functional.one_hot(torch.from_numpy(action_BA[:, index]), count)
                for index, count in enumerate(self._num_choices)
            ]
            return torch.cat([seen_BO, *parts], 1)
        assert isinstance(self._space, Box)
        half_A = (self._space.high - self._space.low) / 2
        half_A = np.where(np.isfinite(half_A) & (half_A > 0), half_A, 1).astype(np.float32)
        return torch.cat([seen_BO, torch.from_numpy(np.float32(action_BA / half_A))], 1)

    def learn(self, rollout: Rollout, policy: Policy) -> dict[str, float]:
        """Take in a rollout.

        Args:
            rollout: with the actions that were executed.
            policy: that acted in it; says what follows a rollout's last step, and where an episode is cut.

        Returns:
            Its loss, its mean expectation, and how much of what came it had explained.
        """
        T, N = rollout.log_prob.shape
        observation_BO, action_BA = rollout.observation[:-1].reshape(T * N, -1), rollout.executed.reshape(T * N, -1)
        self._moments.update(torch.from_numpy(observation_BO))
        target_MB, before_MB = self._targets(rollout, policy)
        feature_BF = self._features(observation_BO, action_BA)
        losses: list[Tensor] = []
        for _ in range(self.config.num_epochs):
            order = torch.randperm(T * N, generator=self._generator)
            losses += [
                self._step(feature_BF[rows], target_MB[:, rows]) for rows in order.split(self.config.minibatch_size)
            ]
        self.num_updates += 1
        return {
            "shield_critic_loss": float(torch.stack(losses).mean()),
            "shield_critic_mean": float(before_MB.mean()),
            "shield_critic_explained_variance": explained_variance(before_MB.flatten(), target_MB.flatten()),
        }

    def _step(self, feature_BF: Tensor, target_MB: Tensor) -> Tensor:
        self._parameters.zero_grad()
        loss = 0.5 * (self.networks(feature_BF) - target_MB).square().mean(1).sum()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def _targets(self, rollout: Rollout, policy: Policy) -> tuple[Tensor, Tensor]:
        """[M, B] what is to be expected of each action that was executed, and [M, B] what is expected now."""
        T, N = rollout.log_prob.shape
        is_probability = self.config.predicts == "probability"
        cost_TN = torch.from_numpy(rollout.cost[..., self._columns].sum(-1)).float()
        terminated_TN = torch.from_numpy(rollout.terminated)
        if is_probability:
            # What comes after the first cost does not matter to whether there is one.
            terminated_TN = terminated_TN | (cost_TN > 0)
            cost_TN = (cost_TN > 0).float()
        following, next_action = rollout.next_observation, self._next_actions(rollout, policy)
        expected_MTN, next_MTN = (
            self._expected(seen.reshape(T * N, -1), action.reshape(T * N, -1)).view(-1, T, N)
            for seen, action in ((rollout.observation[:-1], rollout.executed), (following, next_action))
        )
        truncated_TN = torch.from_numpy(rollout.truncated)
        targets = [
            expected_TN
            + gae(
                cost_TN,
                expected_TN,
                next_TN.clamp(min=0),
                terminated_TN,
                truncated_TN,
                discount=self.config.discount,
                trace_decay=self.config.trace_decay,
            )
            for expected_TN, next_TN in zip(expected_MTN, next_MTN, strict=True)
        ]
        target_MTN = torch.stack(targets).clamp(0, 1 if is_probability else None)
        return target_MTN.flatten(1), expected_MTN.flatten(1)

    def _next_actions(self, rollout: Rollout, policy: Policy) -> np.ndarray:
        """[T, N, A] what was done next; where nothing was any more, the policy's likeliest action."""
        following = np.concatenate([rollout.executed[1:], rollout.executed[-1:]])
        unseen = rollout.ended.copy()
        unseen[-1] = True
        guessed = policy.act(rollout.next_observation[unseen], None).cpu().numpy()
        following[unseen] = policy.within_bounds(guessed)
        return following

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        tensors = {f"optimizer.{name}": tensor for name, tensor in self._optimizer.tensors().items()}
        tensors |= {f"moments.{name}": tensor for name, tensor in self._moments.tensors().items()}
        tensors["networks"] = self._parameters.flat.detach()
        return tensors | {"num_updates": torch.tensor(self.num_updates), "generator": self._generator.get_state()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` returned, bit for bit.

        Raises:
            ConfigError: there is nothing, or it is of networks of another shape.
        """
        if "networks" not in tensors:
            raise ConfigError(
                "shield.critic has learned nothing in this run: it can be switched on only where the run was trained "
                "with one; shield.critic.threshold=inf trains one that only watches"
            )
        if tensors["networks"].shape != self._parameters.flat.shape:
            raise ConfigError("shield.critic has another shape than the one that the run was trained with")
        with torch.no_grad():
            self._parameters.flat.copy_(tensors["networks"])
        self._optimizer.load_tensors(under("optimizer.", tensors))
        self._moments.load_tensors(under("moments.", tensors))
        self._generator.set_state(tensors["generator"])
        self.num_updates = int(tensors["num_updates"])

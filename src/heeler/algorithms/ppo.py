"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347), for true and for learned rewards alike.

Left out of the paper: the adaptive KL penalty. Added: observation and reward normalisation, KL early stop.
Shapes: T steps, N environments, B samples, O observation numbers, A action numbers, C costs (none here).
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.core.rollout import Rollout
from heeler.models.flat import FlatParameters
from heeler.models.moments import RunningMoments
from heeler.models.optimizers import Adam
from heeler.models.policy import Policy, PolicyConfig
from heeler.ops.policy_gradient import approximate_kl, clipped_surrogate_loss, explained_variance
from heeler.ops.returns import discounted_sums, gae


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Settings of PPO; the defaults suit batched MuJoCo."""

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """Shape of the networks."""
    discount: float = 0.99
    """Gamma: what a reward is worth one step later."""
    trace_decay: float = 0.95
    """Lambda of generalised advantage estimation."""
    learning_rate: float = 3e-4
    """Adam's step at the start."""
    final_learning_rate_share: float = 0.0
    """Share of `learning_rate` left at the last step; annealed linearly. 1 keeps it constant."""
    clip: float = 0.2
    """Largest useful change of an action's probability ratio in one update."""
    anneal_clip: bool = False
    """Whether `clip` falls linearly like the learning rate."""
    value_coefficient: float = 0.5
    """Weight of the value loss."""
    entropy_coefficient: float = 0.0
    """Weight of the entropy bonus."""
    num_epochs: int = 10
    """Passes over each rollout."""
    minibatch_size: int = 2048
    """Samples in one gradient step."""
    max_gradient_norm: float = 0.5
    """Gradients longer than this are shortened to it."""
    target_kl: float | None = 0.03
    """An update stops after the epoch at whose end KL(old || new) is above this; None never stops it."""
    normalize_rewards: bool = True
    """Whether rewards are divided by the running spread of discounted returns."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where learning happens."""

    def __post_init__(self) -> None:
        for name in ("discount", "trace_decay", "final_learning_rate_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        for name in ("learning_rate", "clip", "num_epochs", "minibatch_size", "max_gradient_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("value_coefficient", "entropy_coefficient"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be >= 0 and finite, got {getattr(self, name)}")
        if self.target_kl is not None and not self.target_kl > 0:
            raise ConfigError(f"target_kl must be > 0, or None for no early stop, got {self.target_kl}")


@dataclass
class PPOState:
    """All that learning changes."""

    policy: Policy
    parameters: FlatParameters
    optimizer: Adam
    return_moments: RunningMoments
    """Of running discounted sums of reward, one number."""
    running_return_N: Tensor
    """[N] discounted sum so far in each environment."""
    generator: torch.Generator
    """Shuffles minibatches."""
    num_updates: int = 0
    pace: float = 1.0
    """Share of its learning rate, clip and KL that an update may use at present; less where learning is slowed. What
    slows it keeps it too: it is no part of what checkpoints hold of a learner."""


class Samples(NamedTuple):
    """A rollout, or a minibatch of it, as the gradient steps see it."""

    observation_BO: Tensor
    action_BA: Tensor
    log_prob_B: Tensor
    advantage_B: Tensor
    target_B: Tensor
    cost_advantage_BC: Tensor
    """For learners that are held within budgets; in units of each cost's spread."""
    cost_target_BC: Tensor
    acted_BL: Tensor
    """What the policy that acted gave, for learners that compare whole distributions; else [B, 0]."""
    allowed_BL: Tensor
    """The choices that a mask left the policy that acted, and leaves the one that learns; [B, 0] where all were."""


class Seen(NamedTuple):
    """A rollout as the values look at it."""

    observation_TNO: Tensor
    """Normalised, T + 1 of them."""
    final_EO: Tensor
    """Normalised, those that ended an episode."""
    final_index: np.ndarray
    terminated_TN: Tensor
    truncated_TN: Tensor


class LossParts(NamedTuple):
    """What one gradient step saw, without its graph."""

    policy_loss: Tensor
    value_loss: Tensor
    entropy: Tensor
    log_prob_B: Tensor
    gradient_norm: Tensor
    """Before it was shortened."""


def advantages(
    reward_TN: Tensor, value_TN: Tensor, final_value_E: Tensor, seen: Seen, *, discount: float, trace_decay: float
) -> Tensor:
    """[T, N] advantages of what was done.

    Args:
        reward_TN: what is summed: a reward or a cost.
        value_TN: [T + 1, N] values of the observations, those of resets among them.
        final_value_E: values of the observations that ended an episode.
        seen: where episodes ended, and how.
        discount: gamma.
        trace_decay: lambda.
    """
    next_value_TN = value_TN[1:].clone()
    next_value_TN[tuple(seen.final_index.T)] = final_value_E
    return gae(
        reward_TN,
        value_TN[:-1],
        next_value_TN,
        seen.terminated_TN,
        seen.truncated_TN,
        discount=discount,
        trace_decay=trace_decay,
    )


class PPO:
    """The learner. `init` makes a state, `update` takes a state and a rollout and returns the next state.

    Args:
        config: settings.
        observation_size: O.
        action_space: of one environment.
    """

    def __init__(self, config: PPOConfig, observation_size: int, action_space: gymnasium.Space) -> None:
        self.config = config
        self.observation_size = observation_size
        self.action_space = action_space
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="value")

    def init(self, seed: int, num_envs: int) -> PPOState:
        """A fresh policy on the configured device; the same seed gives the same weights.

        Raises:
            ConfigError: there is no such device.
        """
        if self.config.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("algorithm.device is cuda, but torch sees no CUDA device here; set it to cpu")
        policy = self.fresh_policy(seed).to(self.config.device)
        parameters = FlatParameters(policy)
        optimizer = Adam(parameters.flat, learning_rate=self.config.learning_rate, epsilon=1e-5)
        generator = torch.Generator().manual_seed(seed)
        return PPOState(policy, parameters, optimizer, RunningMoments(1), torch.zeros(num_envs), generator)

    def fresh_policy(self, seed: int) -> Policy:
        """The policy that `init` begins with, on the CPU."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Policy(self.config.policy, self.observation_size, self.action_space)

    def tensors(self, state: PPOState) -> dict[str, Tensor]:
        """What a checkpoint keeps; the policy's own stand under `policy.`."""
        tensors = {f"policy.{name}": tensor for name, tensor in state.policy.tensors().items()}
        tensors |= {f"returns.{name}": tensor for name, tensor in state.return_moments.tensors().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.tensors().items()}
        counts = {"running_return": state.running_return_N, "num_updates": torch.tensor(state.num_updates)}
        return tensors | counts | {"generator": state.generator.get_state()}

    def load_tensors(self, state: PPOState, tensors: dict[str, Tensor]) -> PPOState:
        """Go on from what `tensors` returned, bit for bit."""
        parts = {"policy.": state.policy, "returns.": state.return_moments, "optimizer.": state.optimizer}
        for prefix, part in parts.items():
            part.load_tensors(under(prefix, tensors))
        state.running_return_N = tensors["running_return"]
        state.num_updates = int(tensors["num_updates"])
        state.generator.set_state(tensors["generator"])
        return state

    def update(
        self, state: PPOState, rollout: Rollout, reward: np.ndarray, *, progress: float
    ) -> tuple[PPOState, dict[str, float]]:
        """One round of learning; the state's networks are changed in place.

        Args:
            state: from `init` or the last `update`.
            rollout: made by this state's policy.
            reward: [T, N] what to maximise: true or learned.
            progress: share of the training that is over, 0 to 1, for annealing.

        Returns:
            The state, and what there is to know about the update.
        """
        samples, explained = self._prepare(state, rollout, reward)
        left = 1 - progress
        share = self.config.final_learning_rate_share + (1 - self.config.final_learning_rate_share) * left
        share *= state.pace
        state.optimizer.learning_rate = self.config.learning_rate * share
        metrics = self._optimize(
            state, samples, self.config.clip * state.pace * (left if self.config.anneal_clip else 1.0)
        )
        if self.config.policy.normalize_observations:
            # After learning, so that acting and learning saw the same normalisation and the first ratio is 1.
            state.policy.learn_observations(torch.from_numpy(rollout.observation[:-1]).flatten(0, 1))
        state.policy.quieten(progress)
        state.num_updates += 1
        metrics["explained_variance"] = explained
        metrics["learning_rate"] = self.config.learning_rate * share
        return state, metrics

    @torch.no_grad()
    def _prepare(self, state: PPOState, rollout: Rollout, reward: np.ndarray) -> tuple[Samples, float]:
        """What the gradient steps learn from, and how much of the returns the values had explained."""
        policy, device = state.policy, self.config.device
        seen = self._see(policy, rollout)
        value_TN = policy.value(seen.observation_TNO)
        advantage_TN = advantages(
            self._scaled_reward(state, rollout, reward).to(device),
            value_TN,
            policy.value(seen.final_EO),
            seen,
            discount=self.config.discount,
            trace_decay=self.config.trace_decay,
        )
        target_TN = advantage_TN + value_TN[:-1]
        # Normalised over the whole rollout: each minibatch then pulls as strongly as it should.
        advantage_TN = (advantage_TN - advantage_TN.mean()) / (advantage_TN.std() + 1e-8)
        cost_advantage_TNC, cost_target_TNC = self._cost_advantages(state, rollout, seen)
        samples = Samples(
            observation_BO=seen.observation_TNO[:-1].flatten(0, 1),
            action_BA=torch.from_numpy(rollout.learned_action).to(device).flatten(0, 1),
            log_prob_B=torch.from_numpy(rollout.log_prob).to(device).flatten(),
            advantage_B=advantage_TN.flatten(),
            target_B=target_TN.flatten(),
            cost_advantage_BC=cost_advantage_TNC.flatten(0, 1),
            cost_target_BC=cost_target_TNC.flatten(0, 1),
            acted_BL=torch.zeros((rollout.action[..., 0].size, 0), device=device),
            allowed_BL=self._allowed(rollout),
        )
        return samples, explained_variance(value_TN[:-1].flatten(), samples.target_B)

    def _see(self, policy: Policy, rollout: Rollout) -> Seen:
        device = self.config.device
        return Seen(
            observation_TNO=policy.normalize(torch.from_numpy(rollout.observation).to(device)),
            final_EO=policy.normalize(torch.from_numpy(rollout.final_observation).to(device)),
            final_index=rollout.final_index,
            terminated_TN=torch.from_numpy(rollout.terminated).to(device),
            truncated_TN=torch.from_numpy(rollout.truncated).to(device),
        )

    def _allowed(self, rollout: Rollout) -> Tensor:
        """[B, L] booleans, or [B, 0]."""
        if rollout.allowed is None:
            return torch.zeros((rollout.log_prob.size, 0), dtype=torch.bool, device=self.config.device)
        return torch.from_numpy(rollout.allowed).to(self.config.device).flatten(0, 1)

    def _cost_advantages(self, state: PPOState, rollout: Rollout, seen: Seen) -> tuple[Tensor, Tensor]:
        """[T, N, C] advantages and targets of the costs that learning is held within; none here."""
        none_TNC = torch.zeros((*rollout.true_reward.shape, 0), device=self.config.device)
        return none_TNC, none_TNC

    def _scaled_reward(self, state: PPOState, rollout: Rollout, reward: np.ndarray) -> Tensor:
        reward_TN = torch.from_numpy(np.asarray(reward, np.float32))
        if not self.config.normalize_rewards:
            return reward_TN
        sum_TN, state.running_return_N = discounted_sums(
            reward_TN, torch.from_numpy(rollout.ended), state.running_return_N, discount=self.config.discount
        )
        state.return_moments.update(sum_TN.reshape(-1, 1))
        return (reward_TN / math.sqrt(state.return_moments.variance.item() + 1e-8)).clamp_(-10, 10)

    def _optimize(self, state: PPOState, samples: Samples, clip: float) -> dict[str, float]:
        size, config = len(samples.log_prob_B), self.config
        parts: list[LossParts] = []
        num_epochs, kl = 0, 0.0
        while num_epochs < config.num_epochs:
            num_epochs += 1
            order = torch.randperm(size, generator=state.generator).to(config.device)
            # One gather an epoch; minibatches are then views.
            shuffled = Samples._make(tensor.index_select(0, order) for tensor in samples)
            splits = (tensor.split(config.minibatch_size) for tensor in shuffled)
            minibatches = [Samples._make(rows) for rows in zip(*splits, strict=True)]
            if len(minibatches) > 1 and 2 * len(minibatches[-1].log_prob_B) < config.minibatch_size:
                # A small remainder would make a step as long as a whole minibatch's, but noisier.
                minibatches.pop()
            epoch = [self._step(state, minibatch, clip) for minibatch in minibatches]
            parts += epoch
            if config.target_kl is None:
                # Nothing hangs on it: what the steps saw before they were taken costs no pass over the rollout.
                log_prob_B = torch.cat([part.log_prob_B for part in epoch])
                kl = float(approximate_kl(log_prob_B, shuffled.log_prob_B[: len(log_prob_B)]))
                continue
            kl = self._kl(state.policy, samples)
            if self._ends_update(kl, state.pace):
                break
        return {
            "policy_loss": float(torch.stack([part.policy_loss for part in parts]).mean()),
            "value_loss": float(torch.stack([part.value_loss for part in parts]).mean()),
            "entropy": float(torch.stack([part.entropy for part in parts]).mean()),
            "kl": kl,
            "num_epochs": num_epochs,
            "gradient_norm": float(torch.stack([part.gradient_norm for part in parts]).mean()),
        }

    def _ends_update(self, kl: float, pace: float) -> bool:
        """Whether the policy is so far from the one that acted that no further epoch is to follow."""
        return self.config.target_kl is not None and kl > self.config.target_kl * pace

    @torch.no_grad()
    def _kl(self, policy: Policy, samples: Samples) -> float:
        """KL(old || new) on the rollout, with the policy as it is now."""
        output_BL = policy.output(samples.observation_BO, samples.allowed_BL)
        log_prob_B, _ = policy.head.log_prob_entropy(output_BL, policy.log_std, samples.action_BA)
        return float(approximate_kl(log_prob_B, samples.log_prob_B))

    def _step(self, state: PPOState, batch: Samples, clip: float) -> LossParts:
        """One gradient step; returns what the losses were made of."""
        state.parameters.zero_grad()
        # The two networks share no weight: differentiated side by side they get the gradient that one loss would give.
        valued = self._beside.submit(self._differentiate_value, state.policy, batch)
        loss, policy_loss, entropy, log_prob_B = self.policy_loss(state.policy, batch, clip)
        loss.backward()
        value_loss = valued.result()
        norm = state.parameters.clip_grad_norm(self.config.max_gradient_norm)
        state.optimizer.step()
        return LossParts(policy_loss.detach(), value_loss, entropy.detach(), log_prob_B.detach(), norm)

    def policy_loss(self, policy: Policy, batch: Samples, clip: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What a gradient step on the policy makes smaller; and its clipped surrogate, its entropy, [B] log-probs."""
        log_prob_B, entropy = policy.head.log_prob_entropy(
            policy.output(batch.observation_BO, batch.allowed_BL), policy.log_std, batch.action_BA
        )
        surrogate = clipped_surrogate_loss(log_prob_B, batch.log_prob_B, batch.advantage_B, clip=clip)
        bonus = self.config.entropy_coefficient
        return surrogate - bonus * entropy if bonus else surrogate, surrogate, entropy, log_prob_B

    def _differentiate_value(self, policy: Policy, batch: Samples) -> Tensor:
        """Add the value network's gradient; returns its loss."""
        loss = 0.5 * nn.functional.mse_loss(policy.value(batch.observation_BO), batch.target_B)
        (self.config.value_coefficient * loss).backward()
        return loss.detach()

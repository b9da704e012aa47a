"""Constrained policy optimisation (Achiam et al. 2017, arXiv 1705.10528): trust-region steps within the budgets.

One step of the policy a rollout, exact for the linear costs and the quadratic KL, then shortened until the policy's own
KL and surrogates agree. Beside the paper: several costs at once. The critics learn as in PPO.
Shapes: B samples, C costs, P parameters of the policy.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from heeler.algorithms.constrained import ConstrainedPPO, ConstrainedState
from heeler.algorithms.ppo import LossParts, PPOState, Samples
from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.models.policy import Policy
from heeler.ops.trust_region import conjugate_gradient, constrained_step


@dataclass(frozen=True, kw_only=True)
class CPOConfig:
    """Settings beside those of PPO, of which `clip`, `anneal_clip` and `target_kl` have no part in it."""

    max_kl: float = 0.01
    """Delta: KL of one update."""
    damping: float = 0.1
    """Added to the Hessian of the KL, so that directions that no sample spoke of are not followed far."""
    num_conjugate_iterations: int = 10
    """Of conjugate gradients, for each vector that the Hessian is divided into."""
    num_shortenings: int = 12
    """How often a step is shortened at most before it is given up."""
    shortening: float = 0.8
    """What is left of a step each time."""

    def __post_init__(self) -> None:
        if not 0 < self.max_kl < math.inf:
            raise ConfigError(f"cpo.max_kl must be > 0 and finite, got {self.max_kl}")
        if not 0 <= self.damping < math.inf:
            raise ConfigError(f"cpo.damping must be >= 0 and finite, got {self.damping}")
        if not 0 < self.shortening < 1:
            raise ConfigError(f"cpo.shortening must be above 0 and below 1, got {self.shortening}")
        for name in ("num_conjugate_iterations", "num_shortenings"):
            if getattr(self, name) < 1:
                raise ConfigError(f"cpo.{name} must be >= 1, got {getattr(self, name)}")


class CPO(ConstrainedPPO[CPOConfig]):
    """The learner."""

    @torch.no_grad()
    def _prepare(self, state: PPOState, rollout: Rollout, reward: np.ndarray) -> tuple[Samples, float]:
        samples, explained = super()._prepare(state, rollout, reward)
        return samples._replace(acted_BL=state.policy.output(samples.observation_BO, samples.allowed_BL)), explained

    def _optimize(self, state: PPOState, samples: Samples, clip: float) -> dict[str, float]:
        assert isinstance(state, ConstrainedState)
        moved = self._move_policy(state, samples)
        return super()._optimize(state, samples, clip) | moved

    def _move_policy(self, state: ConstrainedState, samples: Samples) -> dict[str, float]:
        """The one step of the policy; leaves it where it was if no shortening will do."""
        policy = state.policy
        parameters = [*policy.actor.parameters(), policy.log_std]
        if not policy.log_std.numel():
            parameters.pop()
        acted_log_std = policy.log_std.detach().clone()

        def divergence() -> Tensor:
            output_BL = policy.output(samples.observation_BO, samples.allowed_BL)
            return policy.head.kl(output_BL, policy.log_std, samples.acted_BL, acted_log_std).mean()

        slope_P = _flat(torch.autograd.grad(divergence(), parameters, create_graph=True))

        def hessian_product(vector_P: Tensor) -> Tensor:
            image = torch.autograd.grad(slope_P.dot(vector_P), parameters, retain_graph=True)
            return _flat(image) + self.own.damping * vector_P

        def divided(vector_P: Tensor) -> Tensor:
            return conjugate_gradient(hessian_product, vector_P, num_iterations=self.own.num_conjugate_iterations)

        before = self._surrogates(policy, samples)
        gradients = [_flat(torch.autograd.grad(one, parameters, retain_graph=True)).detach() for one in before]
        solved = [divided(gradient_P) for gradient_P in gradients]
        product = torch.stack(gradients) @ torch.stack(solved).T
        excess_C = self.excess(state).double().cpu().numpy()
        table = product.double().cpu().numpy()
        step = constrained_step(
            table[0, 0],
            (table[1:, 0] + table[0, 1:]) / 2,
            (table[1:, 1:] + table[1:, 1:].T) / 2,
            excess_C,
            self.own.max_kl * state.pace,
        )
        weights = torch.tensor([step.along_gradient, *step.along_costs], dtype=torch.float32)
        direction_P = weights.to(self.config.device) @ torch.stack(solved)
        share, kl = self._line_search(
            policy, parameters, samples, direction_P, before.detach(), excess_C, divergence, state.pace
        )
        return {
            "step_share": share,
            "step_kl": kl,
            "step_recovers": float(step.case == "recovery"),
        }

    @torch.no_grad()
    def _line_search(
        self,
        policy: Policy,
        parameters: Sequence[nn.Parameter],
        samples: Samples,
        direction_P: Tensor,
        before: Tensor,
        excess_C: np.ndarray,
        divergence: Callable[[], Tensor],
        pace: float,
    ) -> tuple[float, float]:
        """Shorten the step until it is a good one; returns the share that was taken and the KL, 0 where none is."""
        start_P = _flat(parameters).clone()
        excess = torch.from_numpy(excess_C).to(before)
        is_above_C = excess > 0
        share = 1.0
        for _ in range(self.own.num_shortenings):
            _set(parameters, start_P + share * direction_P)
            gained = self._surrogates(policy, samples) - before
            kl = float(divergence())
            # Above a budget, coming nearer to it is what counts: the reward may have to fall for that.
            is_better = bool(is_above_C.any()) or bool(gained[0] >= 0)
            reached_C = (excess + gained[1:]).relu()
            is_kept = bool(reached_C.norm() <= excess.relu().norm()) and not bool(reached_C[~is_above_C].any())
            if kl <= self.own.max_kl * pace and is_better and is_kept:
                return share, kl
            share *= self.own.shortening
        _set(parameters, start_P)
        return 0.0, 0.0

    def _surrogates(self, policy: Policy, samples: Samples) -> Tensor:
        """[1 + C]: what the policy would gain, its entropy's bonus included, and what each cost would rise by."""
        log_prob_B, entropy = policy.head.log_prob_entropy(
            policy.output(samples.observation_BO, samples.allowed_BL), policy.log_std, samples.action_BA
        )
        ratio_B = torch.exp(log_prob_B - samples.log_prob_B)
        gain = (ratio_B * samples.advantage_B).mean() + self.config.entropy_coefficient * entropy
        return torch.stack([gain, *(ratio_B[:, None] * samples.cost_advantage_BC).mean(0)])

    def _ends_update(self, kl: float, pace: float) -> bool:
        """Never: the policy's step kept to a KL of its own, and what follows is the critics'."""
        return False

    def _step(self, state: PPOState, batch: Samples, clip: float) -> LossParts:
        """One gradient step of the critics; the policy has moved by then."""
        assert isinstance(state, ConstrainedState)
        self._learn_costs(state, batch)
        state.parameters.zero_grad()
        value_loss = self._differentiate_value(state.policy, batch)
        norm = state.parameters.clip_grad_norm(self.config.max_gradient_norm)
        state.optimizer.step()
        with torch.no_grad():
            _, surrogate, entropy, log_prob_B = self.policy_loss(state.policy, batch, clip)
        return LossParts(surrogate, value_loss, entropy, log_prob_B, norm)


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def _set(parameters: Sequence[nn.Parameter], values_P: Tensor) -> None:
    start = 0
    for parameter in parameters:
        parameter.copy_(values_P[start : start + parameter.numel()].view_as(parameter))
        start += parameter.numel()

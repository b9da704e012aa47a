"""COACH (MacGlashan et al. 2017, arXiv 1701.06049): what people say is how much better an action is than the policy.

It takes the place of the advantage in a policy gradient, and eligibility traces carry it to what came before. Beside
the paper, in which a delay is a number of steps, the trace is as late as the credit of the steps says; and a trace's
gradients are of the policy as it is now, divided by the probability with which it acted then (`ratio_limit`), as in
Deep COACH. Where nothing was learned meanwhile the ratio is 1, and the update is the paper's. As in `tamer`, weights
may be averaged for what is done where nobody watches.
Shapes: B observations, O observation numbers, A action numbers, F features, L policy outputs, M signals, K steps.
"""

import math
from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch
from torch import Tensor

from heeler.algorithms.evaluative import Choice, Metrics, SignalBatch, as_batch, flat_box
from heeler.algorithms.tamer import averaged
from heeler.core.errors import ConfigError
from heeler.core.signals import CreditedSignal
from heeler.models.actions import ActionHead, CategoricalHead, action_head
from heeler.models.bases import Basis, BasisConfig
from heeler.ops.credit import trace_weights

_FADED = 0.01
"""A trace that is this faint is let go of."""


@dataclass(frozen=True, kw_only=True)
class COACHConfig:
    """Settings of COACH."""

    basis: BasisConfig = field(default_factory=BasisConfig)
    """In what the policy's outputs are linear."""
    step_size: float = 0.5
    """Of the policy gradient, for one signal."""
    trace_decay: float = 0.95
    """Lambda: what a signal about a step gives the step before it. 0 for people who judge single steps."""
    ratio_limit: float = 2.0
    """The most that a step counts which the policy would take more often now than when it took it."""
    log_std: float = -0.5
    """Logarithm of the spread of Box actions, which stays as it is."""
    num_averaged: int = 1
    """How many of the newest weights, about, are averaged for what is done where nobody watches; 1 for the last."""

    def __post_init__(self) -> None:
        if self.num_averaged < 1:
            raise ConfigError(f"num_averaged must be >= 1, got {self.num_averaged}")
        if not 0 < self.step_size < math.inf:
            raise ConfigError(f"step_size must be > 0 and finite, got {self.step_size}")
        check_policy_settings(self.trace_decay, self.ratio_limit, self.log_std)


def check_policy_settings(trace_decay: float, ratio_limit: float, log_std: float) -> None:
    """Refuse settings that COACH in either form cannot use.

    Raises:
        ConfigError: naming the first.
    """
    if not 0 <= trace_decay < 1:
        raise ConfigError(f"trace_decay must be at least 0 and below 1, got {trace_decay}")
    if not ratio_limit >= 1:
        raise ConfigError(f"ratio_limit must be >= 1, got {ratio_limit}")
    if not math.isfinite(log_std):
        raise ConfigError(f"log_std must be finite, got {log_std}")


@dataclass(frozen=True, kw_only=True)
class COACHState:
    """All that learning changes."""

    weight_LF: Tensor
    """The policy's outputs are its product with the features."""
    mean_LF: Tensor
    """Of the newest weights."""
    num_signals: int = 0


class COACH:
    """The learner.

    Args:
        config: settings.
        observation_space: of one environment.
        action_space: of one environment.

    Raises:
        ConfigError: the basis does not fit, or a spread is set for actions that have none.
        WorldError: no policy can take such actions.
    """

    def __init__(self, config: COACHConfig, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> None:
        self.config = config
        self.head = head_of(action_space, config.log_std, COACHConfig.log_std)
        self.log_std_A = torch.full((self.head.num_log_std,), config.log_std)
        self.basis = Basis(config.basis, flat_box(observation_space))
        self.num_trace_steps = num_trace_steps(config.trace_decay)

    def init(self, seed: int) -> COACHState:
        """A policy that takes every choice alike; the seed is not needed."""
        nothing_LF = torch.zeros(self.head.num_outputs, self.basis.size)
        return COACHState(weight_LF=nothing_LF, mean_LF=nothing_LF)

    def output(self, weight_LF: Tensor, observation_BO: Tensor) -> Tensor:
        """[..., L] of [..., O]: what the head makes actions of."""
        return self.basis(observation_BO) @ weight_LF.T

    def choose(self, state: COACHState, observation_O: np.ndarray, generator: torch.Generator) -> Choice:
        """An action drawn from the policy."""
        output_1L = self.output(state.weight_LF, torch.from_numpy(observation_O[None]))
        return drawn(self.head, output_1L, self.log_std_A, generator)

    def best(self, state: COACHState, observation_BO: np.ndarray) -> np.ndarray:
        """[B, A] the likeliest actions."""
        return self.head.mode(self.output(state.mean_LF, torch.from_numpy(observation_BO))).numpy()

    def learn(self, state: COACHState, signal: CreditedSignal) -> tuple[COACHState, Metrics]:
        r"""$\theta \leftarrow \theta + \alpha\,f \sum_k w_k\,\rho_k\,\nabla_\theta \log \pi_\theta(a_k \mid s_k)$."""
        weight_LF = state.weight_LF.clone().requires_grad_()
        batch = as_batch(signal)
        output_MKL = self.output(weight_LF, batch.observation_MKO)
        aim_M, entropy = aims(
            self.head, output_MKL, self.log_std_A, batch, self.config.trace_decay, self.config.ratio_limit
        )
        (gradient_LF,) = torch.autograd.grad(aim_M.sum(), weight_LF)
        moved_LF = state.weight_LF + self.config.step_size * gradient_LF
        num_signals = state.num_signals + 1
        mean_LF = averaged(state.mean_LF, moved_LF, num_signals, self.config.num_averaged)
        moved = COACHState(weight_LF=moved_LF, mean_LF=mean_LF, num_signals=num_signals)
        return moved, {"entropy": float(entropy.detach()), "gradient": float(gradient_LF.norm())}

    def rehearse(self, state: COACHState) -> tuple[COACHState, Metrics]:
        """Nothing: each signal is learned from once."""
        return state, {}

    def tensors(self, state: COACHState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"weight": state.weight_LF, "mean": state.mean_LF, "num_signals": torch.tensor(state.num_signals)}

    def load_tensors(self, state: COACHState, tensors: dict[str, Tensor]) -> COACHState:
        """Go on from what `tensors` returned."""
        return COACHState(
            weight_LF=tensors["weight"].clone(),
            mean_LF=tensors["mean"].clone(),
            num_signals=int(tensors["num_signals"]),
        )


def num_trace_steps(trace_decay: float) -> int:
    """Steps after which a trace has all but faded."""
    return 0 if trace_decay == 0 else math.ceil(math.log(_FADED) / math.log(trace_decay))


def head_of(space: gymnasium.Space, log_std: float, usual: float) -> ActionHead:
    """The head for an action space.

    Raises:
        ConfigError: a spread is set, and the actions are not Box.
    """
    head = action_head(space)
    if head.num_log_std == 0 and log_std != usual:
        raise ConfigError(f"log_std is for Box actions and would be ignored with {space}; leave it out")
    return head


@torch.no_grad()
def drawn(head: ActionHead, output_1L: Tensor, log_std_A: Tensor, generator: torch.Generator) -> Choice:
    """An action drawn from the distribution of one output."""
    action_1A = head.sample(output_1L, log_std_A, head.noise((1,), generator))
    log_prob_1, _ = head.log_prob_entropy(output_1L, log_std_A, action_1A)
    is_discrete = isinstance(head, CategoricalHead) and head.action_size == 1
    probability_L = torch.softmax(output_1L[0].double(), -1).numpy() if is_discrete else None
    return Choice(action_1A[0].numpy(), float(log_prob_1[0]), probability_L)


def aims(
    head: ActionHead,
    output_MKL: Tensor,
    log_std_A: Tensor,
    batch: SignalBatch,
    trace_decay: float,
    ratio_limit: float,
) -> tuple[Tensor, Tensor]:
    """[M] what each signal has the policy climb, and the mean entropy [] of the policy where steps are known."""
    log_prob_MK, _ = head.log_prob_entropy(output_MKL, log_std_A, batch.action_MKA)
    _, entropy = head.log_prob_entropy(output_MKL[batch.known_MK], log_std_A, batch.action_MKA[batch.known_MK])
    ratio_MK = (log_prob_MK.detach() - batch.log_prob_MK).exp().clamp_max(ratio_limit)
    weight_MK = trace_weights(batch.credit_MK, batch.begins_MK, decay=trace_decay) * batch.known_MK
    return batch.sign_M * (weight_MK * ratio_MK * log_prob_MK).sum(-1), entropy

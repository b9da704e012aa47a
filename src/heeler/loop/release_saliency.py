"""Which inputs move what a released policy does, over the states that it visits.

Shapes: S states, O observation numbers, A action numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from heeler.envs.observation_names import observation_names
from heeler.loop.config import RunConfig
from heeler.loop.release_visits import Visited
from heeler.models.actions import CategoricalHead
from heeler.models.policy import Policy
from heeler.models.saliency import Attribution, gradient_times_input, integrated_gradients


@dataclass(frozen=True, kw_only=True)
class InputUse:
    """How much one input matters."""

    name: str
    share: float
    """Of all mean absolute integrated gradients."""
    share_of_gradients: float
    """The same by gradient times input, which looks at each state alone."""
    low: float
    high: float
    """Between which it was seen."""


@dataclass(frozen=True, kw_only=True)
class Saliency:
    """What a function goes by."""

    inputs: tuple[InputUse, ...]
    """The most important first."""
    num_states: int
    largest_gap: float
    """By how much integrated gradients miss the difference that they share out, as a share of the mean difference."""


def policy_saliency(policy: Policy, states: Visited, config: RunConfig) -> Saliency:
    """What moves its choices: each number of an action, or the log-probability of what it chooses.

    The baseline is the mean observation: what nothing in particular looks like.
    """
    x_SO = torch.from_numpy(states.observation)
    names = list(observation_names(config.env, policy.observation_size))
    return saliency_of(_outputs(policy, x_SO), x_SO, policy_baseline(policy, x_SO), names)


def policy_baseline(policy: Policy, x_SO: Tensor) -> Tensor:
    """[O] the mean of what it learned on, or of what it visits where it does not keep one."""
    return policy.shift.detach().clone() if policy.config.normalize_observations else x_SO.mean(0)


def _outputs(policy: Policy, x_SO: Tensor) -> list[Callable[[Tensor], Tensor]]:
    def actor(x: Tensor) -> Tensor:
        return policy.actor(policy.normalize(x))

    if not isinstance(policy.head, CategoricalHead):
        return [lambda x, j=j: actor(x)[:, j] for j in range(policy.head.num_outputs)]
    with torch.no_grad():
        chosen_SA = policy.head.mode(actor(x_SO))
    sizes = list(policy.head.num_choices)

    def log_prob(x: Tensor, component: int) -> Tensor:
        logits = actor(x).split(sizes, -1)[component]
        return torch.log_softmax(logits, -1).gather(-1, chosen_SA[:, component, None]).squeeze(-1)

    return [lambda x, c=c: log_prob(x, c) for c in range(len(sizes))]


def saliency_of(
    outputs: Sequence[Callable[[Tensor], Tensor]], x_SO: Tensor, baseline_O: Tensor, names: list[str]
) -> Saliency:
    """What functions go by, all of them together.

    Args:
        outputs: each [S] of [S, O].
        x_SO: where they are asked.
        baseline_O: what nothing in particular looks like.
        names: of the O inputs.
    """
    found = [integrated_gradients(output, x_SO, baseline_O) for output in outputs]
    local = [gradient_times_input(output, x_SO, baseline_O) for output in outputs]
    share_O, local_O = _shares(found), _shares(local)
    order = np.argsort(-share_O, kind="stable")
    low_O, high_O = x_SO.amin(0).numpy(), x_SO.amax(0).numpy()
    gap = max(float(one.gap_B.abs().max()) for one in found)
    whole = float(np.mean([float(one.share_BO.sum(-1).abs().mean()) for one in found]))
    return Saliency(
        inputs=tuple(
            InputUse(
                name=names[i],
                share=float(share_O[i]),
                share_of_gradients=float(local_O[i]),
                low=float(low_O[i]),
                high=float(high_O[i]),
            )
            for i in order.tolist()
        ),
        num_states=len(x_SO),
        largest_gap=gap / max(whole, 1e-12),
    )


def _shares(found: Sequence[Attribution]) -> np.ndarray:
    total_O = torch.stack([one.share_BO.abs().mean(0) for one in found]).sum(0).double().numpy()
    return total_O / max(float(total_O.sum()), 1e-300)

"""Which inputs move what a network says: integrated gradients, gradient times input, and exact parts of linear ones.

Integrated gradients (Sundararajan et al. 2017, "Axiomatic attribution for deep networks", ICML) share out the
difference between what the network says of x and of a baseline b:

    IG_i(x) = (x_i − b_i) ∫₀¹ ∂f(b + α (x − b)) / ∂x_i dα,    Σ_i IG_i(x) = f(x) − f(b)

The integral is taken at the middles of equal steps; how much the sum misses is returned, so that it can be told.

Shapes: B samples, O input numbers, L outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Scalar = Callable[[Tensor], Tensor]
"""[B] of [B, O]: one number for each sample, each of its own row alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribution:
    """What each input has to do with an output."""

    share_BO: Tensor
    gap_B: Tensor
    """By how much a sample's shares miss the difference that they share out."""


def integrated_gradients(function: Scalar, x_BO: Tensor, baseline_O: Tensor, *, num_steps: int = 64) -> Attribution:
    """Shares of f(x) − f(baseline).

    Args:
        function: f, which autograd can differentiate.
        x_BO: float32 or float64.
        baseline_O: what nothing in particular looks like.
        num_steps: of the integral.

    >>> x = torch.tensor([[3.0, 1.0]])
    >>> integrated_gradients(lambda x: x[:, 0] * 2 - x[:, 1], x, torch.zeros(2)).share_BO.tolist()
    [[6.0, -1.0]]
    """
    baseline_BO = baseline_O.to(x_BO).expand_as(x_BO)
    total_BO = torch.zeros_like(x_BO)
    for step in range(num_steps):
        alpha = (step + 0.5) / num_steps
        total_BO += _gradient(function, baseline_BO + alpha * (x_BO - baseline_BO))
    share_BO = (x_BO - baseline_BO) * total_BO / num_steps
    with torch.no_grad():
        difference_B = function(x_BO) - function(baseline_BO)
    return Attribution(share_BO=share_BO, gap_B=difference_B - share_BO.sum(-1))


def gradient_times_input(function: Scalar, x_BO: Tensor, baseline_O: Tensor) -> Attribution:
    """(x − baseline) · ∂f(x)/∂x: what integrated gradients are where f is linear. Arguments as there."""
    share_BO = (x_BO - baseline_O.to(x_BO)) * _gradient(function, x_BO)
    with torch.no_grad():
        difference_B = function(x_BO) - function(baseline_O.to(x_BO).expand_as(x_BO))
    return Attribution(share_BO=share_BO, gap_B=difference_B - share_BO.sum(-1))


def linear_shares(weight_O: Tensor, x_BO: Tensor, baseline_O: Tensor) -> Tensor:
    """[B, O]: w · (x − baseline), which is exact."""
    return weight_O * (x_BO - baseline_O)


def _gradient(function: Scalar, x_BO: Tensor) -> Tensor:
    x_BO = x_BO.detach().requires_grad_()
    # Each sample's number is of its own row alone, so that the sum's gradient is each one's.
    (gradient_BO,) = torch.autograd.grad(function(x_BO).sum(), x_BO)
    return gradient_BO

"""Losses of learning within budgets. Shapes: B samples, C costs. Every loss is to be minimised."""

import torch
from jaxtyping import Float
from torch import Tensor


def lagrangian_advantage(
    advantage_B: Float[Tensor, " B"], cost_advantage_BC: Float[Tensor, "B C"], multiplier_C: Float[Tensor, " C"]
) -> Float[Tensor, " B"]:
    r"""What is worth doing once each cost has its price.

    $$A = \frac{A_r - \sum_i \lambda_i A_i}{1 + \sum_i \lambda_i}$$

    The divisor keeps steps of one length however high the prices are (Stooke et al. 2020, arXiv 2007.03964).

    Args:
        advantage_B: of the reward, in units of its spread.
        cost_advantage_BC: of the costs, each in units of its own spread.
        multiplier_C: lambda >= 0.

    Example:
        >>> costs = torch.tensor([[1.0, 0.0]])
        >>> lagrangian_advantage(torch.tensor([3.0]), costs, torch.tensor([1.0, 2.0])).item()
        0.5
    """
    return (advantage_B - cost_advantage_BC @ multiplier_C) / (1 + multiplier_C.sum())


def clipped_cost_surrogates(
    log_prob_B: Float[Tensor, " B"],
    behaviour_log_prob_B: Float[Tensor, " B"],
    cost_advantage_BC: Float[Tensor, "B C"],
    *,
    clip: float,
) -> Float[Tensor, " C"]:
    r"""By how much each cost rises with the policy, seen pessimistically: $\mathrm{mean}\,\max(\rho A_i,\
    \mathrm{clip}(\rho, 1 - \epsilon, 1 + \epsilon) A_i)$.

    Args:
        log_prob_B: of the actions taken, under the policy being learned (differentiated).
        behaviour_log_prob_B: of the same, under the policy that acted.
        cost_advantage_BC: of the costs.
        clip: epsilon > 0.
    """
    ratio_B = torch.exp(log_prob_B - behaviour_log_prob_B)
    clipped_B = torch.clamp(ratio_B, 1 - clip, 1 + clip)
    return torch.maximum(ratio_B[:, None] * cost_advantage_BC, clipped_B[:, None] * cost_advantage_BC).mean(0)


def exact_penalty(
    rise_C: Float[Tensor, " C"], excess_C: Float[Tensor, " C"], *, coefficient: float
) -> Float[Tensor, ""]:
    r"""P3O's penalty (Zhang et al. 2022, arXiv 2205.11814).

    $$\kappa \sum_i \max(0,\ \mathrm{rise}_i + \mathrm{excess}_i)$$

    Args:
        rise_C: from `clipped_cost_surrogates` (differentiated).
        excess_C: by how much each cost is above its budget now, in the units of `rise_C`; negative below it.
        coefficient: kappa, above every multiplier that the problem could need.

    Example:
        >>> exact_penalty(torch.tensor([0.5, 0.1]), torch.tensor([0.5, -2.0]), coefficient=10.0).item()
        10.0
    """
    return coefficient * torch.relu(rise_C + excess_C).sum()


def focops_loss(
    log_prob_B: Float[Tensor, " B"],
    behaviour_log_prob_B: Float[Tensor, " B"],
    kl_B: Float[Tensor, " B"],
    advantage_B: Float[Tensor, " B"],
    *,
    temperature: float,
    max_kl: float,
) -> Float[Tensor, ""]:
    r"""First-order constrained optimisation in policy space (Zhang et al. 2020, arXiv 2002.06506, equation 11).

    $$\mathrm{mean}\ \mathbf 1[\mathrm{KL}_b \le \delta]\,\Big(\mathrm{KL}_b - \tfrac{1}{\tau}\,\rho_b A_b\Big)$$

    Args:
        log_prob_B: of the actions taken, under the policy being learned (differentiated).
        behaviour_log_prob_B: of the same, under the policy that acted.
        kl_B: KL(learned || acted) at each observation (differentiated).
        advantage_B: with the costs' prices in it.
        temperature: tau > 0: what a nat costs.
        max_kl: delta: samples whose policy is further away teach nothing.
    """
    ratio_B = torch.exp(log_prob_B - behaviour_log_prob_B)
    near_B = (kl_B.detach() <= max_kl).to(kl_B.dtype)
    return (near_B * (kl_B - ratio_B * advantage_B / temperature)).mean()

"""Returns and advantages. Shapes: T steps, N environments."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def gae(
    reward_TN: Float[Tensor, "T N"],
    value_TN: Float[Tensor, "T N"],
    next_value_TN: Float[Tensor, "T N"],
    terminated_TN: Bool[Tensor, "T N"],
    truncated_TN: Bool[Tensor, "T N"],
    *,
    discount: float,
    trace_decay: float,
) -> Float[Tensor, "T N"]:
    r"""Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438).

    $$\delta_t = r_t + \gamma (1 - \mathrm{terminated}_t) V(s_{t+1}) - V(s_t), \quad
      A_t = \delta_t + \gamma \lambda (1 - \mathrm{ended}_t) A_{t+1}$$

    Args:
        reward_TN: rewards.
        value_TN: value of the observation before each action.
        next_value_TN: value of what followed it: at an episode's end the terminal observation's, not the reset's.
        terminated_TN: the episode ended in a terminal state: nothing is bootstrapped.
        truncated_TN: the episode was cut: the terminal observation's value is bootstrapped.
        discount: gamma, 0 to 1.
        trace_decay: lambda, 0 to 1.

    Returns:
        Advantages; `advantage + value` is the value's target.

    Example:
        >>> one, no = torch.ones(2, 1), torch.zeros(2, 1, dtype=torch.bool)
        >>> gae(one, 0 * one, 0 * one, no, no, discount=0.5, trace_decay=1.0).squeeze(1).tolist()
        [1.5, 1.0]
    """
    delta_TN = reward_TN + discount * next_value_TN * ~terminated_TN - value_TN
    carry_TN = discount * trace_decay * (~(terminated_TN | truncated_TN)).to(delta_TN.dtype)
    advantage_TN = torch.empty_like(delta_TN)
    advantage_N = torch.zeros_like(delta_TN[0])
    for t in range(len(delta_TN) - 1, -1, -1):
        advantage_N = torch.addcmul(delta_TN[t], carry_TN[t], advantage_N)
        advantage_TN[t] = advantage_N
    return advantage_TN


def discounted_sums(
    reward_TN: Float[Tensor, "T N"],
    ended_TN: Bool[Tensor, "T N"],
    carried_N: Float[Tensor, " N"],
    *,
    discount: float,
) -> tuple[Float[Tensor, "T N"], Float[Tensor, " N"]]:
    r"""Running discounted sums of past rewards, $G_t = \gamma G_{t-1} + r_t$, begun anew after each end.

    Args:
        reward_TN: rewards.
        ended_TN: the episode ended at this step.
        carried_N: what the last call returned (zeros at first).
        discount: gamma, 0 to 1.

    Returns:
        The sums after each step, and what to carry into the next call: the last ones, discounted.
    """
    sum_TN = torch.empty_like(reward_TN)
    keep_TN = discount * (~ended_TN).to(reward_TN.dtype)
    for t in range(len(reward_TN)):
        sum_TN[t] = carried_N + reward_TN[t]
        carried_N = sum_TN[t] * keep_TN[t]
    return sum_TN, carried_N

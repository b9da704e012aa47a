"""Whom a late signal is about: credit over the steps that were shown before it, and eligibility traces.

Shapes: K steps, the oldest first, and J the same again; any batch before that.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def uniform_cdf(delay: Float[Tensor, "*S"], *, low: float, high: float) -> Float[Tensor, "*S"]:
    """Probability that somebody whose reactions take `low` to `high` seconds, all alike, has reacted by `delay`.

    Example:
        >>> uniform_cdf(torch.tensor([0.1, 0.4, 0.9]), low=0.2, high=0.6).tolist()
        [0.0, 0.5, 1.0]
    """
    return ((delay - low) / (high - low)).clamp(0.0, 1.0)


def gamma_cdf(delay: Float[Tensor, "*S"], *, shape: float, scale: float, shift: float) -> Float[Tensor, "*S"]:
    """The same where reactions take `shift` seconds and a gamma-distributed time of mean `shape * scale` more."""
    late = ((delay - shift) / scale).clamp_min(0.0)
    # The regularised incomplete gamma function, under the name that torch gives the type of.
    return torch.igamma(torch.full_like(late, shape), late)


def step_credit(
    reacted_to_start: Float[Tensor, "*B K"], reacted_to_end: Float[Tensor, "*B K"]
) -> Float[Tensor, "*B K"]:
    r"""The probability that a signal is about each step: a density of delays, integrated over the time of the step.

    $$c_k = F(t - t^{start}_k) - F(t - t^{end}_k)$$

    Knox and Stone 2009 (TAMER), section 4. Steps that lie end to end have credits that sum to at most 1.

    Args:
        reacted_to_start: F of the time from each step's beginning to the signal.
        reacted_to_end: F of the time from its end.

    Example:
        >>> start = uniform_cdf(torch.tensor([0.6, 0.4]), low=0.2, high=0.6)
        >>> end = uniform_cdf(torch.tensor([0.4, 0.2]), low=0.2, high=0.6)
        >>> step_credit(start, end).tolist()
        [0.5, 0.5]
    """
    return (reacted_to_start - reacted_to_end).clamp_min(0.0)


def trace_weights(
    credit: Float[Tensor, "*B K"], begins: Bool[Tensor, "*B K"], *, decay: float
) -> Float[Tensor, "*B K"]:
    r"""What a signal gives to each step through an eligibility trace that is as late as its credit says.

    $$w_k = \sum_{j \ge k,\ \text{same episode}} c_j\, \lambda^{j - k}$$

    With all credit on one step d back, and no episode between, it is COACH's trace with a human delay of d steps
    (MacGlashan et al. 2017, algorithm 1).

    Args:
        credit: of each step.
        begins: whether an episode begins with the step; a trace does not reach into the one before.
        decay: lambda.

    Example:
        >>> never = torch.zeros(3, dtype=torch.bool)
        >>> trace_weights(torch.tensor([0.0, 1.0, 0.0]), never, decay=0.5).tolist()
        [0.5, 1.0, 0.0]
    """
    index = torch.arange(credit.shape[-1])
    later_JK = (index[:, None] - index).clamp_min(0)
    faded_JK = torch.where(index[:, None] >= index, torch.tensor(decay, dtype=credit.dtype) ** later_JK, 0.0)
    episode = begins.cumsum(-1)
    same_JK = episode[..., :, None] == episode[..., None, :]
    return torch.einsum("...j,...jk->...k", credit, faded_JK.to(credit.dtype) * same_JK)

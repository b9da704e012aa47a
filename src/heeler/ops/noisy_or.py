"""The likelihood of an answer about a whole clip, each step of which may be its reason. Shapes: L steps of a clip."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

_LEAST = 1e-6
"""Of the sum of rates: a clip that surely has no reason in it is still said to have one now and then."""


def any_step_log_probs(
    logit: Float[Tensor, "*clips L"], *, lapse: float
) -> tuple[Float[Tensor, "*clips"], Float[Tensor, "*clips"]]:
    r"""Log-probabilities that somebody says no, and yes, to "is any of these steps unsafe?".

    $$P(\text{yes}) = \frac{\epsilon}{2} + (1 - \epsilon)\Big(1 - \prod_t (1 - p_t)\Big),\quad
      p_t = \sigma(z_t)$$

    The same as counts of unsafe moments that come by a Poisson law with the rates $c_t = -\log(1 - p_t)$, of which
    somebody notices whether there was any: $1 - \prod_t (1 - p_t) = 1 - e^{-\sum_t c_t}$.

    Args:
        logit: z of each step.
        lapse: epsilon, the share of answers taken to be a coin's, at least 0 and below 1.

    Returns:
        Log-probabilities of no and of yes.

    Example:
        >>> no, yes = any_step_log_probs(torch.zeros(2), lapse=0.0)
        >>> round(no.exp().item(), 6), round(yes.exp().item(), 6)
        (0.25, 0.75)
    """
    rate = nn.functional.softplus(logit).sum(-1).clamp_min(_LEAST)
    any_step = -torch.expm1(-rate)
    if lapse == 0:
        return -rate, torch.log(any_step)
    coin = torch.full_like(rate, math.log(lapse / 2))
    return torch.logaddexp(coin, math.log1p(-lapse) - rate), torch.log(lapse / 2 + (1 - lapse) * any_step)

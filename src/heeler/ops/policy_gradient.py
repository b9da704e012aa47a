"""Policy-gradient losses. Shape: B samples. Every loss is to be minimised."""

import torch
from jaxtyping import Float
from torch import Tensor


def clipped_surrogate_loss(
    log_prob_B: Float[Tensor, " B"],
    behaviour_log_prob_B: Float[Tensor, " B"],
    advantage_B: Float[Tensor, " B"],
    *,
    clip: float,
) -> Float[Tensor, ""]:
    r"""PPO's pessimistic surrogate (Schulman et al. 2017, arXiv 1707.06347, equation 7), negated.

    $$-\mathrm{mean}\,\min\big(\rho A,\ \mathrm{clip}(\rho, 1 - \epsilon, 1 + \epsilon) A\big),\quad
      \rho = \pi(a|s) / \pi_{\mathrm{old}}(a|s)$$

    At `log_prob == behaviour_log_prob` its gradient is the policy gradient's, whatever `clip` is.

    Args:
        log_prob_B: of the actions taken, under the policy being learned (differentiated).
        behaviour_log_prob_B: of the same, under the policy that acted.
        advantage_B: their advantages.
        clip: epsilon > 0.
    """
    ratio_B = torch.exp(log_prob_B - behaviour_log_prob_B)
    clipped_B = torch.clamp(ratio_B, 1 - clip, 1 + clip)
    return -torch.minimum(ratio_B * advantage_B, clipped_B * advantage_B).mean()


def approximate_kl(log_prob_B: Float[Tensor, " B"], behaviour_log_prob_B: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    r"""KL(old || new) from samples of the old policy: the low-variance, never negative estimator k3.

    $$\mathrm{mean}\,\big(e^{d} - 1 - d\big),\quad d = \log \pi - \log \pi_{\mathrm{old}}$$

    Source: J. Schulman, "Approximating KL divergence" (2020).
    """
    difference_B = log_prob_B - behaviour_log_prob_B
    return (torch.expm1(difference_B) - difference_B).mean()


def explained_variance(prediction_B: Float[Tensor, " B"], target_B: Float[Tensor, " B"]) -> float:
    """1 − Var(target − prediction) / Var(target); 0 where the target does not vary.

    1 is perfect, 0 is no better than a constant, negative is worse.
    """
    variance = target_B.var(unbiased=False)
    if variance == 0:
        return 0.0
    return float(1 - (target_B - prediction_B).var(unbiased=False) / variance)

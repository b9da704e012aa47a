"""Policy-gradient losses on completions. Every loss is to be minimised.

A loss is a sum over tokens with weights that are worked out for the whole batch before it is split, so that any split
of the batch, over micro-batches or processes, gives the gradient of the whole.

Shapes: N completions, T tokens of all of them together.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heeler.ops.text_batch import per_token, sequence_sum

Aggregation = Literal["token_mean", "sequence_mean", "constant"]
"""How the terms of tokens become one number: every token counts the same; every completion counts the same; every token
counts the same and the divisor does not depend on how long completions are."""

RatioLevel = Literal["token", "sequence", "sequence_mean"]
"""Of what the probability ratio is taken: each token; the whole completion; the geometric mean over it (GSPO)."""


def token_weights(
    length_N: Int[Tensor, " N"],
    is_kept_N: Bool[Tensor, " N"],
    *,
    aggregation: Aggregation,
    num_kept_tokens: float,
    num_kept: float,
    divisor: float = 1.0,
) -> Float[Tensor, " T"]:
    r"""Weight of each token's term in the loss; 0 for completions that are left out of it.

    $$\frac{1}{\sum_i |y_i|}\ (\mathrm{token\_mean}),\quad \frac{1}{N |y_i|}\ (\mathrm{sequence\_mean}),\quad
      \frac{1}{N D}\ (\mathrm{constant})$$

    What is left out of the sum is left out of its divisor too.

    Args:
        length_N: tokens of each completion.
        is_kept_N: whether it counts.
        aggregation: which of the three.
        num_kept_tokens: tokens that count, in the whole batch, on all processes.
        num_kept: completions that count, likewise.
        divisor: D, as the longest completion that there may be.

    Sources: DAPO (arXiv 2503.14476), GRPO (arXiv 2402.03300) and Dr. GRPO (arXiv 2503.20783), in this order.

    Example:
        >>> kept = torch.tensor([True, False])
        >>> token_weights(
        ...     torch.tensor([2, 1]), kept, aggregation="token_mean", num_kept_tokens=2, num_kept=1
        ... ).tolist()
        [0.5, 0.5, 0.0]
    """
    length = length_N.to(torch.get_default_dtype())
    if aggregation == "token_mean":
        weight_N = torch.full_like(length, 1 / max(num_kept_tokens, 1))
    elif aggregation == "sequence_mean":
        weight_N = 1 / (max(num_kept, 1) * length)
    else:
        weight_N = torch.full_like(length, 1 / (max(num_kept, 1) * divisor))
    return per_token(weight_N * is_kept_N, length_N)


def ratios(
    logprob_T: Float[Tensor, " T"],
    sampled_T: Float[Tensor, " T"],
    length_N: Int[Tensor, " N"],
    *,
    level: RatioLevel,
) -> Float[Tensor, " T"]:
    r"""Probability ratio of the model to the one that sampled, at each token.

    $$\frac{\pi(y_t)}{\pi_{\mathrm{old}}(y_t)},\qquad
      \frac{\pi(y)}{\pi_{\mathrm{old}}(y)},\qquad
      \Big(\frac{\pi(y)}{\pi_{\mathrm{old}}(y)}\Big)^{1/|y|}$$

    Args:
        logprob_T: of the sampled tokens under the model (differentiated).
        sampled_T: of the same when they were sampled.
        length_N: tokens of each completion.
        level: which of the three; the third is GSPO's (Zheng et al. 2025, arXiv 2507.18071).
    """
    difference_T = logprob_T - sampled_T
    if level != "token":
        difference_N = sequence_sum(difference_T, length_N)
        if level == "sequence_mean":
            difference_N = difference_N / length_N.to(difference_N)
        difference_T = per_token(difference_N, length_N)
    # Both ends: e^-inf times 0 is no more a number than e^inf is.
    return torch.exp(difference_T.clamp(-20, 20))


class Surrogate(NamedTuple):
    """Terms of a clipped loss, and where clipping took the gradient away."""

    loss_T: Float[Tensor, " T"]
    is_low_T: Bool[Tensor, " T"]
    """Below the range, where it should have become less likely."""
    is_high_T: Bool[Tensor, " T"]
    """Above the range, where it should have become more likely."""


def clipped_surrogate(
    ratio_T: Float[Tensor, " T"],
    advantage_T: Float[Tensor, " T"],
    *,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
) -> Surrogate:
    r"""PPO's pessimistic surrogate with a range that need not be symmetrical.

    $$-\min\big(\min(\rho, c) A,\
      \mathrm{clip}(\rho, 1 - \epsilon_{\mathrm{low}}, 1 + \epsilon_{\mathrm{high}}) A\big)$$

    Args:
        ratio_T: ρ.
        advantage_T: A.
        clip_low: ε_low.
        clip_high: ε_high; above ε_low it lets unlikely tokens grow (DAPO's clip-higher).
        dual_clip: c > 1 + ε_high bounds what a token that should become less likely can do after it has become much
            more likely; None does not.

    Example:
        >>> clipped_surrogate(torch.tensor([1.5]), torch.tensor([1.0]), clip_low=0.2, clip_high=0.28).loss_T.tolist()
        [-1.2799999713897705]

    Sources: Schulman et al. 2017, arXiv 1707.06347; Yu et al. 2025, arXiv 2503.14476; Ye et al. 2020, arXiv 1912.09729.
    """
    clipped_T = ratio_T.clamp(1 - clip_low, 1 + clip_high)
    bounded_T = ratio_T if dual_clip is None else ratio_T.clamp(max=dual_clip)
    return Surrogate(
        loss_T=-torch.minimum(bounded_T * advantage_T, clipped_T * advantage_T),
        is_low_T=(ratio_T < 1 - clip_low) & (advantage_T < 0),
        is_high_T=(ratio_T > 1 + clip_high) & (advantage_T > 0),
    )


def clipped_value_loss(
    value_T: Float[Tensor, " T"], old_T: Float[Tensor, " T"], target_T: Float[Tensor, " T"], *, clip: float | None
) -> Float[Tensor, " T"]:
    r"""Half the squared error of values, which may not move further than `clip` from what they were.

    $$\tfrac12 \max\big((V - R)^2,\
      (V_{\mathrm{old}} + \mathrm{clip}(V - V_{\mathrm{old}}, -\epsilon, \epsilon) - R)^2\big)$$

    Args:
        value_T: V (differentiated).
        old_T: what it was when the batch came.
        target_T: R, advantage and old value together.
        clip: ε, or None for the squared error alone.
    """
    error_T = (value_T - target_T).square()
    if clip is not None:
        held_T = old_T + (value_T - old_T).clamp(-clip, clip)
        error_T = torch.maximum(error_T, (held_T - target_T).square())
    return error_T / 2

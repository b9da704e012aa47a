"""Choosing the next token of each row from its distribution, by numbers that are drawn elsewhere.

Shapes: B rows, V tokens there are.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def choose_tokens(
    logits_BV: Float[Tensor, "B V"], uniform_B: Float[Tensor, " B"], temperature: float
) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"]]:
    """A token of each row from softmax(logits / temperature), by the inverse of its distribution function.

    token = min {v : p(0) + ... + p(v) > u}. A row's token depends on its own number alone, whatever other rows there are.

    Args:
        logits_BV: any floating type.
        uniform_B: in [0, 1).
        temperature: > 0.

    Returns:
        The tokens, and their log-probabilities.
    """
    scaled_BV = logits_BV.float() / temperature
    scaled_BV -= scaled_BV.max(-1, keepdim=True).values
    weight_BV = scaled_BV.exp()
    token_B, total_B = _by_weight(weight_BV, uniform_B)
    return token_B, scaled_BV.gather(1, token_B[:, None])[:, 0] - total_B.log()


def choose_filtered_tokens(
    logits_BV: Float[Tensor, "B V"],
    uniform_B: Float[Tensor, " B"],
    *,
    temperature_B: Float[Tensor, " B"],
    top_p_B: Float[Tensor, " B"],
    top_k_B: Int[Tensor, " B"],
) -> Int[Tensor, " B"]:
    """A token of each row from the likeliest ones alone (nucleus sampling: Holtzman et al., 2020, arXiv:1904.09751).

    Args:
        logits_BV: any floating type.
        uniform_B: in [0, 1).
        temperature_B: of each row; 0 takes the likeliest token.
        top_p_B: in (0, 1]; tokens are left out once those that are likelier have so much probability.
        top_k_B: at most so many tokens; 0 is no limit.
    """
    sorted_BV, token_BV = logits_BV.float().sort(-1, descending=True)
    is_greedy_B = temperature_B == 0
    scaled_BV = sorted_BV / torch.where(is_greedy_B, 1.0, temperature_B)[:, None]
    weight_BV = (scaled_BV - scaled_BV[:, :1]).exp()
    before_BV = weight_BV.cumsum(-1) - weight_BV
    total_B1 = weight_BV.sum(-1, keepdim=True)
    rank_V = torch.arange(logits_BV.shape[1], device=logits_BV.device)
    most_B1 = torch.where(is_greedy_B, 1, torch.where(top_k_B == 0, len(rank_V), top_k_B))[:, None]
    # The likeliest stays whatever rounding says.
    stays_BV = ((before_BV < top_p_B[:, None] * total_B1) & (rank_V < most_B1)) | (rank_V == 0)
    chosen_B, _ = _by_weight(weight_BV * stays_BV, uniform_B)
    return token_BV.gather(1, chosen_B[:, None])[:, 0]


def _by_weight(weight_BV: Tensor, uniform_B: Tensor) -> tuple[Tensor, Tensor]:
    up_to_BV = weight_BV.cumsum(-1)
    total_B = up_to_BV[:, -1].contiguous()
    # Below the total whatever rounding says, so that there is a token beyond it, and one that has weight.
    wanted_B = torch.minimum(uniform_B * total_B, torch.nextafter(total_B, torch.zeros_like(total_B)))
    return torch.searchsorted(up_to_BV, wanted_B[:, None], right=True)[:, 0], total_B

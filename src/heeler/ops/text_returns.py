"""Returns of completions, token after token. Shapes: N completions, T tokens of all of them together, L the longest."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heeler.ops.returns import gae
from heeler.ops.text_batch import sequence_sum


def token_gae(
    reward_T: Float[Tensor, " T"],
    value_T: Float[Tensor, " T"],
    length_N: Int[Tensor, " N"],
    *,
    discount: float = 1.0,
    trace_decay: float = 1.0,
) -> Float[Tensor, " T"]:
    """Generalised advantage estimates of tokens: `heeler.ops.returns.gae` on completions of any length.

    Every completion ends with its last token, cut or not: nothing follows a completion, so nothing is bootstrapped.

    Args:
        reward_T: reward of each token.
        value_T: value of what stood before it.
        length_N: tokens of each completion.
        discount: γ, 0 to 1.
        trace_decay: λ, 0 to 1.

    Example:
        >>> token_gae(torch.tensor([0.0, 1.0, 2.0]), torch.zeros(3), torch.tensor([2, 1]), discount=0.5).tolist()
        [0.5, 1.0, 2.0]
    """
    is_token_NL = torch.arange(int(length_N.max()), device=value_T.device) < length_N.to(value_T.device)[:, None]
    reward_NL, value_NL = (_rows(flat_T, is_token_NL) for flat_T in (reward_T, value_T))
    next_NL = torch.nn.functional.pad(value_NL[:, 1:], (0, 1))
    has_more_NL = torch.nn.functional.pad(is_token_NL[:, 1:], (0, 1))
    advantage_LN = gae(
        reward_NL.T,
        value_NL.T,
        next_NL.T,
        ~has_more_NL.T,
        torch.zeros_like(has_more_NL.T),
        discount=discount,
        trace_decay=trace_decay,
    )
    return advantage_LN.T[is_token_NL]


def _rows(flat_T: Tensor, is_token_NL: Tensor) -> Tensor:
    return flat_T.new_zeros(is_token_NL.shape).masked_scatter(is_token_NL, flat_T)


def final_token(score_N: Float[Tensor, " N"], length_N: Int[Tensor, " N"]) -> Float[Tensor, " T"]:
    """Each completion's score at its last token, 0 at the others.

    >>> final_token(torch.tensor([3.0, 4.0]), torch.tensor([2, 1])).tolist()
    [0.0, 3.0, 4.0]
    """
    last_N = torch.cumsum(length_N, 0).to(score_N.device) - 1
    return score_N.new_zeros(int(length_N.sum())).index_copy(0, last_N, score_N)


def sequence_mean(value_T: Float[Tensor, " T"], length_N: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Mean of the values of each completion's tokens."""
    return sequence_sum(value_T, length_N) / length_N.to(value_T)

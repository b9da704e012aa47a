r"""How likely people's answers are, given what the things that they judge are worth.

Each kind of answer is a choice, by a logit of what is worth more. Comparisons are in `preferences`.
Shapes: ... any leading axes, K levels of a scale, J alternatives.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus


def with_lapses(
    log_probs: Float[Tensor, "*batch outcomes"], lapse: float, number: Float[Tensor, "*batch"] | None = None
):
    """Log-probabilities where a share of answers is given at random.

    Args:
        log_probs: of each outcome; `-inf` for those that there are not.
        lapse: share of answers that are any of the outcomes, each as likely; at least 0 and below 1.
        number: how many outcomes there are, where it is not all of the last axis.
    """
    if lapse == 0:
        return log_probs
    count = torch.full_like(log_probs[..., 0], log_probs.shape[-1]) if number is None else number
    floor = torch.log(lapse / count)[..., None].expand_as(log_probs)
    mixed = torch.logaddexp(log_probs + torch.log1p(torch.tensor(-lapse)), floor)
    return mixed if number is None else torch.where(log_probs == -torch.inf, log_probs, mixed)


def rating_log_probs(
    level: Float[Tensor, "*batch"], lowest_cut: Float[Tensor, ""], gap: Float[Tensor, " gaps"]
) -> Float[Tensor, "*batch K"]:
    r"""Log-probabilities of each level of a scale: the cumulative logit (McCullagh 1980, JRSS B 42:109).

    $$P(\text{at most } k) = \sigma(c_k - x), \quad c_1 < c_2 < \dots < c_{K-1}$$

    Args:
        level: x, how good what is rated is.
        lowest_cut: c_1.
        gap: [K − 2] the distance from each cut to the next is the softplus of this.

    Example:
        >>> rating_log_probs(torch.tensor(0.0), torch.tensor(0.0), torch.zeros(0)).exp().tolist()
        [0.5, 0.5]
    """
    cut = lowest_cut + torch.cat([torch.zeros(1, dtype=gap.dtype, device=gap.device), softplus(gap).cumsum(0)])
    below = cut - level[..., None]
    first, last = logsigmoid(below[..., :1]), logsigmoid(-below[..., -1:])
    # σ(b) − σ(a) = σ(b) σ(−a) (1 − e^(a − b)), in logarithms: a difference of two sigmoids near 1 is rounding.
    a, b = below[..., :-1], below[..., 1:]
    between = logsigmoid(b) + logsigmoid(-a) + torch.log(-torch.expm1(a - b))
    return torch.cat([first, between, last], -1)


def pick_log_probs(
    level: Float[Tensor, "*batch J"], is_there: Bool[Tensor, "*batch J"] | None = None
) -> Float[Tensor, "*batch J"]:
    r"""Log-probabilities of picking each of several alternatives (Luce 1959; McFadden 1974).

    $$P(j) = e^{x_j} / \sum_i e^{x_i}$$

    A demonstration is the pick of one course among others that could have been taken (Ziebart et al. 2008), a
    correction that of one action among others (Jeon et al. 2020, arXiv 2002.04833).

    Args:
        level: x.
        is_there: which alternatives there are; None for all. The others have probability 0.
    """
    if is_there is not None:
        level = level.masked_fill(~is_there, -torch.inf)
    return torch.log_softmax(level, -1)


def sign_log_probs(level: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 2"]:
    """Log-probabilities of bad and good, of what is good with probability σ(level)."""
    return torch.stack([logsigmoid(-level), logsigmoid(level)], -1)


def bits_of_answers(log_prob: Float[Tensor, "M *batch"]) -> Float[Tensor, "*batch"]:
    r"""What each answer said, in bits, to somebody who holds M hypotheses for equally likely before it.

    $$\mathrm{KL}(p(m \mid \text{answer}) \,\|\, \text{uniform}) / \log 2$$

    At most log2 M; 0 where all hypotheses found it as likely.

    Args:
        log_prob: of the answer under each hypothesis.

    Example:
        >>> bits_of_answers(torch.tensor([0.0, -torch.inf])).item()
        1.0
    """
    posterior = torch.softmax(log_prob, 0)
    return (math.log(len(log_prob)) - _entropy(posterior, 0)) / math.log(2)


def expected_bits(log_probs: Float[Tensor, "M *batch outcomes"]) -> Float[Tensor, "*batch"]:
    r"""What an answer will say on average, in bits: mutual information of answer and hypothesis.

    $$H(\textstyle\frac1M\sum_m p_m) - \frac1M\sum_m H(p_m)$$

    (Lindley 1956; as a rule for asking, Houlsby et al. 2011, arXiv 1112.5745.)

    Args:
        log_probs: of each outcome under each hypothesis; `-inf` for outcomes that there are not.
    """
    probability = log_probs.exp()
    of_mean, mean_of = _entropy(probability.mean(0), -1), _entropy(probability, -1).mean(0)
    return ((of_mean - mean_of) / math.log(2)).clamp_min(0.0)


def _entropy(probability: Tensor, dim: int) -> Tensor:
    """In nats; what is impossible adds nothing."""
    return -torch.xlogy(probability, probability).sum(dim)

"""What a preference says about rewards. Shapes: ... any leading axes, the last one of outcomes where there is one."""

import torch
from jaxtyping import Float
from torch import Tensor


def choice_log_probs(
    advantage: Float[Tensor, "*batch"], *, log_tie: Float[Tensor, ""] | None = None, lapse: float = 0.0
) -> Float[Tensor, "*batch outcomes"]:
    r"""Log-probabilities of left, right (and equal) when left is better by `advantage`.

    Bradley–Terry without ties; with them Davidson's extension (1970, JASA 65:317), in which

    $$P(\mathrm{left}) \propto e^{\Delta/2},\quad P(\mathrm{right}) \propto e^{-\Delta/2},\quad
      P(\mathrm{equal}) \propto \nu,$$

    and with probability `lapse` the answer is any of the outcomes, each as likely (Christiano et al. 2017 use 0.1).

    Args:
        advantage: the left segment's return less the right one's.
        log_tie: log ν, or None where "equal" is not an answer.
        lapse: share of answers given at random, at least 0 and below 1.

    Returns:
        Two outcomes a row, or three with ties; each row sums to one in probability.

    Example:
        >>> choice_log_probs(torch.tensor(0.0)).exp().tolist()
        [0.5, 0.5]
    """
    logits = [advantage / 2, -advantage / 2]
    if log_tie is not None:
        logits.append(log_tie.expand_as(advantage))
    log_probs = torch.log_softmax(torch.stack(logits, -1), -1)
    if lapse == 0:
        return log_probs
    floor = torch.full_like(log_probs, lapse / log_probs.shape[-1]).log()
    return torch.logaddexp(log_probs + torch.log1p(torch.tensor(-lapse)), floor)


def person_choice_log_probs(
    advantage: Float[Tensor, "*batch"],
    *,
    reliability: Float[Tensor, "*batch"],
    lean: Float[Tensor, "*batch"],
    looked: Float[Tensor, "*batch"],
    log_tie: Float[Tensor, ""] | None = None,
    lapse: float = 0.0,
) -> Float[Tensor, "*batch outcomes"]:
    r"""Log-probabilities of the outcomes where whoever answers may be mistaken on purpose, lean, or not have looked.

    $$P(o) = w\,[\eta\,D(o \mid \Delta + b) + (1 - \eta)\,D(o \mid -\Delta + b)] + (1 - w)\,D(o \mid b)$$

    with D as in `choice_log_probs`. Without lean and at w = 1 it is Crowd-BT (Chen et al. 2013, WSDM). Its gradient by
    the advantage shrinks with (2η − 1) w, so that answers of people who are as good as coins move nothing.

    Args:
        advantage: Δ, the left segment's return less the right one's.
        reliability: η, above 0 and below 1.
        lean: b, above 0 to the left.
        looked: w, the probability that the answer was given by looking.
        log_tie: log ν, or None where "equal" is not an answer.
        lapse: share of answers given at random, at least 0 and below 1.

    Returns:
        Two outcomes a row, or three with ties; each row sums to one in probability.
    """
    honest = choice_log_probs(advantage + lean, log_tie=log_tie) + reliability.log()[..., None]
    hostile = choice_log_probs(-advantage + lean, log_tie=log_tie) + torch.log1p(-reliability)[..., None]
    unseen = choice_log_probs(lean.expand_as(advantage), log_tie=log_tie)
    # Not infinitely unlikely either way: an infinite logarithm has no gradient.
    looked = looked.clamp(1e-6, 1 - 1e-6)[..., None]
    seen = torch.logaddexp(honest, hostile) + looked.log()
    log_probs = torch.logaddexp(seen, unseen + torch.log1p(-looked))
    if lapse == 0:
        return log_probs
    floor = torch.full_like(log_probs, lapse / log_probs.shape[-1]).log()
    return torch.logaddexp(log_probs + torch.log1p(torch.tensor(-lapse)), floor)


def expected_calibration_error(
    probability_B: Float[Tensor, " B"], outcome_B: Float[Tensor, " B"], *, num_bins: int = 10
) -> tuple[float, Float[Tensor, "bins 3"]]:
    """How far stated probabilities are from what happens (Naeini et al. 2015).

    Args:
        probability_B: predicted chance that the outcome is 1.
        outcome_B: 0 or 1 (0.5 for a tie).
        num_bins: equal intervals of probability.

    Returns:
        The mean absolute gap weighted by count, and per bin: mean prediction, mean outcome, count (NaN where empty).
    """
    bin_B = (probability_B * num_bins).long().clamp_(0, num_bins - 1)
    count = torch.zeros(num_bins).index_add_(0, bin_B, torch.ones_like(probability_B))
    predicted = torch.zeros(num_bins).index_add_(0, bin_B, probability_B) / count
    happened = torch.zeros(num_bins).index_add_(0, bin_B, outcome_B) / count
    gap = torch.nan_to_num((predicted - happened).abs()) * count
    return float(gap.sum() / count.sum().clamp_min(1)), torch.stack([predicted, happened, count], 1)

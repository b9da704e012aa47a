"""Losses on completions against TRL's published formulas, written here in numpy on padded arrays with masks."""

import math

import numpy as np
import pytest
import torch

from heeler.ops.text_losses import clipped_surrogate, clipped_value_loss, ratios, token_weights

LENGTHS = [3, 1, 5, 2]
RNG = np.random.default_rng(0)
MASK = np.arange(5) < np.array(LENGTHS)[:, None]
LOGPS = RNG.normal(-1.5, 0.5, MASK.shape)
OLD = LOGPS + RNG.normal(0, 0.3, MASK.shape)
ADVANTAGE = np.array([1.2, -0.7, 0.4, -2.0])
KEPT = torch.ones(4, dtype=torch.bool)


def flat(padded):
    return torch.from_numpy(padded[MASK])


def masked_mean(padded, mask=MASK):
    return (padded * mask).sum() / mask.sum()


def numpy_loss(*, level, aggregation, clip_low, clip_high, delta=None):
    """What TRL's GRPO trainer computes."""
    difference = LOGPS - OLD
    if level == "token":
        log_ratio = difference
    elif level == "sequence_mean":
        log_ratio = ((difference * MASK).sum(1) / MASK.sum(1))[:, None] + 0 * difference
    coefficient = np.exp(log_ratio)
    clipped = np.clip(coefficient, 1 - clip_low, 1 + clip_high)
    if delta is not None:
        coefficient = np.minimum(coefficient, delta)
    per_token = -np.minimum(coefficient * ADVANTAGE[:, None], clipped * ADVANTAGE[:, None])
    if aggregation == "sequence_mean":  # "grpo"
        return ((per_token * MASK).sum(1) / MASK.sum(1)).mean()
    if aggregation == "token_mean":  # "dapo", and "bnpo" on one process
        return (per_token * MASK).sum() / MASK.sum()
    return (per_token * MASK).sum() / (len(LENGTHS) * 9)  # "dr_grpo"


def our_loss(*, level, aggregation, clip_low, clip_high, delta=None):
    length = torch.tensor(LENGTHS)
    ratio = ratios(flat(LOGPS), flat(OLD), length, level=level)
    advantage = torch.from_numpy(ADVANTAGE).repeat_interleave(length)
    surrogate = clipped_surrogate(ratio, advantage, clip_low=clip_low, clip_high=clip_high, dual_clip=delta)
    weight = token_weights(length, KEPT, aggregation=aggregation, num_kept_tokens=sum(LENGTHS), num_kept=4, divisor=9.0)
    return float((weight.double() * surrogate.loss_T).sum())


@pytest.mark.parametrize("aggregation", ["sequence_mean", "token_mean", "constant"])
@pytest.mark.parametrize("level", ["token", "sequence_mean"])
@pytest.mark.parametrize("clips", [(0.2, 0.2), (0.1, 0.28), (3e-4, 4e-4)])
@pytest.mark.parametrize("delta", [None, 1.5])
def test_grpo_s_variants_equal_the_published_formulas(aggregation, level, clips, delta):
    how = {"level": level, "aggregation": aggregation, "clip_low": clips[0], "clip_high": clips[1], "delta": delta}
    assert our_loss(**how) == pytest.approx(numpy_loss(**how), rel=1e-6)


def test_rloo_equals_the_published_formula():
    log_ratio = (LOGPS * MASK).sum(1) - (OLD * MASK).sum(1)
    coefficient = np.exp(log_ratio)
    want = -np.minimum(coefficient * ADVANTAGE, np.clip(coefficient, 0.8, 1.2) * ADVANTAGE).mean()
    how = {"level": "sequence", "aggregation": "sequence_mean", "clip_low": 0.2, "clip_high": 0.2}
    assert our_loss(**how) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("level", ["token", "sequence", "sequence_mean"])
def test_trap_first_ratio_is_one(level):
    ratio = ratios(flat(LOGPS), flat(LOGPS), torch.tensor(LENGTHS), level=level)
    assert (ratio == 1).all()


@pytest.mark.parametrize("level", ["token", "sequence", "sequence_mean"])
def test_trap_ratios_of_far_models_stay_finite(level):
    logprob = torch.tensor([-200.0, 0.0, -1.0], requires_grad=True)
    ratio = ratios(logprob, torch.tensor([0.0, -200.0, -1.0]), torch.tensor([1, 2]), level=level)
    loss = clipped_surrogate(ratio, torch.tensor([1.0, -1.0, -1.0]), clip_low=0.2, clip_high=0.2).loss_T.sum()
    loss.backward()
    assert math.isfinite(loss.item()) and torch.isfinite(logprob.grad).all()


@pytest.mark.parametrize(
    ("ratio", "advantage", "want", "slope"),
    [
        (1.5, 1.0, -1.28, 0.0),  # beyond the high clip: nothing more to gain
        (1.25, 1.0, -1.25, -1.0),  # clip-higher leaves room
        (0.5, 1.0, -0.5, -1.0),
        (0.5, -1.0, 0.8, 0.0),
        (1.5, -1.0, 1.5, 1.0),
        (4.0, -1.0, 3.0, 0.0),  # dual clip
    ],
)
def test_clipping_by_hand(ratio, advantage, want, slope):
    ratio_T = torch.tensor([ratio], dtype=torch.float64, requires_grad=True)
    surrogate = clipped_surrogate(ratio_T, torch.tensor([advantage]), clip_low=0.2, clip_high=0.28, dual_clip=3.0)
    surrogate.loss_T.sum().backward()
    assert surrogate.loss_T.item() == pytest.approx(want)
    assert ratio_T.grad.item() == pytest.approx(slope)
    assert bool(surrogate.is_low_T) == (ratio == 0.5 and advantage < 0)
    assert bool(surrogate.is_high_T) == (ratio == 1.5 and advantage > 0)


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "constant"])
def test_trap_same_mask_in_numerator_and_denominator(aggregation):
    """A completion that is left out changes nothing about what the others weigh."""
    kept = torch.tensor([True, False, True, True])
    with_it = token_weights(
        torch.tensor(LENGTHS), kept, aggregation=aggregation, num_kept_tokens=10, num_kept=3, divisor=5.0
    )
    without = token_weights(
        torch.tensor([3, 5, 2]), kept[kept], aggregation=aggregation, num_kept_tokens=10, num_kept=3, divisor=5.0
    )
    assert torch.equal(torch.cat([with_it[:3], with_it[4:]]), without)
    assert with_it[3] == 0
    if aggregation != "constant":
        assert with_it.sum().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("aggregation", "is_fair"), [("token_mean", True), ("constant", True), ("sequence_mean", False)]
)
def test_trap_no_length_bias_by_token_mean_or_constant_divisor(aggregation, is_fair):
    """A token of a long completion weighs what one of a short one does; the mean by completion is the contrast."""
    weight = token_weights(
        torch.tensor([2, 8]), KEPT[:2], aggregation=aggregation, num_kept_tokens=10, num_kept=2, divisor=8.0
    )
    assert (weight[0] == weight[-1]).item() == is_fair


def test_value_loss_by_hand():
    value, old, target = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]), torch.tensor([2.0, 3.0])
    assert clipped_value_loss(value, old, target, clip=None).tolist() == [0.5, 0.0]
    # The second may only have moved to 0.5, which is 2.5 off.
    assert clipped_value_loss(value, old, target, clip=0.5).tolist() == [1.125, 3.125]

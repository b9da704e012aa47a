"""Losses of preferences against TRL's published formulas in numpy, and what each is known for."""

import math

import numpy as np
import pytest
import torch

from heeler.ops.preference_losses import centring_penalty, dpo_loss, ipo_loss, kto_loss, pairwise_loss

RNG = np.random.default_rng(1)
CHOSEN, REJECTED = RNG.normal(0, 2, 6), RNG.normal(0, 2, 6)
GOOD = np.array([True, False, True, True, False, False])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_dpo_equals_the_published_formula():
    got = dpo_loss(torch.from_numpy(CHOSEN), torch.from_numpy(REJECTED), beta=0.3)
    np.testing.assert_allclose(got, -np.log(sigmoid(0.3 * (CHOSEN - REJECTED))))
    smooth = dpo_loss(torch.from_numpy(CHOSEN), torch.from_numpy(REJECTED), beta=0.3, label_smoothing=0.2)
    lead = 0.3 * (CHOSEN - REJECTED)
    np.testing.assert_allclose(smooth, -0.8 * np.log(sigmoid(lead)) - 0.2 * np.log(sigmoid(-lead)))


def test_ipo_equals_the_published_formula_and_has_enough_at_its_lead():
    got = ipo_loss(torch.from_numpy(CHOSEN), torch.from_numpy(REJECTED), beta=0.3)
    np.testing.assert_allclose(got, (CHOSEN - REJECTED - 1 / 0.6) ** 2)
    assert ipo_loss(torch.tensor([5.0]), torch.tensor([0.0]), beta=0.1).item() == 0


def test_kto_equals_the_published_formula():
    got = kto_loss(
        torch.from_numpy(CHOSEN),
        torch.from_numpy(GOOD),
        kl=0.7,
        beta=0.3,
        desirable_weight=1.5,
        undesirable_weight=0.5,
    )
    want = np.where(GOOD, 1.5 * (1 - sigmoid(0.3 * (CHOSEN - 0.7))), 0.5 * (1 - sigmoid(0.3 * (0.7 - CHOSEN))))
    np.testing.assert_allclose(got, want)


def test_pairwise_with_a_margin_equals_the_published_formula():
    margin = np.abs(RNG.normal(0, 1, 6))
    got = pairwise_loss(torch.from_numpy(CHOSEN), torch.from_numpy(REJECTED), margin_B=torch.from_numpy(margin))
    np.testing.assert_allclose(got, -np.log(sigmoid(CHOSEN - REJECTED - margin)))


def test_trap_a_pairwise_loss_does_not_change_with_a_shift_and_centring_holds_it():
    chosen, rejected = torch.from_numpy(CHOSEN), torch.from_numpy(REJECTED)
    torch.testing.assert_close(pairwise_loss(chosen, rejected), pairwise_loss(chosen + 40, rejected + 40))
    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    loss = (pairwise_loss(chosen + shift, rejected + shift) + centring_penalty(chosen + shift, rejected + shift)).mean()
    loss.backward()
    # Only the penalty has a slope, and it is zero where the mean score is.
    assert shift.grad.item() == pytest.approx(4 * float((chosen + rejected).mean()))


def test_losses_of_far_scores_are_finite():
    far = torch.tensor([1e4, -1e4], requires_grad=True)
    for loss in (
        pairwise_loss(far, -far),
        dpo_loss(far, -far, beta=1.0),
        kto_loss(far, torch.tensor([True, False]), kl=0.0, beta=1.0),
    ):
        (gradient,) = torch.autograd.grad(loss.sum(), far)
        assert torch.isfinite(loss).all() and torch.isfinite(gradient).all()


def test_no_lead_costs_log_two():
    zero = torch.zeros(1)
    assert dpo_loss(zero, zero, beta=0.1).item() == pytest.approx(math.log(2))

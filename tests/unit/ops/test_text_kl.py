"""KL estimators: their means and their gradients, by enumeration of a categorical distribution."""

import math

import pytest
import torch

from heeler.ops.text_kl import adapted_coefficient, kl_terms

REFERENCE = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64).log()


def policy():
    return torch.tensor([0.4, -0.7, 0.9], dtype=torch.float64, requires_grad=True)


def divergence(logits, *, backwards=False):
    log_policy = torch.log_softmax(logits, -1)
    first, second = (REFERENCE, log_policy) if backwards else (log_policy, REFERENCE)
    return (first.exp() * (first - second)).sum()


def mean_gradient(estimator, *, weighted=False):
    logits = policy()
    log_policy = torch.log_softmax(logits, -1)
    term = kl_terms(log_policy, REFERENCE, estimator=estimator)
    if weighted:
        term = term * (log_policy - log_policy.detach()).exp()
    (gradient,) = torch.autograd.grad((log_policy.detach().exp() * term).sum(), logits)
    return gradient


def exact_gradient(**how):
    logits = policy()
    (gradient,) = torch.autograd.grad(divergence(logits, **how), logits)
    return gradient


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_trap_mean_of_k1_and_of_k3_is_the_kl_on_policy(estimator):
    log_policy = torch.log_softmax(policy(), -1)
    mean = (log_policy.exp() * kl_terms(log_policy, REFERENCE, estimator=estimator)).sum()
    torch.testing.assert_close(mean, divergence(policy()))


def test_mean_of_k2_is_not():
    log_policy = torch.log_softmax(policy(), -1)
    mean = (log_policy.exp() * kl_terms(log_policy, REFERENCE, estimator="k2")).sum()
    assert abs(mean - divergence(policy())) > 0.005


def test_trap_k2_has_the_right_gradient_when_differentiated():
    torch.testing.assert_close(mean_gradient("k2"), exact_gradient())


def test_trap_k1_in_the_loss_has_no_gradient():
    assert mean_gradient("k1").abs().max() < 1e-15
    assert exact_gradient().abs().max() > 0.1


def test_k3_in_the_loss_has_the_gradient_of_the_other_kl():
    torch.testing.assert_close(mean_gradient("k3"), exact_gradient(backwards=True))
    assert (exact_gradient() - exact_gradient(backwards=True)).abs().max() > 0.01


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_importance_weights_make_the_gradient_right(estimator):
    torch.testing.assert_close(mean_gradient(estimator, weighted=True), exact_gradient())


def test_importance_weights_spoil_k2():
    assert (mean_gradient("k2", weighted=True) - exact_gradient()).abs().max() > 0.01


def test_trap_log_ratios_are_clamped_and_small_ones_keep_their_digits():
    far = torch.tensor([-500.0, 500.0], requires_grad=True)
    for estimator in ("k1", "k2", "k3"):
        term = kl_terms(far, torch.zeros(2), estimator=estimator)
        assert torch.isfinite(term).all()
        (gradient,) = torch.autograd.grad(term.sum(), far)
        assert torch.isfinite(gradient).all()
    # exp(-d) - 1 + d in 32 bits would be 0 or 6e-8 here.
    near = kl_terms(torch.tensor([1e-4]), torch.zeros(1), estimator="k3")
    assert near.item() == pytest.approx(5e-9, rel=0.02)


def test_by_hand():
    difference, zero = torch.tensor([math.log(2.0)]), torch.zeros(1)
    assert kl_terms(difference, zero, estimator="k1").item() == pytest.approx(math.log(2))
    assert kl_terms(difference, zero, estimator="k2").item() == pytest.approx(math.log(2) ** 2 / 2)
    assert kl_terms(difference, zero, estimator="k3").item() == pytest.approx(0.5 - 1 + math.log(2))


@pytest.mark.parametrize(("kl", "want"), [(6.0, 0.1), (6.6, 0.101), (60.0, 0.102), (5.4, 0.099), (0.0, 0.098)])
def test_adaptive_coefficient_by_hand(kl, want):
    assert adapted_coefficient(0.1, kl=kl, target=6.0, rate=0.1) == pytest.approx(want)


def test_adaptive_coefficient_finds_the_kl_that_it_aims_at():
    coefficient = 1.0
    for _ in range(2000):
        coefficient = adapted_coefficient(coefficient, kl=2.0 / coefficient, target=8.0, rate=0.1)
    assert 2.0 / coefficient == pytest.approx(8.0, rel=1e-3)

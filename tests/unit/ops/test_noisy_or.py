"""Answers about whole clips, each step of which may be the reason."""

import itertools
import math

import pytest
import torch

from heeler.ops.noisy_or import any_step_log_probs


def test_by_enumeration_of_which_steps_are_unsafe():
    """The sum over all 2^4 patterns of unsafe steps, of those that have any."""
    torch.manual_seed(0)
    logit = torch.randn(4, dtype=torch.float64)
    p = torch.sigmoid(logit)
    yes = sum(
        math.prod(float(p[t]) if unsafe else 1 - float(p[t]) for t, unsafe in enumerate(pattern))
        for pattern in itertools.product((False, True), repeat=4)
        if any(pattern)
    )
    for lapse in (0.0, 0.2):
        no_log, yes_log = any_step_log_probs(logit, lapse=lapse)
        assert float(yes_log.exp()) == pytest.approx(lapse / 2 + (1 - lapse) * yes)
        assert float(no_log.exp() + yes_log.exp()) == pytest.approx(1.0)


def test_it_is_the_poisson_form():
    logit = torch.tensor([[-3.0, 0.5, 1.0], [-8.0, -9.0, -7.0]], dtype=torch.float64)
    rate = -torch.log1p(-torch.sigmoid(logit)).sum(-1)
    no_log, yes_log = any_step_log_probs(logit, lapse=0.0)
    torch.testing.assert_close(no_log, -rate)
    torch.testing.assert_close(yes_log.exp(), 1 - torch.exp(-rate))


@pytest.mark.parametrize("lapse", [0.0, 0.1])
@pytest.mark.parametrize("level", [-500.0, -30.0, 30.0, 500.0])
def test_extreme_logits_stay_finite_and_can_be_differentiated(lapse: float, level: float):
    logit = torch.full((3, 50), level, requires_grad=True)
    no_log, yes_log = any_step_log_probs(logit, lapse=lapse)
    (no_log + yes_log).sum().backward()
    assert torch.isfinite(no_log).all()
    assert torch.isfinite(yes_log).all()
    assert torch.isfinite(logit.grad).all()


def test_an_unsafe_clip_blames_its_likeliest_step_most():
    logit = torch.tensor([-4.0, -1.0, -4.0], requires_grad=True)
    any_step_log_probs(logit, lapse=0.0)[1].backward()
    assert logit.grad.argmax() == 1
    assert (logit.grad > 0).all()

"""The choice model against hand-computed probabilities and a naive loop."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heeler.feedback.acquisition import outcome_probabilities
from heeler.ops.preferences import choice_log_probs, expected_calibration_error


def test_bradley_terry_by_hand():
    left, right = choice_log_probs(torch.tensor(math.log(3.0))).exp().tolist()
    assert left == pytest.approx(0.75)
    assert right == pytest.approx(0.25)


@given(advantage=st.floats(-30, 30), log_tie=st.floats(-5, 5), lapse=st.floats(0, 0.9))
def test_ties_and_lapses_by_definition(advantage, log_tie, lapse):
    weights = np.array([math.exp(advantage / 2), math.exp(-advantage / 2), math.exp(log_tie)])
    want = (1 - lapse) * weights / weights.sum() + lapse / 3
    got = choice_log_probs(torch.tensor(advantage).double(), log_tie=torch.tensor(log_tie).double(), lapse=lapse)
    np.testing.assert_allclose(got.exp().numpy(), want, rtol=1e-6, atol=1e-9)


def test_shift_of_both_returns_changes_nothing():
    left, right = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    torch.testing.assert_close(choice_log_probs(left - right), choice_log_probs((left + 7) - (right + 7)))


def test_gradient_by_hand():
    """d log P(left) / d advantage = 1 − P(left), the logistic model's."""
    advantage = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    choice_log_probs(advantage)[0].backward()
    assert advantage.grad is not None
    assert advantage.grad.item() == pytest.approx(1 - 1 / (1 + math.exp(-0.4)))


def test_acquisition_and_loss_speak_of_one_model():
    """NumPy's side, which chooses questions, and torch's, which learns from them, give the same probabilities."""
    returns = np.array([[0.3, 1.4]])
    asked = outcome_probabilities(returns, np.array([[0, 1]]), tie=0.5)[0, 0]
    learned = choice_log_probs(torch.tensor(0.3 - 1.4).double(), log_tie=torch.tensor(0.5).double().log()).exp()
    np.testing.assert_allclose(asked, learned.numpy())


def test_calibration_error_against_a_naive_loop():
    rng = np.random.default_rng(0)
    probability, outcome = rng.random(500), (rng.random(500) < 0.5).astype(float)
    want = 0.0
    for b in range(10):
        inside = (probability * 10).astype(int) == b
        if inside.any():
            want += abs(probability[inside].mean() - outcome[inside].mean()) * inside.mean()
    got, table = expected_calibration_error(torch.from_numpy(probability).float(), torch.from_numpy(outcome).float())
    assert got == pytest.approx(want, abs=1e-5)
    assert table[:, 2].sum() == 500


def test_perfectly_calibrated_is_zero():
    probability = torch.tensor([0.25] * 4)
    error, _ = expected_calibration_error(probability, torch.tensor([1.0, 0, 0, 0]))
    assert error == pytest.approx(0.0)

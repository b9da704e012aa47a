"""The choice model against hand-computed probabilities and a naive loop."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heeler.feedback.acquisition import outcome_probabilities
from heeler.feedback.annotators.likelihood import probability_left
from heeler.ops.preferences import choice_log_probs, expected_calibration_error, person_choice_log_probs


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


def of_person(advantage: float, eta: float, lean: float, looked: float, **settings) -> torch.Tensor:
    values = (torch.tensor(value, dtype=torch.float64) for value in (advantage, eta, lean, looked))
    first, *people = values
    names = ("reliability", "lean", "looked")
    return person_choice_log_probs(first, **dict(zip(names, people, strict=True)), **settings)


def test_crowd_bt_by_hand():
    """P(left) = η σ(Δ) + (1 − η) σ(−Δ), at σ(Δ) = 3/4 and η = 0.9."""
    left = of_person(math.log(3.0), 0.9, 0.0, 1.0)[0].exp().item()
    assert left == pytest.approx(0.9 * 0.75 + 0.1 * 0.25, abs=1e-5)


@given(
    advantage=st.floats(-20, 20),
    eta=st.floats(0.01, 0.99),
    lean=st.floats(-5, 5),
    looked=st.floats(0.01, 0.99),
    log_tie=st.floats(-5, 5),
    lapse=st.floats(0, 0.9),
)
def test_answers_of_people_by_definition(advantage, eta, lean, looked, log_tie, lapse):
    def davidson(margin):
        weights = np.array([math.exp(margin / 2), math.exp(-margin / 2), math.exp(log_tie)])
        return weights / weights.sum()

    seen = eta * davidson(advantage + lean) + (1 - eta) * davidson(-advantage + lean)
    want = (1 - lapse) * (looked * seen + (1 - looked) * davidson(lean)) + lapse / 3
    got = of_person(advantage, eta, lean, looked, log_tie=torch.tensor(log_tie).double(), lapse=lapse)
    np.testing.assert_allclose(got.exp().numpy(), want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("eta", "looked"), [(0.5, 1.0), (0.9, 0.0)])
def test_who_is_as_good_as_a_coin_moves_nothing(eta, looked):
    advantage = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    people = (torch.tensor(value, dtype=torch.float64) for value in (eta, 0.0, looked))
    names = ("reliability", "lean", "looked")
    person_choice_log_probs(advantage, **dict(zip(names, people, strict=True)))[0].backward()
    assert advantage.grad is not None
    assert advantage.grad.item() == pytest.approx(0.0, abs=1e-5)


def test_two_modules_speak_of_one_person():
    """NumPy's side, which finds out who is who, and torch's, which learns from them."""
    found = probability_left(np.array([0.7]), np.array([0.8]), np.array([0.4]), np.array([0.6]), 0.0)
    np.testing.assert_allclose(of_person(0.7, 0.8, 0.4, 0.6)[0].exp().item(), found[0], rtol=1e-6)

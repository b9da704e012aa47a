"""Likelihoods of answers against hand-computed cases, enumeration and simulated people."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from heeler.ops.answer_likelihoods import (
    bits_of_answers,
    expected_bits,
    pick_log_probs,
    rating_log_probs,
    sign_log_probs,
    with_lapses,
)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_a_rating_is_a_difference_of_two_sigmoids() -> None:
    level, lowest, gap = 0.7, -1.2, [0.3, -0.5, 2.0]
    cuts = [lowest]
    for one in gap:
        cuts.append(cuts[-1] + softplus(one))
    at_most = [0.0, *(sigmoid(cut - level) for cut in cuts), 1.0]
    naive = [high - low for low, high in pairwise(at_most)]
    found = rating_log_probs(*(torch.tensor(x, dtype=torch.float64) for x in (level, lowest, gap))).exp()
    np.testing.assert_allclose(found, naive, rtol=1e-12)
    assert found.sum().item() == pytest.approx(1.0, abs=1e-12)


def test_ratings_far_from_all_cuts_keep_finite_logarithms() -> None:
    log_probs = rating_log_probs(torch.tensor([-60.0, 60.0]), torch.tensor(0.0), torch.zeros(3))
    assert log_probs.isfinite().all()
    assert log_probs[0].argmax() == 0
    assert log_probs[1].argmax() == 4


def test_ratings_and_picks_have_the_gradients_of_their_definitions() -> None:
    level = torch.randn(4, dtype=torch.float64, requires_grad=True)
    gap = torch.randn(2, dtype=torch.float64, requires_grad=True)
    lowest = torch.tensor(-0.3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(rating_log_probs, (level, lowest, gap))
    assert gradcheck(pick_log_probs, (torch.randn(3, 4, dtype=torch.float64, requires_grad=True),))


def test_a_pick_is_a_share_of_exponentials_among_those_that_are_there() -> None:
    level = torch.tensor([[0.5, -1.0, 2.0]])
    weight = [math.exp(0.5), math.exp(-1.0), math.exp(2.0)]
    np.testing.assert_allclose(pick_log_probs(level).exp()[0], np.array(weight) / sum(weight), rtol=1e-6)
    among = pick_log_probs(level, torch.tensor([[True, True, False]])).exp()[0]
    np.testing.assert_allclose(among, [weight[0] / sum(weight[:2]), weight[1] / sum(weight[:2]), 0.0], rtol=1e-6)


def test_a_pick_of_two_is_a_comparison() -> None:
    from heeler.ops.preferences import choice_log_probs

    left, right = torch.randn(50), torch.randn(50)
    torch.testing.assert_close(pick_log_probs(torch.stack([left, right], -1)), choice_log_probs(left - right))


def test_good_and_bad_are_complements() -> None:
    log_probs = sign_log_probs(torch.tensor([0.3, -40.0]))
    np.testing.assert_allclose(log_probs.exp().sum(-1), 1.0)
    assert log_probs[0, 1].exp().item() == pytest.approx(sigmoid(0.3))
    assert log_probs.isfinite().all()


def test_lapses_are_spread_over_the_outcomes_that_there_are() -> None:
    log_probs = torch.tensor([[math.log(0.9), math.log(0.1), -math.inf]])
    mixed = with_lapses(log_probs, 0.2, torch.tensor([2.0])).exp()[0]
    np.testing.assert_allclose(mixed, [0.8 * 0.9 + 0.1, 0.8 * 0.1 + 0.1, 0.0], rtol=1e-6)
    torch.testing.assert_close(with_lapses(log_probs[:, :2], 0.2).exp()[0], mixed[:2])
    assert with_lapses(log_probs, 0.0) is log_probs


def test_bits_of_an_answer_are_those_of_bayes_rule() -> None:
    probability = np.array([[0.9, 0.5], [0.2, 0.5], [0.1, 0.5]])
    naive = []
    for answer in range(2):
        posterior = probability[:, answer] / probability[:, answer].sum()
        naive.append(sum(p * math.log2(p / (1 / 3)) for p in posterior))
    np.testing.assert_allclose(bits_of_answers(torch.tensor(probability).log()), naive, atol=1e-6)


def test_expected_bits_are_the_mean_of_the_bits_of_each_answer() -> None:
    """Mutual information is the expected divergence of the posterior from the prior, over answers."""
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(4), size=(5, 3))  # M = 5, batch of 3
    log_probs = torch.tensor(probability).log()
    naive = np.zeros(3)
    for item in range(3):
        for outcome in range(4):
            naive[item] += probability[:, item, outcome].mean() * float(bits_of_answers(log_probs[:, item, outcome]))
    np.testing.assert_allclose(expected_bits(log_probs), naive, atol=1e-6)
    same = torch.tensor(probability[:1]).log().expand(5, -1, -1)
    np.testing.assert_allclose(expected_bits(same), 0.0, atol=1e-12)


def test_a_scale_is_found_again_from_simulated_ratings() -> None:
    """Maximum likelihood finds the cuts that simulated people rated by: the estimator is right, not only consistent."""
    rng, number = np.random.default_rng(1), 20_000
    level, cuts = rng.normal(scale=1.5, size=number), np.array([-1.0, 0.2, 1.0])
    drawn = level + rng.logistic(size=number)
    rated = torch.tensor((drawn[:, None] > cuts).sum(1))
    lowest, gap = torch.zeros((), requires_grad=True), torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.LBFGS([lowest, gap], max_iter=60, line_search_fn="strong_wolfe")
    tensor = torch.tensor(level, dtype=torch.float32)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -rating_log_probs(tensor, lowest, gap).gather(1, rated[:, None]).mean()
        value.backward()
        return value

    optimizer.step(loss)  # pyright: ignore[reportArgumentType]
    found = lowest.item() + np.concatenate([[0.0], np.cumsum(torch.nn.functional.softplus(gap).detach().numpy())])
    np.testing.assert_allclose(found, cuts, atol=0.06)

"""The learned reward against naive loops, known rewards and known probabilities."""

import itertools
import math
import time

import numpy as np
import pytest
import torch

from heeler.core.nouns import Segment
from heeler.rewards.preference_model import PreferenceModelConfig, PreferenceModelState, is_clearly_worse
from tests.unit.rewards.comparisons import (
    advantage,
    build,
    correlation_with_truth,
    fitted,
    noisy,
    oracle,
    pairs_of,
    segment,
    trajectory_names,
)


def steps_of(item: Segment) -> np.ndarray:
    """[L, F] float64: what a naive model sees."""
    return np.concatenate([item.observation, item.action], -1).astype(np.float64)


# The fit against a naive loop over members, comparisons and steps


class NaiveMember:
    """One member alone: plain layers, its own optimiser, one comparison at a time."""

    def __init__(self, state: PreferenceModelState, member: int, config: PreferenceModelConfig) -> None:
        network = state.network
        self.weights = [w[member].detach().clone().requires_grad_() for w in network.weights]
        self.biases = [b[member, 0].detach().clone().requires_grad_() for b in network.biases]
        self.optimizer = torch.optim.AdamW(
            [*self.weights, *self.biases], lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def segment_return(self, x_LF: np.ndarray) -> torch.Tensor:
        total = torch.zeros(())
        for row in x_LF:
            x = torch.tensor(row, dtype=torch.float32)
            for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
                x = torch.nn.functional.silu(x @ weight + bias)
            total = total + (x @ self.weights[-1] + self.biases[-1])[0]
        return total

    def loss(self, features: np.ndarray, outcomes: list[int], weights: np.ndarray, lapse: float) -> torch.Tensor:
        total = torch.zeros(())
        for (left, right), outcome, weight in zip(features, outcomes, weights, strict=True):
            p_left = torch.sigmoid(self.segment_return(left) - self.segment_return(right))
            chosen = p_left if outcome == 0 else 1 - p_left
            total = total - weight * torch.log((1 - lapse) * chosen + lapse / 2)
        return total / max(1.0, weights.sum())


@pytest.mark.parametrize("lapse", [0.0, 0.1])
def test_a_fit_is_what_each_member_would_learn_alone(lapse):
    pairs = pairs_of(9, num_steps=3)
    choices = oracle(pairs)
    model = build(lapse=lapse, minibatch_size=100, max_epochs=3, hidden_sizes=(4,), learning_rate=1e-2)
    state = model.add(model.init(0), pairs, choices)
    assert state.comparisons is not None
    members = [NaiveMember(state, m, model.config) for m in range(3)]
    raw = np.stack([[steps_of(s) for s in pair] for pair in pairs])
    rows = raw.reshape(-1, raw.shape[-1])
    features = np.clip((raw - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-6), -5, 5)
    outcomes = [0 if choice == "left" else 1 for choice in choices]
    weights = state.comparisons.weight_MQ.numpy()
    model.fit(state)
    for m, member in enumerate(members):
        for _ in range(3):
            member.optimizer.zero_grad()
            member.loss(features, outcomes, weights[m], lapse).backward()
            member.optimizer.step()
        for layer, weight in enumerate(member.weights):
            torch.testing.assert_close(state.network.weights[layer][m], weight, atol=1e-5, rtol=1e-4)
        # The last bias shifts all rewards alike, so comparisons say nothing about it and its gradient is rounding.
        for layer, bias in enumerate(member.biases[:-1]):
            torch.testing.assert_close(state.network.biases[layer][m, 0], bias, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("minibatch_size", [1, 7, 16])
def test_whichever_half_of_a_minibatch_is_first_the_weights_are_the_same(monkeypatch, minibatch_size, late):
    pairs = pairs_of(40)
    choices = [*oracle(pairs[:-4]), "equal", "equal", "equal", "equal"]
    model = build(minibatch_size=minibatch_size, max_epochs=2)
    expected = fitted(model, pairs, choices)
    differentiate, calls = model._differentiate, itertools.count()

    def slowly(*half):
        if next(calls) % 2 == late:
            time.sleep(0.005)
        differentiate(*half)

    monkeypatch.setattr(model, "_differentiate", slowly)
    state = fitted(model, pairs, choices)
    assert next(calls) > 0
    assert torch.equal(state.parameters.flat, expected.parameters.flat)
    assert torch.equal(state.log_tie, expected.log_tie)


def test_figures_of_a_fit_against_a_naive_loop():
    pairs = pairs_of(60)
    choices = noisy(pairs, 1, spread=3.0)
    model = build(lapse=0.1)
    state = fitted(model, pairs, choices)
    returns = [model.segment_returns(state, list(pair)).double().numpy() for pair in pairs]
    assert state.comparisons is not None
    held_out = state.comparisons.validation_Q.numpy()
    for name, side in (("train", False), ("validation", True)):
        losses, right_way = [], []
        for index in np.flatnonzero(held_out == side):
            member_left = 1 / (1 + np.exp(-(returns[index][:, 0] - returns[index][:, 1])))
            p_left = float((0.9 * member_left + 0.05).mean())
            chosen = p_left if choices[index] == "left" else 1 - p_left
            losses.append(-math.log(chosen))
            right_way.append(chosen > 0.5)
        assert state.last_fit[f"{name}_loss"] == pytest.approx(np.mean(losses), abs=1e-4)
        assert state.last_fit[f"{name}_accuracy"] == pytest.approx(np.mean(right_way))


def test_a_sure_and_wrong_model_has_a_finite_loss():
    """In float32 the probability itself would be 0; its logarithm must stay finite, or no metric could be written."""
    pairs = pairs_of(40)
    model = build(max_epochs=40, learning_rate=0.05)
    state = fitted(model, pairs, oracle(pairs))
    with torch.no_grad():
        state.network.weights[-1].mul_(1e4)
    wrong = model.add(state, pairs, ["right" if advantage(pair) > 0 else "left" for pair in pairs])
    assert wrong.comparisons is not None
    figures = model._evaluate(wrong, model._normalize(wrong, wrong.comparisons.feature_Q2LF), wrong.comparisons)
    assert 1000 < figures["train_loss"] < math.inf
    assert math.isfinite(figures["calibration_error"])


def test_without_held_out_answers_nothing_is_said_of_calibration():
    pairs = pairs_of(40, validation_every=0)
    state = fitted(build(), pairs, oracle(pairs))
    assert "train_accuracy" in state.last_fit
    assert "calibration_error" not in state.last_fit
    assert state.reliability == []


# Who sees what


def test_members_see_different_data():
    model = build()
    state = model.add(model.init(0), pairs_of(200), ["left"] * 200)
    data = state.comparisons
    assert data is not None
    weight = data.weight_MQ[:, ~data.validation_Q]
    for a in range(3):
        assert weight[a].mean() == pytest.approx(1.0, abs=0.25)
        for b in range(a):
            assert (weight[a] != weight[b]).float().mean() > 0.5
    # A bootstrap sample leaves out about 1/e of the comparisons.
    assert float((weight == 0).float().mean()) == pytest.approx(math.exp(-1), abs=0.06)


def test_validation_rows_weigh_nothing_and_change_no_weight_of_the_network():
    pairs, choices = pairs_of(32), oracle(pairs_of(32))
    model = build(max_epochs=1, patience=1)
    state = model.add(model.init(0), pairs, choices)
    assert state.comparisons is not None
    held_out = state.comparisons.validation_Q
    assert held_out.sum() == 4
    assert (state.comparisons.weight_MQ[:, held_out] == 0).all()
    assert (state.comparisons.weight_MQ[:, ~held_out].sum(1) > 0).all()
    turned = [("right" if c == "left" else "left") if index % 8 == 0 else c for index, c in enumerate(choices)]
    other = model.add(model.init(0), pairs, turned)
    for one, two in zip(
        model.fit(state)[0].network.parameters(), model.fit(other)[0].network.parameters(), strict=True
    ):
        assert torch.equal(one, two)
    assert state.last_fit["validation_loss"] != other.last_fit["validation_loss"]


def test_a_pair_with_either_trajectory_held_out_is_never_trained_on():
    rng = np.random.default_rng(0)
    train, held_out = trajectory_names(1, validation=False)[0], trajectory_names(1, validation=True)[0]
    pairs = [(segment(rng, a), segment(rng, b)) for a in (train, held_out) for b in (train, held_out)]
    model = build()
    state = model.add(model.init(0), pairs, ["left"] * 4)
    assert state.comparisons is not None
    assert state.comparisons.validation_Q.tolist() == [False, True, True, True]
    assert (state.comparisons.weight_MQ[:, 1:] == 0).all()


# Early stopping


def test_early_stopping_goes_back_to_the_best_weights():
    """Members that overfit coin flips get worse on validation; what is kept is the best epoch, not the last."""
    pairs = pairs_of(120)
    choices = noisy(pairs, 0, spread=1e9)
    settings = {"learning_rate": 3e-2, "hidden_sizes": (64,)}
    stopped = fitted(build(max_epochs=25, patience=3, **settings), pairs, choices).last_fit
    assert stopped["epochs"] < 25
    # The best epoch came before everything was learned by rote.
    assert stopped["train_loss"] > 0.1
    num_epochs = int(stopped["epochs"])
    fits = [
        fitted(build(max_epochs=e + 1, patience=100, **settings), pairs, choices).last_fit for e in range(num_epochs)
    ]
    losses = [fit["validation_loss"] for fit in fits]
    assert losses[-1] > 1.05 * min(losses)
    assert stopped["validation_loss"] == pytest.approx(min(losses), rel=1e-5)


def test_a_loss_is_clearly_worse_when_it_rose_by_more_than_a_standard_error():
    best = torch.zeros(100)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(100, generator=rng)
    noise -= noise.mean()
    assert is_clearly_worse(noise + 0.15, best)
    assert not is_clearly_worse(noise + 0.05, best)
    assert not is_clearly_worse(noise - 0.15, best)
    assert not is_clearly_worse(torch.ones(3), torch.full((3,), math.inf))


def test_the_weight_of_a_tie_goes_back_to_the_best_epoch_too():
    """Ties in training alone: every epoch makes them likelier and validation worse, so the first epoch's is kept."""
    pairs = pairs_of(120)
    choices = ["equal" if index % 8 else choice for index, choice in enumerate(oracle(pairs))]
    model = build(max_epochs=30, patience=5, learning_rate=0.05)
    state = model.add(model.init(0), pairs, choices)
    once = build(max_epochs=1, learning_rate=0.05)
    first = once.fit(once.add(once.init(0), pairs, choices))[0]
    model.fit(state)
    # The second pass is worse, but not clearly; the five after it are.
    assert state.last_fit["epochs"] == 7
    assert torch.equal(state.log_tie, first.log_tie)


# Ties and lapses


def test_ties_are_an_outcome_only_once_somebody_answered_equal():
    pairs = pairs_of(80)
    choices = oracle(pairs)
    model = build(max_epochs=10)
    state = fitted(model, pairs, choices)
    assert state.log_tie.item() == -1.0
    assert model.tie_weight(state) == 0.0
    features = model._normalize(state, state.comparisons.feature_Q2LF)
    assert model._outcome_log_probs(state, features).shape == (3, 80, 2)
    state = model.add(state, pairs_of(1, seed=5, validation_every=0), ["equal"])
    features = model._normalize(state, state.comparisons.feature_Q2LF)
    log_probs = model._outcome_log_probs(state, features)
    assert log_probs.shape == (3, 81, 3)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(3, 81))
    assert model.tie_weight(state) == pytest.approx(math.exp(-1.0))


def test_ties_learn_how_often_people_say_equal():
    """Two of three answers are "equal" whatever is shown: ν makes up for it, and the reward stays flat."""
    pairs = pairs_of(300)
    rng = np.random.default_rng(0)
    choices = [("left", "right", "equal", "equal", "equal", "equal")[rng.integers(6)] for _ in pairs]
    model = build(max_epochs=200, patience=200, learning_rate=1e-2, hidden_sizes=(), validation_share=0.0)
    state = fitted(model, pairs, choices)
    share = np.mean([choice == "equal" for choice in choices])
    features = model._normalize(state, state.comparisons.feature_Q2LF)
    learned = model._outcome_log_probs(state, features).exp()[..., 2].mean().item()
    assert learned == pytest.approx(share, abs=0.05)


def test_close_pairs_are_likelier_equal():
    """Answers of a Davidson teacher: "equal" where the returns are near, a side where they are far apart."""
    pairs = pairs_of(300)
    choices = ["equal" if abs(advantage(p)) < 6 else ("left" if advantage(p) > 0 else "right") for p in pairs]
    model = build(max_epochs=60, patience=60, learning_rate=1e-2, hidden_sizes=())
    state = fitted(model, pairs, choices)
    equal = (
        model._outcome_log_probs(state, model._normalize(state, state.comparisons.feature_Q2LF)).exp()[..., 2].mean(0)
    )
    tied = torch.tensor([choice == "equal" for choice in choices])
    assert equal[tied].mean() > 2 * equal[~tied].mean()


@pytest.mark.parametrize(("lapse", "surest"), [(0.0, 1.0), (0.1, 0.95), (0.4, 0.8)])
def test_a_lapse_bounds_how_sure_the_model_can_be(lapse, surest):
    pairs = pairs_of(100)
    state = fitted(build(lapse=lapse, max_epochs=100, patience=100, learning_rate=0.02), pairs, oracle(pairs))
    model = build(lapse=lapse)
    probabilities = model._outcome_log_probs(state, model._normalize(state, state.comparisons.feature_Q2LF)).exp()
    assert probabilities.max().item() == pytest.approx(surest, abs=1e-3)


def test_a_lapse_keeps_mistakes_from_ruling_the_reward():
    """One answer in five wrong: with a lapse that expects it the reward is nearer to the truth."""
    pairs = pairs_of(240)
    rng = np.random.default_rng(3)
    choices = [c if rng.random() > 0.2 else ("left" if c == "right" else "right") for c in oracle(pairs)]
    settings = {"max_epochs": 150, "patience": 150, "learning_rate": 1e-2, "hidden_sizes": (), "validation_share": 0.0}
    trusting, wary = build(**settings, lapse=0.0), build(**settings, lapse=0.4)
    assert correlation_with_truth(wary, fitted(wary, pairs, choices)) > correlation_with_truth(
        trusting, fitted(trusting, pairs, choices)
    )

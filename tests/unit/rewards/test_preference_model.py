"""The learned reward against naive loops, known rewards and known probabilities."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Segment
from heeler.rewards.preference_model import PreferenceModel, PreferenceModelConfig, PreferenceModelState
from tests.unit.rewards.comparisons import (
    ACTION_SIZE,
    OBSERVATION_SIZE,
    SMALL,
    advantage,
    build,
    fitted,
    noisy,
    oracle,
    pairs_of,
    rollout,
    segment,
    trajectory_names,
    true_reward,
)


def steps_of(item: Segment) -> np.ndarray:
    """[L, F] float64: what a naive model sees."""
    return np.concatenate([item.observation, item.action], -1).astype(np.float64)


def correlation(model: PreferenceModel, state: PreferenceModelState) -> float:
    """Of learned and true reward on steps that were never asked about."""
    fresh = rollout(99)
    learned = model.reward(state, model.predict(state, fresh))
    return float(np.corrcoef(learned.ravel(), true_reward(fresh.observation[:-1], fresh.action).ravel())[0, 1])


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
    model = build(max_epochs=40, learning_rate=0.05, validation_share=0.0)
    state = fitted(model, pairs, oracle(pairs))
    with torch.no_grad():
        state.network.weights[-1].mul_(1e4)
    wrong = model.add(state, pairs, ["right" if advantage(pair) > 0 else "left" for pair in pairs])
    assert wrong.comparisons is not None
    figures = model._evaluate(wrong, model._normalize(wrong, wrong.comparisons.feature_Q2LF), wrong.comparisons)
    assert 1000 < figures["train_loss"] < math.inf
    assert math.isfinite(figures["calibration_error"])


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


def test_early_stopping_keeps_the_best_weights():
    """Members that overfit coin flips get worse on validation; what is kept is the best epoch, not the last."""
    pairs = pairs_of(120)
    choices = noisy(pairs, 0, spread=1e9)
    settings = {"learning_rate": 3e-2, "hidden_sizes": (64,)}
    fits = [fitted(build(max_epochs=e, patience=100, **settings), pairs, choices).last_fit for e in range(1, 26)]
    losses = [fit["validation_loss"] for fit in fits]
    assert all(later <= earlier + 1e-6 for earlier, later in pairwise(losses))
    # The best epoch came before everything was learned by rote.
    assert fits[-1]["train_loss"] > 0.1
    stopped = fitted(build(max_epochs=25, patience=3, **settings), pairs, choices).last_fit
    assert stopped["epochs"] < 25
    assert stopped["validation_loss"] == pytest.approx(min(losses), abs=0.02)


def test_the_weight_of_a_tie_goes_back_to_the_best_epoch_too():
    """Ties in training alone: every epoch makes them likelier and validation worse, so the first epoch's is kept."""
    pairs = pairs_of(120)
    choices = ["equal" if index % 8 else choice for index, choice in enumerate(oracle(pairs))]
    model = build(max_epochs=30, patience=5, learning_rate=0.05)
    state = model.add(model.init(0), pairs, choices)
    once = build(max_epochs=1, learning_rate=0.05)
    first = once.fit(once.add(once.init(0), pairs, choices))[0]
    model.fit(state)
    assert state.last_fit["epochs"] == 6
    assert torch.equal(state.log_tie, first.log_tie)


# Ties and lapses


def test_ties_are_an_outcome_only_once_somebody_answered_equal():
    pairs = pairs_of(80)
    choices = oracle(pairs)
    model = build(max_epochs=10)
    state = fitted(model, pairs, choices)
    assert state.log_tie.item() == -1.0
    features = model._normalize(state, state.comparisons.feature_Q2LF)
    assert model._outcome_log_probs(state, features).shape == (3, 80, 2)
    state = model.add(state, pairs_of(1, seed=5, validation_every=0), ["equal"])
    features = model._normalize(state, state.comparisons.feature_Q2LF)
    log_probs = model._outcome_log_probs(state, features)
    assert log_probs.shape == (3, 81, 3)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(3, 81))


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
    assert correlation(wary, fitted(wary, pairs, choices)) > correlation(trusting, fitted(trusting, pairs, choices))


# What comes out


def test_shift_invariance():
    """Comparisons leave a constant free; calibrated rewards do not depend on it."""
    pairs = pairs_of(60)
    model = build()
    state = fitted(model, pairs, oracle(pairs))
    scene = rollout()
    figures = dict(state.last_fit)
    raw = model.predict(state, scene)
    before = model.reward(model.calibrate(state, raw), raw)
    with torch.no_grad():
        state.network.biases[-1].add_(torch.tensor([5.0, -3.0, 40.0]).view(3, 1, 1))
    assert state.comparisons is not None
    after_figures = model._evaluate(state, model._normalize(state, state.comparisons.feature_Q2LF), state.comparisons)
    raw = model.predict(state, scene)
    np.testing.assert_allclose(model.reward(model.calibrate(state, raw), raw), before, atol=1e-4)
    for name, value in after_figures.items():
        assert value == pytest.approx(figures[name], abs=1e-4)


def test_calibrate_gives_each_member_mean_0_and_spread_1():
    model = build()
    state = fitted(model, pairs_of(60), oracle(pairs_of(60)))
    raw = model.predict(state, rollout())
    state = model.calibrate(state, raw)
    for member in range(3):
        alone = (raw[member] - state.offset_M[member]) * state.scale_M[member]
        assert alone.mean().item() == pytest.approx(0, abs=1e-5)
        assert alone.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert model.reward(state, raw).mean() == pytest.approx(0, abs=1e-5)


def test_members_that_know_nothing_give_no_reward():
    """A constant prediction must not be blown up into noise by its own rounding."""
    model = build()
    state = model.init(0)
    with torch.no_grad():
        for weight in state.network.weights:
            weight.zero_()
        state.network.biases[-1].fill_(0.1)
    raw = model.predict(state, rollout(num_steps=333, num_envs=7))
    np.testing.assert_allclose(model.reward(model.calibrate(state, raw), raw), 0, atol=1e-3)


def test_pessimism_takes_off_the_members_disagreement():
    pairs = pairs_of(40)
    plain, wary = build(), build(pessimism=1.5)
    state = fitted(plain, pairs, oracle(pairs))
    raw = plain.predict(state, rollout())
    state = plain.calibrate(state, raw)
    member = ((raw - state.offset_M[:, None, None]) * state.scale_M[:, None, None]).numpy()
    np.testing.assert_allclose(plain.reward(state, raw), member.mean(0), atol=1e-5)
    np.testing.assert_allclose(wary.reward(state, raw), member.mean(0) - 1.5 * member.std(0), atol=1e-5)


def test_recovers_a_linear_reward_from_an_oracle():
    pairs = pairs_of(300)
    model = build(hidden_sizes=(32,), max_epochs=60, patience=10, learning_rate=3e-3)
    turned = ["left" if choice == "right" else "right" for choice in oracle(pairs)]
    assert correlation(model, fitted(model, pairs, turned)) < -0.95
    state = fitted(model, pairs, oracle(pairs))
    assert correlation(model, state) > 0.95
    assert state.last_fit["validation_accuracy"] > 0.85


def test_recovers_it_from_noisy_answers_with_more_data():
    def learned(num: int) -> float:
        pairs = pairs_of(num, seed=2)
        spread = float(np.std([advantage(pair) for pair in pairs]))
        model = build(hidden_sizes=(32,), max_epochs=40, patience=10, learning_rate=3e-3, minibatch_size=64)
        return correlation(model, fitted(model, pairs, noisy(pairs, 4, spread=spread)))

    few, many = learned(60), learned(2000)
    assert many > 0.95
    assert many > few


def test_calibration_on_answers_of_known_probability():
    """A linear model of enough noisy answers states the probabilities that the teacher had."""
    pairs = pairs_of(3000, validation_every=3)
    model = build(hidden_sizes=(), max_epochs=60, patience=10, learning_rate=1e-2, minibatch_size=256)
    state = fitted(model, pairs, noisy(pairs, 5, spread=8.0))
    assert state.last_fit["calibration_error"] < 0.04
    predicted, happened, count = np.array(state.reliability).T
    assert count.sum() == 1000
    # Each bin's outcome lies within four standard errors of what was stated.
    error = np.sqrt(predicted * (1 - predicted) / count)
    assert (np.abs(predicted - happened) < 4 * error + 0.02).all()
    p_true = 1 / (1 + np.exp([-advantage(pair) / 8.0 for pair in pairs]))
    returns = torch.stack([model.segment_returns(state, list(pair)) for pair in pairs[:300]])
    stated = torch.sigmoid(returns[..., 0] - returns[..., 1]).mean(1).numpy()
    assert np.abs(stated - p_true[:300]).mean() < 0.05


def test_an_overconfident_model_is_called_so():
    """A model without any lapse that learned 60 answers by rote is told by its calibration error on others."""
    pairs = pairs_of(120, validation_every=2)
    model = build(hidden_sizes=(64,), max_epochs=100, patience=100, learning_rate=1e-2)
    state = fitted(model, pairs, noisy(pairs, 0, spread=20.0))
    with torch.no_grad():
        for weight in (state.network.weights[-1], state.network.biases[-1]):
            weight.mul_(50)
    assert state.comparisons is not None
    figures = model._evaluate(state, model._normalize(state, state.comparisons.feature_Q2LF), state.comparisons)
    assert figures["calibration_error"] > 0.2


# Inputs


def discrete_segment(rng: np.random.Generator, num_choices: tuple[int, ...], good: tuple[int, ...]) -> Segment:
    action = np.stack([rng.integers(n, size=4) for n in num_choices], 1)
    name = trajectory_names(40, validation=False)[rng.integers(40)]
    reward = sum((action[:, i] == g).astype(np.float32) for i, g in enumerate(good))
    return replace(segment(rng, name, num_steps=4), action=action, true_reward=reward)


@pytest.mark.parametrize(("num_choices", "good"), [((4,), (2,)), ((2, 3), (1, 0))])
def test_discrete_actions_are_one_hot(num_choices, good):
    """Choices have no order: the best one in the middle is found by a model that is linear in its inputs."""
    config = PreferenceModelConfig(**(SMALL | {"hidden_sizes": (), "max_epochs": 60, "learning_rate": 0.02}))
    model = PreferenceModel(config, OBSERVATION_SIZE, len(num_choices), num_choices)
    assert model.num_features == OBSERVATION_SIZE + sum(num_choices)
    rng = np.random.default_rng(0)
    pairs = [tuple(discrete_segment(rng, num_choices, good) for _ in range(2)) for _ in range(200)]
    pairs = [pair for pair in pairs if advantage(pair) != 0]
    state = fitted(model, pairs, oracle(pairs))
    scene = rollout(action=np.stack([np.tile(rng.integers(n, size=(40, 1)), 5) for n in num_choices], -1))
    feature = model.features(scene.observation[:-1], scene.action, scene.next_observation)
    one_hot = feature[..., OBSERVATION_SIZE:].numpy()
    np.testing.assert_array_equal(one_hot.sum(-1), len(num_choices))
    start = 0
    for component, n in enumerate(num_choices):
        np.testing.assert_array_equal(one_hot[..., start : start + n].argmax(-1), scene.action[..., component])
        start += n
    reward = model.reward(state, model.predict(state, scene))
    score = sum((scene.action[..., i] == g).astype(float) for i, g in enumerate(good))
    assert np.corrcoef(reward.ravel(), score.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    "inputs", [("observation",), ("action",), ("next_observation",), ("next_observation", "action")]
)
def test_the_reward_depends_on_its_inputs_alone(inputs):
    model = build(inputs=inputs)
    state = fitted(model, pairs_of(40), oracle(pairs_of(40)))
    scene = rollout()
    base = model.predict(state, scene)
    rng = np.random.default_rng(1)
    changed = {
        "observation": replace(scene, observation=np.concatenate([scene.observation[:1] + 1, scene.observation[1:]])),
        "action": replace(scene, action=rng.normal(size=scene.action.shape).astype(np.float32)),
        "next_observation": replace(
            scene, observation=np.concatenate([scene.observation[:-1], scene.observation[-1:] + 1])
        ),
    }
    for name, other in changed.items():
        assert torch.equal(model.predict(state, other), base) == (name not in inputs), name


def test_features_outside_what_was_asked_about_are_bounded():
    """A reward cannot be driven without end by leaving everything that anybody was asked about."""
    model = build(max_epochs=40)
    state = fitted(model, pairs_of(60), oracle(pairs_of(60)))
    far = rollout(observation=np.full((41, 5, OBSERVATION_SIZE), 1e3, np.float32))
    further = replace(far, observation=far.observation * 1e3)
    assert torch.equal(model.predict(state, far), model.predict(state, further))


def test_segment_returns_are_sums_of_predictions():
    model = build()
    state = fitted(model, pairs_of(40), oracle(pairs_of(40)))
    scene = rollout()
    item = Segment(
        observation=scene.observation[3:8, 2],
        action=scene.action[3:8, 2],
        next_observation=scene.next_observation[3:8, 2],
        env_id="Made-up",
        policy_version=0,
        trajectory_id="train/env-2/episode-0",
        start_step=3,
    )
    torch.testing.assert_close(
        model.segment_returns(state, [item])[:, 0], model.predict(state, scene)[:, 3:8, 2].sum(1), atol=1e-5, rtol=1e-5
    )


# Saving


def test_save_load_same_fit_bit_for_bit():
    pairs = pairs_of(90)
    choices = [*oracle(pairs)[:-1], "equal"]
    model = build()
    state = fitted(model, pairs[:50], choices[:50])
    state = model.calibrate(state, model.predict(state, rollout()))
    saved = {name: tensor.clone() for name, tensor in model.tensors(state).items()}

    def go_on(state: PreferenceModelState) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        for start in (50, 70):
            state = model.add(state, pairs[start : start + 20], choices[start : start + 20])
            state, figures = model.fit(state)
        return model.tensors(state), figures

    uninterrupted, figures = go_on(state)
    resumed, same = go_on(model.load_tensors(model.init(99), saved))
    assert figures == same
    assert uninterrupted.keys() == resumed.keys()
    for name, tensor in uninterrupted.items():
        assert torch.equal(tensor, resumed[name]), name


def test_same_seed_same_fit_and_another_seed_another():
    pairs, choices = pairs_of(40), oracle(pairs_of(40))
    one, same, other = (fitted(build(), pairs, choices, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.network.weights[0], same.network.weights[0])
    assert not torch.equal(one.network.weights[0], other.network.weights[0])


def test_comparisons_in_parts_are_the_comparisons_at_once():
    pairs, choices = pairs_of(30), oracle(pairs_of(30))
    model = build()
    state = model.add(model.add(model.init(0), pairs[:10], choices[:10]), pairs[10:], choices[10:])
    whole = model.add(model.init(0), pairs, choices)
    assert state.comparisons is not None
    assert whole.comparisons is not None
    assert torch.equal(state.comparisons.feature_Q2LF, whole.comparisons.feature_Q2LF)
    assert torch.equal(state.comparisons.outcome_Q, whole.comparisons.outcome_Q)
    assert torch.equal(state.comparisons.validation_Q, whole.comparisons.validation_Q)
    assert state.comparisons.weight_MQ.shape == whole.comparisons.weight_MQ.shape


# Bad input


def test_segments_of_another_length_are_refused():
    rng = np.random.default_rng(0)
    name = trajectory_names(1, validation=False)[0]
    short, long = segment(rng, name, num_steps=5), segment(rng, name, num_steps=6)
    model = build()
    state = model.add(model.init(0), pairs_of(3), ["left"] * 3)
    before = state.comparisons
    for pair in ((long, long), (short, long)):
        with pytest.raises(DataError, match="must all have 5 steps, got one of 6"):
            model.add(state, [pair], ["left"])
    assert state.comparisons is before
    with pytest.raises(DataError, match="must all have 5 steps, got one of 6"):
        model.add(model.init(0), [(short, long)], ["left"])


def test_cant_tell_never_enters():
    model = build()
    state = model.init(0)
    with pytest.raises(DataError, match="left, right, equal, got 'cant_tell'"):
        model.add(state, pairs_of(2), ["left", "cant_tell"])
    assert state.comparisons is None


def test_no_comparison_nothing_to_fit():
    model = build()
    assert model.add(model.init(0), [], []).comparisons is None
    with pytest.raises(DataError, match="answer some first"):
        model.fit(model.init(0))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lapse": 1.0}, "lapse"),
        ({"lapse": math.nan}, "lapse"),
        ({"validation_share": 0.5}, "validation_share"),
        ({"inputs": ()}, "inputs"),
        ({"inputs": ("obs",)}, "inputs"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"patience": 0}, "patience"),
        ({"minibatch_size": 0}, "minibatch_size"),
        ({"num_members": 0}, "num_members"),
        ({"hidden_sizes": (0,)}, "hidden_sizes"),
        ({"activation": "softmax"}, "activation"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"pessimism": -1.0}, "pessimism"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        PreferenceModelConfig(**setting)


def test_only_training_comparisons_missing_is_no_crash():
    """All first comparisons may fall on the validation side of a small budget."""
    rng = np.random.default_rng(0)
    name = trajectory_names(1, validation=True)[0]
    model = build()
    state = fitted(model, [(segment(rng, name), segment(rng, name))], ["left"])
    assert state.num_fits == 1
    assert np.isfinite(model.reward(state, model.predict(state, rollout()))).all()
    assert model.num_features == ACTION_SIZE + OBSERVATION_SIZE

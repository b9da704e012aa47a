"""What a fitted model says of steps: known rewards, known probabilities, its inputs, saving and bad input."""

import math
from dataclasses import replace

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
    correlation_with_truth,
    fitted,
    noisy,
    oracle,
    pairs_of,
    rollout,
    segment,
    trajectory_names,
)

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


def test_the_level_tells_what_was_gained_since_the_calibration_and_centring_hides():
    model = build()
    state = fitted(model, pairs_of(60), oracle(pairs_of(60)))
    raw = model.predict(state, rollout())
    state = model.calibrate(state, raw)
    assert model.level(state, raw) == pytest.approx(0, abs=1e-5)
    better = raw + 2 / state.scale_M[:, None, None]
    state = model.centre(state, better)
    assert model.reward(state, better).mean() == pytest.approx(0, abs=1e-5)
    assert model.level(state, better) == pytest.approx(2, abs=1e-4)


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


def test_pessimism_takes_off_the_members_disagreement_and_exploration_adds_it():
    pairs = pairs_of(40)
    plain, wary = build(), build(pessimism=1.5)
    state = fitted(plain, pairs, oracle(pairs))
    raw = plain.predict(state, rollout())
    state = plain.calibrate(state, raw)
    member = ((raw - state.offset_M[:, None, None]) * state.scale_M[:, None, None]).numpy()
    np.testing.assert_allclose(plain.reward(state, raw), member.mean(0), atol=1e-5)
    spread = member.std(0) - member.std(0).mean()
    np.testing.assert_allclose(wary.reward(state, raw), member.mean(0) - 1.5 * spread, atol=1e-5)
    np.testing.assert_allclose(plain.reward(state, raw, exploration=2.0), member.mean(0) + 2 * spread, atol=1e-5)


def test_recovers_a_linear_reward_from_an_oracle():
    pairs = pairs_of(300)
    model = build(hidden_sizes=(32,), max_epochs=60, patience=10, learning_rate=3e-3)
    turned = ["left" if choice == "right" else "right" for choice in oracle(pairs)]
    assert correlation_with_truth(model, fitted(model, pairs, turned)) < -0.95
    state = fitted(model, pairs, oracle(pairs))
    assert correlation_with_truth(model, state) > 0.95
    assert state.last_fit["validation_accuracy"] > 0.85


def test_recovers_it_from_noisy_answers_with_more_data():
    def learned(num: int) -> float:
        pairs = pairs_of(num, seed=2)
        spread = float(np.std([advantage(pair) for pair in pairs]))
        model = build(hidden_sizes=(32,), max_epochs=40, patience=10, learning_rate=3e-3, minibatch_size=64)
        return correlation_with_truth(model, fitted(model, pairs, noisy(pairs, 4, spread=spread)))

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
    scene = rollout(executed=np.stack([np.tile(rng.integers(n, size=(40, 1)), 5) for n in num_choices], -1))
    feature = model.features(scene.observation[:-1], scene.executed, scene.next_observation)
    one_hot = feature[..., OBSERVATION_SIZE:].numpy()
    np.testing.assert_array_equal(one_hot.sum(-1), len(num_choices))
    start = 0
    for component, n in enumerate(num_choices):
        np.testing.assert_array_equal(one_hot[..., start : start + n].argmax(-1), scene.executed[..., component])
        start += n
    reward = model.reward(state, model.predict(state, scene))
    score = sum((scene.executed[..., i] == g).astype(float) for i, g in enumerate(good))
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
        "action": replace(scene, executed=rng.normal(size=scene.executed.shape).astype(np.float32)),
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
        action=scene.executed[3:8, 2],
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
        ({"pessimism": 1.0, "num_members": 1}, "pessimism .* num_members must be >= 2, got 1"),
        ({"observation_columns": ()}, "observation_columns"),
        ({"observation_columns": (1, 1)}, "observation_columns"),
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


def test_a_reward_of_some_columns_sees_no_others():
    model = build(observation_columns=(0, 2), inputs=("observation", "next_observation"))
    assert model.num_features == 4
    pairs = pairs_of(40)
    state = fitted(model, pairs, oracle(pairs))
    seen = rollout()
    before = model.predict(state, seen)
    unseen = [i for i in range(OBSERVATION_SIZE) if i not in (0, 2)]
    seen.observation[..., unseen] += 3.0
    seen.next_observation[..., unseen] -= 3.0
    torch.testing.assert_close(model.predict(state, seen), before)
    seen.next_observation[..., 2] += 1.0
    assert not torch.allclose(model.predict(state, seen), before)


def test_columns_that_an_observation_has_not_are_refused():
    with pytest.raises(ConfigError, match=f"{OBSERVATION_SIZE} numbers"):
        build(observation_columns=(OBSERVATION_SIZE,))

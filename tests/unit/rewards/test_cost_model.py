"""A cost learned from answers about clips."""

from typing import Any

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Segment
from heeler.rewards.cost_model import CostModel, CostModelConfig, CostModelState
from tests.unit.rewards.comparisons import trajectory_names

LENGTH, LIMIT = 8, 1.2
TRAIN, HELD_OUT = trajectory_names(40, validation=False), trajectory_names(10, validation=True)


def clip(rng: np.random.Generator, trajectory: str, *, length: int = LENGTH) -> Segment:
    """Random numbers, of which the first of the observation is a speed."""
    observation = rng.normal(size=(length, 3)).astype(np.float32)
    return Segment(
        observation=observation,
        action=rng.normal(size=(length, 2)).astype(np.float32),
        next_observation=observation,
        env_id="Made-up",
        policy_version=0,
        trajectory_id=trajectory,
        start_step=0,
    )


def answered(num: int, *, mistake: float = 0.0, seed: int = 0) -> tuple[list[Segment], list[bool]]:
    """Clips, and whether any step of each was too fast; some answers are wrong."""
    rng = np.random.default_rng(seed)
    clips = [clip(rng, (HELD_OUT if i % 10 == 0 else TRAIN)[i % 10]) for i in range(num)]
    truth = [bool((one.observation[:, 0] > LIMIT).any()) for one in clips]
    return clips, [said != (rng.random() < mistake) for said in truth]


def build(**settings: Any) -> CostModel:
    return CostModel(CostModelConfig(**({"hidden_sizes": (16,)} | settings)), LENGTH, 3, 2)


def fitted(model: CostModel, num: int, **faults: Any) -> CostModelState:
    return model.fit(model.add(model.init(0), *answered(num, **faults)), 0)


def costs(model: CostModel, state: CostModelState) -> tuple[np.ndarray, np.ndarray]:
    """Learned cost and truth of steps that were in no clip."""
    rng = np.random.default_rng(99)
    observation, action = rng.normal(size=(4000, 3)).astype(np.float32), rng.normal(size=(4000, 2)).astype(np.float32)
    return model.cost(state, observation, action, observation), observation[:, 0] > LIMIT


@pytest.mark.parametrize("mistake", [0.0, 0.1])
def test_the_unsafe_steps_are_found_though_answers_are_about_clips(mistake: float):
    model = build()
    cost, truth = costs(model, fitted(model, 400, mistake=mistake))
    assert ((cost > 0.5) == truth).mean() > 0.95
    assert cost[truth].mean() > 0.6
    assert cost[~truth].mean() < 0.06
    # Answers that say nothing of the steps teach nothing of them.
    clips, said = answered(400)
    rng = np.random.default_rng(5)
    noise = model.fit(model.add(model.init(0), clips, [bool(one) for one in rng.permutation(said)]), 0)
    other, _ = costs(model, noise)
    assert np.corrcoef(other, truth)[0, 1] < 0.5 < np.corrcoef(cost, truth)[0, 1]


def test_an_unfitted_cost_is_nothing_and_a_fit_is_told():
    model = build()
    state = model.init(0)
    assert not costs(model, state)[0].any()
    state = fitted(model, 60)
    assert set(state.last_fit) == {
        "unsafe_share", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy",
    }  # fmt: skip
    assert model.not_finite(state) == []


def test_held_out_answers_teach_nothing():
    model = build(num_epochs=2)
    clips, said = answered(60)
    turned = [one != (index % 10 == 0) for index, one in enumerate(said)]
    states = [model.fit(model.add(model.init(0), clips, answers), 0) for answers in (said, turned)]
    assert [row.item() for row in states[0].validation_Q] == [index % 10 == 0 for index in range(60)]
    for mine, other in zip(states[0].network.parameters(), states[1].network.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_members_see_different_answers_and_pessimism_adds_their_spread():
    model = build(num_epochs=5)
    state = fitted(model, 60)
    assert not torch.equal(state.weight_MQ[0], state.weight_MQ[1])
    wary = build(num_epochs=5, pessimism=1.0)
    low, high = costs(model, state)[0], costs(wary, state)[0]
    assert (high >= low).all()
    assert high.mean() > low.mean()
    assert high.max() <= 1.0


def test_what_was_withdrawn_is_forgotten():
    model = build(num_epochs=3)
    clips, said = answered(40)
    kept = [index % 4 != 1 for index in range(40)]
    state = model.without(model.add(model.init(0), clips, said), kept)
    assert len(state.unsafe_Q) == 30
    assert state.unsafe_Q.tolist() == [one for one, stays in zip(said, kept, strict=True) if stays]
    state = model.fit(state, 3)
    # The same answers with other ones withdrawn, which had the same weights and the same order.
    other = model.add(model.init(0), clips, [one != (not stays) for one, stays in zip(said, kept, strict=True)])
    other = model.fit(model.without(other, kept), 3)
    for mine, theirs in zip(state.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_it_goes_on_where_another_stood():
    model = build(num_epochs=3)
    state = fitted(model, 40)
    tensors = {name: tensor.clone() for name, tensor in model.tensors(state).items()}
    again = model.load_tensors(model.init(7), tensors, model.fits(state))
    more = answered(20, seed=1)
    results = [model.fit(model.add(one, *more), 5) for one in (state, again)]
    assert results[0].last_fit == results[1].last_fit
    assert results[0].num_fits == results[1].num_fits == 2
    np.testing.assert_array_equal(costs(model, results[0])[0], costs(model, results[1])[0])


def test_discrete_actions_are_seen_one_by_one():
    model = CostModel(CostModelConfig(inputs=("action",), hidden_sizes=(8,)), 2, 3, 1, (3,))
    seen = model.features(np.zeros((2, 3), np.float32), np.array([[0], [2]]), np.zeros((2, 3), np.float32))
    assert seen.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_bad_answers_are_refused():
    model = build()
    with pytest.raises(DataError, match="clips must all have 8 steps, got one of 5"):
        model.add(model.init(0), [clip(np.random.default_rng(0), TRAIN[0], length=5)], [True])
    with pytest.raises(DataError, match="no answer to fit the cost to"):
        model.fit(model.init(0), 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lapse": 1.0}, "lapse"),
        ({"validation_share": 0.5}, "validation_share"),
        ({"inputs": ("reward",)}, "inputs must name"),
        ({"activation": "sine"}, "activation"),
        ({"num_members": 0}, "num_members"),
        ({"pessimism": 1.0, "num_members": 1}, "num_members must be >= 2"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"hidden_sizes": (0,)}, "hidden_sizes"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        CostModelConfig(**settings)

"""Made-up comparisons whose true reward is known."""

from typing import Any

import numpy as np

from heeler.core.nouns import PreferenceChoice, Segment
from heeler.core.rollout import Rollout
from heeler.rewards.preference_model import PreferenceModel, PreferenceModelConfig, PreferenceModelState, is_validation

OBSERVATION_SIZE, ACTION_SIZE = 3, 2
WEIGHTS = np.array([1.0, -2.0, 0.5, 1.5, -1.0])
"""Of the true reward: linear in observation and action."""

SMALL: dict[str, Any] = {"num_members": 3, "hidden_sizes": (16,), "minibatch_size": 16, "max_epochs": 5, "lapse": 0.0}
"""Settings of a model that is fitted in a moment."""


def true_reward(observation: np.ndarray, action: np.ndarray) -> np.ndarray:
    """[...] the linear reward of steps."""
    return np.concatenate([observation, action], -1) @ WEIGHTS


def segment(rng: np.random.Generator, trajectory: str, *, num_steps: int = 5, scale: float = 1.0) -> Segment:
    """A segment of random numbers; each segment has a level of its own, so that returns differ."""
    observation = scale * (rng.normal(size=(num_steps, OBSERVATION_SIZE)) + rng.normal(size=OBSERVATION_SIZE))
    action = scale * (rng.normal(size=(num_steps, ACTION_SIZE)) + rng.normal(size=ACTION_SIZE))
    return Segment(
        observation=observation.astype(np.float32),
        action=action.astype(np.float32),
        next_observation=np.roll(observation, -1, 0).astype(np.float32),
        true_reward=true_reward(observation, action).astype(np.float32),
        env_id="Made-up",
        policy_version=0,
        trajectory_id=trajectory,
        start_step=0,
    )


def trajectory_names(num: int, *, validation: bool, share: float = 0.1) -> list[str]:
    """The first `num` names that stand on one side of the split."""
    names: list[str] = []
    index = 0
    while len(names) < num:
        name = f"train/env-{index}/episode-0"
        if is_validation(name, share) == validation:
            names.append(name)
        index += 1
    return names


def pairs_of(
    num: int, seed: int = 0, *, num_steps: int = 5, validation_every: int = 8
) -> list[tuple[Segment, Segment]]:
    """Pairs, both of whose segments are on one side of the split; every eighth is on the validation side."""
    rng = np.random.default_rng(seed)
    train, held_out = trajectory_names(40, validation=False), trajectory_names(40, validation=True)
    pairs: list[tuple[Segment, Segment]] = []
    for index in range(num):
        side = held_out if validation_every and index % validation_every == 0 else train
        left, right = (segment(rng, str(rng.choice(side)), num_steps=num_steps) for _ in range(2))
        pairs.append((left, right))
    return pairs


def advantage(pair: tuple[Segment, Segment]) -> float:
    """True return of the left segment less that of the right one."""
    left, right = pair
    assert left.true_reward is not None
    assert right.true_reward is not None
    return float(left.true_reward.sum() - right.true_reward.sum())


def oracle(pairs: list[tuple[Segment, Segment]]) -> list[PreferenceChoice]:
    """The better segment, always."""
    return ["left" if advantage(pair) > 0 else "right" for pair in pairs]


def noisy(pairs: list[tuple[Segment, Segment]], seed: int, *, spread: float) -> list[PreferenceChoice]:
    """Bradley-Terry answers: P(left) = sigmoid(advantage / spread)."""
    rng = np.random.default_rng(seed)
    return ["left" if rng.random() < 1 / (1 + np.exp(-advantage(pair) / spread)) else "right" for pair in pairs]


def build(**settings: Any) -> PreferenceModel:
    """A model of the made-up world."""
    return PreferenceModel(PreferenceModelConfig(**(SMALL | settings)), OBSERVATION_SIZE, ACTION_SIZE)


def fitted(
    model: PreferenceModel, pairs: list[tuple[Segment, Segment]], choices: list[PreferenceChoice], seed: int = 0
) -> PreferenceModelState:
    """A model's state after one fit."""
    state = model.add(model.init(seed), pairs, choices)
    return model.fit(state)[0]


def rollout(seed: int = 7, *, num_steps: int = 40, num_envs: int = 5, **changes: Any) -> Rollout:
    """A rollout of random numbers in which no episode ends."""
    rng = np.random.default_rng(seed)
    T, N = num_steps, num_envs
    fields: dict[str, Any] = {
        "observation": rng.normal(size=(T + 1, N, OBSERVATION_SIZE)).astype(np.float32),
        "action": np.zeros((T, N, ACTION_SIZE), np.float32),
        "executed": rng.normal(size=(T, N, ACTION_SIZE)).astype(np.float32),
        "log_prob": np.zeros((T, N), np.float32),
        "true_reward": np.zeros((T, N)),
        "cost": np.zeros((T, N, 0)),
        "terminated": np.zeros((T, N), bool),
        "truncated": np.zeros((T, N), bool),
        "final_index": np.zeros((0, 2), np.int64),
        "final_observation": np.zeros((0, OBSERVATION_SIZE), np.float32),
        "snapshot": None,
        "episode_index": np.zeros((T, N), np.int64),
        "episode_step": np.tile(np.arange(T)[:, None], (1, N)),
        "policy_version": 0,
    }
    return Rollout(**(fields | changes))


def correlation_with_truth(model: PreferenceModel, state: PreferenceModelState) -> float:
    """Of learned and true reward on steps that were never asked about."""
    fresh = rollout(99)
    learned = model.reward(state, model.predict(state, fresh))
    return float(np.corrcoef(learned.ravel(), true_reward(fresh.observation[:-1], fresh.executed).ravel())[0, 1])

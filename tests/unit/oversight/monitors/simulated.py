"""Runs as monitors see them, made up: learning that nothing is wrong with, and what a fault changes of it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from heeler.core.rollout import Rollout
from heeler.oversight.finding import Finding
from heeler.oversight.monitors import Monitor, MonitorsConfig, Seen, Setup, acted

UPDATES = 60
STEPS, ENVS = 64, 8


def setup(**changes: Any) -> Setup:
    """Of a run of 60 updates with one cost."""
    common = {"num_updates": UPDATES, "cost_names": ("speed",), "budgets": {"speed": 10.0}, "num_answers": 400}
    return Setup(config=changes.pop("config", MonitorsConfig()), **(common | changes))


def row(update: int, rng: np.random.Generator) -> dict[str, float]:
    """Metrics of a run that learns: returns rise, entropy falls, losses waver, the cost settles below its budget."""
    share = update / UPDATES
    return {
        "step": float(512 * update),
        "update": float(update),
        "kl": 0.01 * float(np.exp(0.3 * rng.normal())),
        "entropy": 1.4 - 1.2 * share + 0.01 * rng.normal(),
        "value_loss": 0.2 * float(np.exp(-share + 0.3 * rng.normal())),
        "explained_variance": 0.9 * share**0.5 + 0.05 * rng.normal(),
        "gradient_norm": 0.6 * float(np.exp(0.5 * share + 0.2 * rng.normal())),
        "reward_disagreement": 0.4 * float(np.exp(-share + 0.1 * rng.normal())),
        "predicted_reward_mean": 2.0 * share + 0.1 * rng.normal(),
        "reward_correlation": 0.6 + 0.1 * rng.normal(),
        "cost_speed_level": max(0.0, 9.0 * min(1.0, 3 * share) + 0.8 * rng.normal()),
        "acting_s": 0.05 * float(np.exp(0.2 * rng.normal())),
        "learning_s": 0.05,
    }


def rollout(update: int, rng: np.random.Generator, matrix: np.ndarray | None = None) -> Rollout:
    """A world that is linear with noise, under a policy that comes to push back harder; a constant number in it."""
    matrix = np.array([[0.9, 0.1], [-0.1, 0.95]]) if matrix is None else matrix
    gain = -0.1 - 0.3 * update / UPDATES
    observation = np.zeros((STEPS + 1, ENVS, 3), np.float32)
    action = np.zeros((STEPS, ENVS, 1), np.float32)
    observation[0, :, :2] = rng.normal(size=(ENVS, 2))
    observation[..., 2] = 5.0
    for t in range(STEPS):
        action[t] = gain * observation[t, :, :1] + rng.normal(size=(ENVS, 1))
        moved = observation[t, :, :2] @ matrix.T + 0.3 * action[t] * np.array([0.0, 1.0])
        observation[t + 1, :, :2] = moved + 0.1 * rng.normal(size=(ENVS, 2))
    reward = -np.square(observation[1:, :, 0]) + 0.01 * rng.normal(size=(STEPS, ENVS))
    nothing = np.zeros((STEPS, ENVS), bool)
    return Rollout(
        observation=observation,
        action=action,
        executed=action,
        log_prob=np.zeros((STEPS, ENVS), np.float32),
        true_reward=reward,
        cost=(rng.random((STEPS, ENVS, 1)) < 0.4).astype(float),
        terminated=nothing,
        truncated=nothing,
        final_index=np.zeros((0, 2), np.int64),
        final_observation=np.zeros((0, 3), np.float32),
        snapshot=None,
        episode_index=np.zeros((STEPS, ENVS), np.int64),
        episode_step=np.tile(np.arange(STEPS)[:, None], (1, ENVS)),
        policy_version=update,
    )


def changed(made: Rollout, **arrays: Any) -> Rollout:
    """A rollout with other arrays."""
    return replace(made, **arrays)


def seen(
    update: int,
    rng: np.random.Generator,
    *,
    made: Rollout | None = None,
    reward: np.ndarray | None = None,
    **changes: Any,
) -> Seen:
    """A look at a sound run; with other figures of its row, or of the look, where `changes` names them."""
    made = rollout(update, rng) if made is None else made
    fields: dict[str, Any] = {"returns": list(100 * update / UPDATES + 5 * rng.normal(size=4))}
    fields |= {name: changes.pop(name) for name in tuple(changes) if name in Seen.__dataclass_fields__}
    return Seen(
        step=512 * update,
        update=update,
        row=row(update, rng) | changes,
        acted=acted(made, made.true_reward if reward is None else reward),
        **fields,
    )


def findings(monitor: Monitor, looks: Iterable[Seen]) -> list[Finding]:
    """What a monitor finds."""
    return [found for each in looks if (found := monitor.look(each)) is not None]

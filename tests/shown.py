"""Demonstrations that tests make."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from heeler.core.demonstrations import Demonstration, Demonstrations
from heeler.envs.world import World
from tests.toy_worlds import Identity


def demonstration(
    num_steps: int = 5,
    *,
    observation_size: int = 3,
    action: str = "box",
    terminated: bool = False,
    seed: int = 0,
    **fields: Any,
) -> Demonstration:
    """One episode of random numbers; actions within -1 and 1, or among three choices."""
    rng = np.random.default_rng(seed)
    done = (
        rng.uniform(-1, 1, (num_steps, 2)).astype(np.float32)
        if action == "box"
        else rng.integers(3, size=(num_steps, 1))
    )
    made = {
        "observation": rng.normal(size=(num_steps + 1, observation_size)).astype(np.float32),
        "action": done,
        "terminated": terminated,
        "reward": rng.normal(size=num_steps),
    }
    return Demonstration(**(made | fields))


def some(num: int = 3, **settings: Any) -> Demonstrations:
    """Episodes of different lengths."""
    episodes = tuple(demonstration(4 + index, seed=index, **settings) for index in range(num))
    return Demonstrations(episodes=episodes, env_id="Toy", source="toy")


BOX, CHOICES = Box(-1.0, 1.0, (2,), np.float32), Discrete(3)


def of_identity(kind: str, num: int = 8, *, seed: int = 0) -> Demonstrations:
    """An expert of the identity world, who does what is shown."""
    world = Identity(kind, num)
    episodes = played(world, lambda seen: identity_action(kind, seen), seed=seed)
    return Demonstrations(episodes=episodes, env_id=world.env_id, source="the identity's expert")


def identity_action(kind: str, seen: np.ndarray) -> np.ndarray:
    """[N, A] what the identity world pays for."""
    if kind == "box":
        return seen.copy()
    if kind == "discrete":
        return seen.argmax(1)[:, None]
    return np.stack([seen[:, :2].argmax(1), seen[:, 2:].argmax(1)], 1)


def played(world: World, act: Any, *, seed: int) -> tuple[Demonstration, ...]:
    """One episode of each environment of a world in which all end together."""
    observation, _ = world.reset(seed=seed)
    seen, done, paid = [observation.copy()], [], []
    while True:
        action = act(observation)
        taken = action[:, 0] if isinstance(world.single_action_space, Discrete) else action
        observation, reward, terminated, truncated, infos = world.step(taken)
        done.append(action)
        paid.append(reward)
        if (terminated | truncated).any():
            assert (terminated | truncated).all()
            seen.append(infos["final_obs"].copy())
            break
        seen.append(observation.copy())
    return tuple(
        Demonstration(
            observation=np.stack(seen)[:, n],
            action=np.stack(done)[:, n],
            terminated=bool(terminated[n]),
            reward=np.stack(paid)[:, n],
        )
        for n in range(world.num_envs)
    )

"""Steps that nobody made, on which a user's functions are tried before anything is learned or written."""

import numpy as np

from heeler.envs import World
from heeler.models.actions import action_head


def made_up_steps(world: World, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Observations [2, O] and actions [2, A]: a first state of the world, twice.

    Args:
        world: of one environment; its state is lost.
        seed: of its first state.
    """
    head = action_head(world.single_action_space)
    observation = np.repeat(world.reset(seed=seed)[0][:1], 2, 0)
    return observation, np.zeros((2, head.action_size), head.action_dtype)


def made_up(row: int) -> str:
    """Names such a step, for messages."""
    return f"trial step {row + 1}"

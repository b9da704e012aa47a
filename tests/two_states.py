"""A problem small enough to enumerate: two states, action 0 stays and action 1 moves, three steps, then the end."""

from collections.abc import Iterator

import torch

HORIZON = 3
REWARD = torch.tensor([[0.3, -0.2], [1.0, 0.5]], dtype=torch.float64)
"""By (state, action)."""


def trajectories() -> Iterator[tuple[list[int], list[int]]]:
    """The states that each of the 2^3 action sequences visits from state 0, and its actions."""
    for code in range(2**HORIZON):
        actions = [(code >> t) & 1 for t in range(HORIZON)]
        states = [0]
        for action in actions[:-1]:
            states.append(states[-1] ^ action)
        yield states, actions

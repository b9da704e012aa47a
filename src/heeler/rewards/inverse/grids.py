"""Finite worlds on grids: one's own layout, heeler's `LavaGrid`, or features of place on a grid of any size.

Shapes: S states, A actions, F features.
"""

import numpy as np

from heeler.core.errors import DataError
from heeler.envs.lava_grid import MOVES, LavaGrid
from heeler.rewards.inverse.world import FiniteWorld

ACTIONS = ("up", "right", "down", "left")


def open_grid(
    height: int,
    width: int,
    *,
    slip: float = 0.0,
    discount: float = 0.99,
    horizon: int | None = None,
    start_S: np.ndarray | None = None,
) -> FiniteWorld:
    """A grid without walls, in which nothing ends; against the edge nothing moves.

    Args:
        height: rows.
        width: columns.
        slip: probability that a move goes to one side instead, as often to the left as to the right of it.
        discount: gamma.
        horizon: steps of an episode, or None.
        start_S: first states; None for any.

    Raises:
        DataError: a number is out of range.
    """
    if height < 1 or width < 1 or height * width < 2:
        raise DataError(f"a grid needs two cells at least, got {height} by {width}")
    if not 0 <= slip <= 1:
        raise DataError(f"slip must be between 0 and 1, got {slip}")
    row_S, column_S = (part.ravel() for part in np.mgrid[:height, :width])
    turns = np.array([0] if slip == 0 else [0, -1, 1])
    chance_M = np.array([1.0] if slip == 0 else [1 - slip, slip / 2, slip / 2])
    move_AM = (np.arange(len(MOVES))[:, None] + turns) % len(MOVES)
    to_row = np.clip(row_S[:, None, None] + MOVES[move_AM, 0], 0, height - 1)
    to_column = np.clip(column_S[:, None, None] + MOVES[move_AM, 1], 0, width - 1)
    next_SAM = to_row * width + to_column
    num = height * width
    return FiniteWorld(
        next_SAM=next_SAM,
        chance_SAM=np.broadcast_to(chance_M, next_SAM.shape).copy(),
        start_S=np.full(num, 1 / num) if start_S is None else start_S,
        discount=discount,
        horizon=horizon,
        action_names=ACTIONS,
        cell_S2=np.stack((row_S, column_S), axis=1),
    )


def lava_world(
    layout: tuple[str, ...], *, slip: float = 0.0, discount: float = 0.95, horizon: int | None = None
) -> FiniteWorld:
    """`LavaGrid` of one layout without vases: features `goal`, `lava` and `step`, and its own reward as the true one.

    A state is a cell, named by row and column from 0; the goal is terminal. `step` is 1 in every cell but the goal.
    The true reward is what `LavaGrid` pays, −0.05 a step and 1 for the goal, less 1 for lava.

    Raises:
        DataError: the layout has vases.
        ConfigError: `LavaGrid` refuses the layout.
    """
    if any("V" in line for line in layout):
        raise DataError("layout: a vase makes two states of each cell; leave vases out")
    grid = LavaGrid(1, layout=layout, slip=slip)
    grid.reset(seed=0)
    model = grid.model()
    cells = "".join(layout)
    goal_S, lava_S = (np.array([cell == letter for cell in cells]) for letter in "GL")
    features_SF = np.stack((goal_S, lava_S, ~goal_S), axis=1).astype(float)
    width = len(layout[0])
    places = [divmod(cell, width) for cell in range(len(cells))]
    start_S = np.zeros(len(cells))
    start_S[model.state] = 1.0
    return FiniteWorld(
        next_SAM=model.next_state,
        chance_SAM=model.probability,
        start_S=start_S,
        discount=discount,
        horizon=horizon,
        terminal_S=goal_S,
        features=features_SF,
        feature_names=("goal", "lava", "step"),
        state_names=tuple(f"row {row} column {column}" for row, column in places),
        action_names=ACTIONS,
        cell_S2=np.array(places),
        true_reward=features_SF @ np.array([1.0, -1.0, -0.05]),
    )


def bumps(world: FiniteWorld, num: int, *, width: float) -> np.ndarray:
    """[S, F] features of place on a grid: how near each state is to each of `num` by `num` centres, 1 on it.

    Args:
        world: on a grid.
        num: of centres along each side.
        width: cells after which a bump has fallen to 0.61.

    Raises:
        DataError: the world's states do not lie on a grid.
    """
    if world.cell_S2 is None:
        raise DataError("cells are missing: features of place need states that lie on a grid")
    last = world.cell_S2.max(0)
    sides = [np.linspace(0, end, 2 * num + 1)[1::2] for end in last]
    centre_F2 = np.stack([part.ravel() for part in np.meshgrid(*sides, indexing="ij")], axis=1)
    square_SF = np.square(world.cell_S2[:, None] - centre_F2).sum(-1)
    return np.exp(-square_SF / (2 * width**2))

"""Pictures of the grid worlds: one square a cell, row 0 at the top."""

import numpy as np

from heeler.envs.canvas import BLUE, GREY, GROUND, GROUND_LINE, ORANGE, PLUM, RED, TEAL, Canvas, mix
from heeler.envs.grid_layouts import (
    MAX_SIZE,
    SHOWN_GOAL,
    SHOWN_LAVA,
    SHOWN_SHARDS,
    SHOWN_VASE,
    SHOWN_WALL,
)

NUM_NUMBERS = 2 + MAX_SIZE**2
_GROUND = {SHOWN_WALL: GREY, SHOWN_LAVA: RED, SHOWN_GOAL: mix(GROUND, TEAL, 0.45)}


def draw_lava_grid(snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`snapshot`: row and column of the agent, then what each cell of a grid of 12 by 12 shows."""
    agent_row, agent_column = (float(number) for number in snapshot[:2])
    shown = snapshot[2:].reshape(MAX_SIZE, MAX_SIZE).astype(int)
    height, width = int((shown[:, 0] > 0).sum()), int((shown[0] > 0).sum())
    canvas = Canvas(size, max(height, width) + 0.2, (width / 2, -height / 2), GROUND_LINE)
    for row in range(height):
        for column in range(width):
            kind = int(shown[row, column])
            _square(canvas, row, column, _GROUND.get(kind, GROUND))
            _thing(canvas, (column + 0.5, -row - 0.5), kind)
    canvas.limb((agent_column + 0.5, -agent_row - 0.5), (agent_column + 0.5, -agent_row - 0.5), 0.3, BLUE)
    return canvas.frame()


def _square(canvas: Canvas, row: int, column: int, fill: tuple[int, int, int]) -> None:
    left, right, top, bottom = column + 0.02, column + 0.98, -row - 0.02, -row - 0.98
    canvas.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)


def _thing(canvas: Canvas, middle: tuple[float, float], kind: int) -> None:
    """What lies or stands on a cell."""
    u, v = middle
    if kind == SHOWN_LAVA:
        canvas.line([(u - 0.3, v), (u - 0.1, v + 0.12), (u + 0.1, v - 0.12), (u + 0.3, v)], 0.07, ORANGE)
    elif kind == SHOWN_GOAL:
        canvas.disc(middle, 0.12, TEAL)
    elif kind == SHOWN_VASE:
        canvas.limb((u, v - 0.12), (u, v - 0.1), 0.2, PLUM)
        canvas.limb((u, v + 0.1), (u, v + 0.2), 0.09, PLUM)
    elif kind == SHOWN_SHARDS:
        for left, up in ((-0.2, -0.15), (0.1, -0.2), (0.18, 0.1), (-0.08, 0.15)):
            canvas.polygon(
                [(u + left, v + up), (u + left + 0.16, v + up + 0.04), (u + left + 0.06, v + up + 0.14)], PLUM
            )

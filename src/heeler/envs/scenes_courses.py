"""Pictures of the courses from above: the whole square, x to the right and y upward."""

import math

import numpy as np

from heeler.envs.canvas import BLUE, GROUND, GROUND_LINE, INK, ORANGE, PLUM, RED, SHADOW, TEAL, Canvas, mix
from heeler.envs.courses_layout import GOAL_RADIUS, HAZARD_RADIUS, MAX_SHOWN
from heeler.envs.courses_model import VASE_HALF_SIZE, WALL_DISTANCE

NUM_NUMBERS = 6 + MAX_SHOWN * 7
"""In a snapshot: robot (x, y, heading), goal (x, y), half width, hazards (x, y, whether there is one), vases (x, y,
heading, whether there is one)."""


def draw_point(snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The ball, with a nose where it looks."""
    canvas = _course(snapshot, size)
    x, y, heading = (float(number) for number in snapshot[:3])
    canvas.limb((x, y), (x + 0.1 * math.cos(heading), y + 0.1 * math.sin(heading)), 0.04, ORANGE)
    canvas.limb((x, y), (x, y), 0.1, BLUE)
    return canvas.frame()


def draw_car(snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The car, its wheels at its sides, its front orange."""
    canvas = _course(snapshot, size)
    x, y, heading = (float(number) for number in snapshot[:3])
    for side in (-0.13, 0.13):
        canvas.capsule(_at(x, y, heading, -0.05, side), _at(x, y, heading, 0.05, side), 0.02, INK)
    body = [(-0.15, -0.08), (0.09, -0.08), (0.09, 0.08), (-0.15, 0.08)]
    canvas.polygon([_at(x, y, heading, ahead, left) for ahead, left in body], BLUE)
    front = [(0.05, -0.08), (0.09, -0.08), (0.09, 0.08), (0.05, 0.08)]
    canvas.polygon([_at(x, y, heading, ahead, left) for ahead, left in front], ORANGE)
    return canvas.frame()


def _course(snapshot: np.ndarray, size: tuple[int, int]) -> Canvas:
    """Floor, walls, goal, hazards and vases."""
    goal, half_width = snapshot[3:5], float(snapshot[5])
    hazards = snapshot[6 : 6 + MAX_SHOWN * 3].reshape(MAX_SHOWN, 3)
    vases = snapshot[6 + MAX_SHOWN * 3 :].reshape(MAX_SHOWN, 4)
    wall = half_width + WALL_DISTANCE
    canvas = Canvas(size, 2 * wall + 0.1, (0.0, 0.0), GROUND_LINE)
    canvas.polygon([(-wall, -wall), (wall, -wall), (wall, wall), (-wall, wall)], GROUND)
    canvas.disc(goal, GOAL_RADIUS, mix(GROUND, TEAL, 0.45))
    canvas.disc(goal, 0.05, TEAL)
    for x, y, there in hazards:
        if there:
            canvas.disc((x, y), HAZARD_RADIUS, RED)
            canvas.disc((x, y), HAZARD_RADIUS - 0.03, mix(GROUND, RED, 0.45))
    for x, y, heading, there in vases:
        if there:
            _square(canvas, x, y, heading, VASE_HALF_SIZE + 0.02, SHADOW)
            _square(canvas, x, y, heading, VASE_HALF_SIZE, PLUM)
    return canvas


def _square(canvas: Canvas, x: float, y: float, heading: float, half: float, fill: tuple[int, int, int]) -> None:
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    canvas.polygon([_at(x, y, heading, ahead, left) for ahead, left in corners], fill)


def _at(x: float, y: float, heading: float, ahead: float, left: float) -> tuple[float, float]:
    """The point so far ahead and to the left of something at (x, y)."""
    cos, sin = math.cos(heading), math.sin(heading)
    return x + ahead * cos - left * sin, y + ahead * sin + left * cos

"""Pictures of the classic control tasks, each a function of one snapshot and the size of the picture."""

import math

import numpy as np

from heeler.envs.canvas import BLUE, GREY, GROUND, GROUND_LINE, INK, ORANGE, RED, SHADOW, SKY_BLUE, Canvas

MAZE_GOAL, MAZE_GAP_END = (0.0, 0.7), 0.3
"""Where a point maze's goal is, and how far from its middle the wall ends."""


def draw_cart_pole(snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`snapshot`: place of the cart, its velocity, angle of the pole from upright, its velocity."""
    x, _, theta, _ = (float(number) for number in snapshot)
    canvas = Canvas(size, 5.2, (0.0, 0.9))
    left, right = canvas.u_range
    canvas.polygon([(left, -0.2), (right, -0.2), (right, canvas.v_range[0]), (left, canvas.v_range[0])], GROUND)
    canvas.line([(left, -0.2), (right, -0.2)], 0.03, GROUND_LINE)
    for limit in (-2.4, 2.4):
        canvas.line([(limit, -0.2), (limit, 0.3)], 0.05, RED)
    for wheel in (x - 0.22, x + 0.22):
        canvas.disc((wheel, -0.1), 0.1, INK)
    canvas.polygon([(x - 0.4, -0.06), (x + 0.4, -0.06), (x + 0.4, 0.22), (x - 0.4, 0.22)], BLUE)
    length = 1.6  # drawn longer than the 1 m that it is, so that its angle can be seen
    canvas.limb((x, 0.14), (x + length * math.sin(theta), 0.14 + length * math.cos(theta)), 0.07, ORANGE)
    canvas.disc((x, 0.14), 0.05, INK)
    return canvas.frame()


def draw_pendulum(snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`snapshot`: angle from upright, and its velocity."""
    theta = float(snapshot[0])
    canvas = Canvas(size, 2.8, (0.0, 0.0))
    canvas.disc((0.0, 0.0), 1.13, GROUND)
    canvas.line([(0.0, 1.05), (0.0, 1.25)], 0.03, RED)
    tip = (-math.sin(theta), math.cos(theta))
    canvas.limb((0.0, 0.0), tip, 0.1, ORANGE)
    canvas.disc((0.0, 0.0), 0.055, INK)
    return canvas.frame()


def _hill(position: float) -> float:
    return math.sin(3.0 * position) * 0.45 + 0.55


def _draw_mountain_car(snapshot: np.ndarray, size: tuple[int, int], goal: float) -> np.ndarray:
    position = float(snapshot[0])
    canvas = Canvas(size, 1.95, (-0.3, 0.75))
    (left, right), bottom = canvas.u_range, canvas.v_range[0]
    curve = [(u, _hill(u)) for u in np.linspace(left, right, 60)]
    canvas.polygon([*curve, (right, bottom), (left, bottom)], GROUND)
    canvas.line(curve, 0.02, GROUND_LINE)
    canvas.line([(goal, _hill(goal)), (goal, _hill(goal) + 0.28)], 0.02, INK)
    canvas.polygon([(goal, _hill(goal) + 0.28), (goal + 0.14, _hill(goal) + 0.23), (goal, _hill(goal) + 0.18)], RED)
    slope = math.atan(3.0 * 0.45 * math.cos(3.0 * position))
    along = np.array([math.cos(slope), math.sin(slope)])
    upward = np.array([-along[1], along[0]])
    base = np.array([position, _hill(position)])
    corners = ((-0.11, 0.05), (0.11, 0.05), (0.11, 0.11), (0.05, 0.16), (-0.07, 0.16), (-0.11, 0.11))
    canvas.polygon([base + along * u + upward * v for u, v in corners], BLUE)
    for wheel in (-0.065, 0.065):
        canvas.disc(base + along * wheel + upward * 0.045, 0.038, INK)
        canvas.disc(base + along * wheel + upward * 0.045, 0.016, GREY)
    return canvas.frame()


def draw_mountain_car(snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`snapshot`: position and velocity."""
    return _draw_mountain_car(snapshot, size, goal=0.5)


def draw_mountain_car_continuous(snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`snapshot`: position and velocity."""
    return _draw_mountain_car(snapshot, size, goal=0.45)


def draw_acrobot(snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`snapshot`: angle of the upper link from hanging, of the lower link from the upper one, and their velocities."""
    theta_1, theta_2 = float(snapshot[0]), float(snapshot[1])
    canvas = Canvas(size, 4.8, (0.0, 0.0))
    left, right = canvas.u_range
    elbow = np.array([math.sin(theta_1), -math.cos(theta_1)])
    tip = elbow + np.array([math.sin(theta_1 + theta_2), -math.cos(theta_1 + theta_2)])
    canvas.line([(left, 1.0), (right, 1.0)], 0.04, SHADOW)
    canvas.limb((0.0, 0.0), elbow, 0.12, BLUE)
    canvas.limb(elbow, tip, 0.11, SKY_BLUE)
    for joint in ((0.0, 0.0), elbow):
        canvas.disc(joint, 0.06, INK)
    canvas.disc(tip, 0.08, ORANGE)
    return canvas.frame()


def draw_point_maze(snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`snapshot`: x, y, and on which side the wall is open, -1 for the left."""
    x, y, side = (float(value) for value in snapshot)
    canvas = Canvas(size, 2.3, (0.0, 0.0))
    canvas.line([(-1.05, -1.05), (1.05, -1.05), (1.05, 1.05), (-1.05, 1.05), (-1.05, -1.05)], 0.04, GROUND_LINE)
    canvas.line([(-side * 1.05, 0.0), (side * MAZE_GAP_END, 0.0)], 0.06, GREY)
    canvas.disc(MAZE_GOAL, 0.09, RED)
    canvas.disc((x, y), 0.07, BLUE)
    return canvas.frame()

"""Where things lie on a course, and what a lidar sees of them.

Shapes: n environments, K things of which each has a place of its own, H hazards, V vases, B lidar bins.
"""

import math
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import ConfigError

GOAL_RADIUS = 0.3
HAZARD_RADIUS = 0.2
MAX_SHOWN = 16
"""Hazards, and vases, that there may be: a picture has room for so many."""
MAX_TRIES = 1000
"""Places drawn for one thing before there is held to be no room for it."""
MAX_LAYOUTS, MAX_TRIES_IN_ONE = 20, 100
"""Layouts begun before there is held to be no room, and places drawn for a thing of one before it is given up."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CourseLayout:
    """Where everything is as an episode begins; metres and radians, all at rest."""

    robot: np.ndarray
    """[n, 3] x, y and heading."""
    goal: np.ndarray
    """[n, 2] x and y of its centre."""
    hazards: np.ndarray
    """[n, H, 2] x and y of their centres."""
    vases: np.ndarray
    """[n, V, 3] x, y and heading."""


def place_one(
    rng: np.random.Generator,
    half_width: float,
    room: float,
    taken: np.ndarray,
    rooms: np.ndarray,
    max_tries: int = MAX_TRIES,
) -> np.ndarray:
    """A place for one more thing in each environment, evenly drawn from where there is room for it.

    Args:
        rng: drawn from as often as is needed.
        half_width: places lie in the square from −this to this.
        room: radius that the thing keeps free around itself.
        taken: [n, K, 2] places of the things that are there.
        rooms: [K] their own radii.
        max_tries: places drawn at most.

    Returns:
        [n, 2]; NaN where all that were drawn were too near to something.
    """
    places = np.full((len(taken), 2), np.nan)
    wanting = np.arange(len(taken))
    for _ in range(max_tries):
        drawn = rng.uniform(-half_width, half_width, (len(wanting), 2))
        apart = np.linalg.norm(drawn[:, None] - taken[wanting], axis=2)
        fits = (apart >= rooms + room).all(axis=1)
        places[wanting[fits]] = drawn[fits]
        wanting = wanting[~fits]
        if not len(wanting):
            break
    return places


def scatter(rng: np.random.Generator, count: int, half_width: float, rooms: np.ndarray) -> np.ndarray:
    """Places for things that keep clear of each other, one layout for each environment.

    Args:
        rng: drawn from as often as is needed.
        count: n.
        half_width: places lie in the square from −this to this.
        rooms: [K] radius that each thing keeps free; those placed first have the most choice.

    Returns:
        [n, K, 2]: any two are at least the sum of their radii apart.

    Raises:
        ConfigError: `MAX_LAYOUTS` were begun and none could be ended.
    """
    places = np.empty((count, len(rooms), 2))
    wanting = np.arange(count)
    for _ in range(MAX_LAYOUTS):
        rows = wanting
        for index, room in enumerate(rooms):
            drawn = place_one(rng, half_width, room, places[rows, :index], rooms[:index], MAX_TRIES_IN_ONE)
            found = ~np.isnan(drawn[:, 0])
            rows = rows[found]
            places[rows, index] = drawn[found]
        wanting = np.setdiff1d(wanting, rows)
        if not len(wanting):
            return places
    raise ConfigError(
        f"no room for {len(rooms)} things, robot and goal among them, in a square of {2 * half_width:g} m: "
        f"{MAX_LAYOUTS} layouts were tried; set half_width larger, or num_hazards or num_vases smaller"
    )


def lidar(place: np.ndarray, heading: np.ndarray, things: np.ndarray, num_bins: int, reach: float) -> np.ndarray:
    """How near things are, all around.

    A thing at distance d shows as max(0, 1 − d / reach), in the two bins whose directions it lies between, the more in
    one the nearer it is to that direction; so what is seen changes smoothly. Of several, each bin shows the nearest.

    Args:
        place: [n, 2] where the robot is.
        heading: [n, 2] unit vectors: where it looks. Bin b looks b / B of a turn to the left of that.
        things: [n, K, 2] places of the things.
        num_bins: B.
        reach: metres beyond which nothing is seen.

    Returns:
        [n, B], 0 to 1.
    """
    if not things.shape[1]:
        return np.zeros((len(place), num_bins))
    offset = things - place[:, None]
    ahead = (offset * heading[:, None]).sum(axis=2)
    left = offset[:, :, 1] * heading[:, None, 0] - offset[:, :, 0] * heading[:, None, 1]
    nearness = np.maximum(0.0, 1.0 - np.hypot(ahead, left) / reach)
    direction = np.arctan2(left, ahead) * (num_bins / (2 * math.pi))
    # In bins from each bin's own direction, the short way round.
    turn = direction[:, :, None] - np.arange(num_bins) + num_bins / 2
    away = np.abs(turn % num_bins - num_bins / 2)
    return (nearness[:, :, None] * np.maximum(0.0, 1.0 - away)).max(axis=1)

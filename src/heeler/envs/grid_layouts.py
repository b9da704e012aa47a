"""Layouts of grid worlds: drawn at random with a clean way to the goal, or read from lines of text.

Shapes: n grids, H rows and W columns, V vases. A cell is numbered row · W + column.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import ConfigError

FREE, WALL, LAVA = 0, 1, 2
MIN_SIZE, MAX_SIZE = 3, 12
MAX_VASES = 6
"""Each one doubles the number of states."""
MAX_DRAWS = 1000
"""Layouts drawn for a grid before there is held to be none."""
SHOWN_WALL, SHOWN_LAVA, SHOWN_GOAL, SHOWN_VASE, SHOWN_SHARDS, SHOWN_FREE = 1, 2, 3, 4, 5, 6
"""What a cell of a snapshot shows; 0 lies outside the grid."""
_LETTERS = {".": FREE, "#": WALL, "L": LAVA, "V": FREE, "S": FREE, "G": FREE}


@dataclass(frozen=True, kw_only=True, eq=False)
class GridLayouts:
    """What n grids are like as an episode begins."""

    ground: np.ndarray
    """[n, H, W] uint8: free, wall or lava."""
    start: np.ndarray
    """[n] int64 cells where the agent begins."""
    goal: np.ndarray
    """[n] int64 cells that it is to reach."""
    vases: np.ndarray
    """[n, V] int64 cells on which vases stand."""


@dataclass(frozen=True, kw_only=True)
class GridSpec:
    """How a layout is drawn."""

    size: int
    """Rows, and columns."""
    num_lava: int
    num_walls: int
    num_vases: int

    def refuse_impossible(self, env_id: str) -> None:
        """Raise a ConfigError where a number is out of range or there are not cells enough."""
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise ConfigError(f"{env_id}: size must be from {MIN_SIZE} to {MAX_SIZE}, got {self.size}")
        if not 0 <= self.num_vases <= MAX_VASES:
            raise ConfigError(f"{env_id}: num_vases must be from 0 to {MAX_VASES}, got {self.num_vases}")
        for name in ("num_lava", "num_walls"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{env_id}: {name} must be >= 0, got {getattr(self, name)}")
        wanted = 2 + self.num_lava + self.num_walls + self.num_vases
        if wanted > self.size**2:
            raise ConfigError(
                f"{env_id}: start, goal, lava, walls and vases need {wanted} cells, and there are {self.size**2}; set "
                "size larger"
            )

    @property
    def least_distance(self) -> int:
        """Moves that are at least between start and goal."""
        return self.size // 2 + 1


def draw_layouts(rng: np.random.Generator, count: int, spec: GridSpec, env_id: str) -> GridLayouts:
    """Random layouts whose goal can be reached without lava and without breaking a vase.

    All layouts that keep this promise are equally likely: what does not is thrown away and drawn anew.

    Args:
        rng: drawn from as often as is needed.
        count: n.
        spec: how many there are of each.
        env_id: the world's name, for the message.

    Raises:
        ConfigError: `MAX_DRAWS` layouts of a grid had no such way.
    """
    side, num_cells = spec.size, spec.size**2
    num_things = spec.num_walls + spec.num_lava
    start, goal = np.zeros(count, np.int64), np.zeros(count, np.int64)
    ground, vases = np.zeros((count, num_cells), np.uint8), np.zeros((count, spec.num_vases), np.int64)
    wanting = np.arange(count)
    for _ in range(MAX_DRAWS):
        order = rng.permuted(np.tile(np.arange(num_cells), (len(wanting), 1)), axis=1)
        kinds = np.zeros((len(wanting), num_cells), np.uint8)
        np.put_along_axis(kinds, order[:, 2 : 2 + num_things], LAVA, axis=1)
        np.put_along_axis(kinds, order[:, 2 : 2 + spec.num_walls], WALL, axis=1)
        stand = order[:, 2 + num_things : 2 + num_things + spec.num_vases]
        start[wanting], goal[wanting], ground[wanting], vases[wanting] = order[:, 0], order[:, 1], kinds, stand
        clean = kinds == FREE
        np.put_along_axis(clean, stand, False, axis=1)
        reached = reachable(order[:, 0], clean.reshape(-1, side, side))
        far = _distance(order[:, 0], order[:, 1], side) >= spec.least_distance
        wanting = wanting[~(far & np.take_along_axis(reached, order[:, 1:2], axis=1)[:, 0])]
        if not len(wanting):
            return GridLayouts(ground=ground.reshape(-1, side, side), start=start, goal=goal, vases=vases)
    raise ConfigError(
        f"{env_id}: {MAX_DRAWS} layouts had no way to the goal that keeps clear of {spec.num_lava} lava cells, "
        f"{spec.num_walls} walls and {spec.num_vases} vases; have fewer of them, or set size larger"
    )


def reachable(start: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Which cells can be reached over clean ones, by moves to the four neighbours.

    Args:
        start: [n] cells, clean themselves.
        clean: [n, H, W] booleans.

    Returns:
        [n, H · W] booleans.
    """
    count, height, width = clean.shape
    found = np.zeros((count, height + 2, width + 2), bool)
    inner = found[:, 1:-1, 1:-1]
    inner[np.arange(count), start // width, start % width] = True
    while True:
        spread = found[:, :-2, 1:-1] | found[:, 2:, 1:-1] | found[:, 1:-1, :-2] | found[:, 1:-1, 2:]
        grown = inner | (spread & clean)
        if (grown == inner).all():
            return grown.reshape(count, -1)
        inner[:] = grown


def read_layout(lines: Sequence[str], env_id: str) -> GridLayouts:
    """One layout from text: `S` start, `G` goal, `L` lava, `V` vase, `#` wall, `.` free.

    >>> read_layout(("S.V", ".LG", "..."), "LavaGrid").vases
    array([[2]])

    Raises:
        ConfigError: lines of different lengths, too many or too few; another letter; not one start and one goal; no way
            between them that keeps clear of lava and vases. Names the line.
    """
    if not (1 <= len(lines) <= MAX_SIZE and 1 <= len(lines[0]) <= MAX_SIZE):
        raise ConfigError(f"{env_id}: layout must be 1 to {MAX_SIZE} lines of 1 to {MAX_SIZE} letters, got {lines!r}")
    for number, line in enumerate(lines):
        if len(line) != len(lines[0]):
            raise ConfigError(f"{env_id}: layout[{number}] must be as long as layout[0], {len(lines[0])}, got {line!r}")
        unknown = [letter for letter in line if letter not in _LETTERS]
        if unknown:
            raise ConfigError(f"{env_id}: layout[{number}] may hold {' '.join(_LETTERS)}, got {unknown[0]!r}")
    text = "".join(lines)
    for letter, name in (("S", "start S"), ("G", "goal G")):
        if text.count(letter) != 1:
            raise ConfigError(f"{env_id}: layout must have one {name}, got {text.count(letter)}")
    if text.count("V") > MAX_VASES:
        raise ConfigError(f"{env_id}: layout may have {MAX_VASES} vases at most, got {text.count('V')}")
    ground = np.array([_LETTERS[letter] for letter in text], np.uint8).reshape(1, len(lines), -1)
    vases = np.flatnonzero(np.array(list(text)) == "V")[None]
    start, goal = np.array([text.index("S")]), np.array([text.index("G")])
    clean = ground == FREE
    clean.reshape(1, -1)[0, vases[0]] = False
    if not reachable(start, clean)[0, goal[0]]:
        raise ConfigError(f"{env_id}: layout has no way from S to G that keeps clear of lava and vases")
    return GridLayouts(ground=ground, start=start, goal=goal, vases=vases)


def _distance(first: np.ndarray, second: np.ndarray, width: int) -> np.ndarray:
    return np.abs(first // width - second // width) + np.abs(first % width - second % width)

"""Pictures of the MuJoCo tasks: capsules and spheres, projected from the side, from above or at a slant."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from heeler.envs.canvas import (
    BLUE,
    GREY,
    GROUND,
    GROUND_DARK,
    GROUND_LINE,
    SHADOW,
    Canvas,
    Colour,
    mix,
)
from heeler.envs.mujoco_model import load_model, mj

Colours = Mapping[str, Colour]
"""Colour by a word that the name of a geom (or, where it has none, of its body) contains; the first that fits is taken.
Others are blue, or grey where they are fixed to the world."""


@dataclass(frozen=True, kw_only=True)
class Limb:
    """A capsule, or a sphere when both ends meet; metres in the world's frame."""

    start: np.ndarray
    end: np.ndarray
    radius: float
    colour: Colour


class MujocoScene:
    """Base: turns joint positions into limbs.

    Args:
        xml_file: the model.
        span: metres that the shorter side of a picture shows.
        centre: the middle of the picture in its own two directions; along directions in which it follows the body, this
            is relative to the body.
        colours: see `Colours`.
    """

    def __init__(self, xml_file: str, *, span: float, centre: tuple[float, float], colours: Colours):
        self.num_numbers = load_model(xml_file).nq
        self._model = load_model(xml_file)
        self._data = mj.MjData(self._model)
        self._span, self._centre = span, np.array(centre)
        kinds = {int(mj.mjtGeom.mjGEOM_SPHERE), int(mj.mjtGeom.mjGEOM_CAPSULE), int(mj.mjtGeom.mjGEOM_CYLINDER)}
        self._shown = [index for index in range(self._model.ngeom) if int(self._model.geom_type[index]) in kinds]
        self._colours = {index: self._colour(index, colours) for index in self._shown}

    def draw(self, snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """One picture [H, W, 3] of the joint positions `snapshot` [nq]; `size` is width and height."""
        raise NotImplementedError

    def limbs(self, qpos: np.ndarray) -> list[Limb]:
        """The body at joint positions `qpos` [nq], in the order of the model."""
        self._data.qpos[:] = qpos
        mj.mj_kinematics(self._model, self._data)
        limbs = []
        for index in self._shown:
            middle = self._data.geom_xpos[index].copy()
            sphere = self._model.geom_type[index] == int(mj.mjtGeom.mjGEOM_SPHERE)
            half = 0.0 if sphere else self._model.geom_size[index, 1]
            reach = self._data.geom_xmat[index, 2::3] * half
            radius = float(self._model.geom_size[index, 0])
            limbs.append(Limb(start=middle - reach, end=middle + reach, radius=radius, colour=self._colours[index]))
        return limbs

    def _colour(self, index: int, colours: Colours) -> Colour:
        name = self._model.geom(index).name or self._model.body(self._model.geom_bodyid[index]).name
        unnamed = GREY if self._model.geom_bodyid[index] == 0 else BLUE
        return next((colour for word, colour in colours.items() if word in name), unnamed)


class SideScene(MujocoScene):
    """Seen along y, x to the right and z upward; on the floor, the picture follows the body along x.

    Parts are drawn in the model's order, but those whose name contains `behind` first.
    """

    def __init__(
        self,
        xml_file: str,
        *,
        span: float,
        centre: tuple[float, float],
        colours: Colours,
        floor: bool = True,
        behind: str | None = None,
    ):
        super().__init__(xml_file, span=span, centre=centre, colours=colours)
        self._floor = floor
        if behind is not None:
            self._shown.sort(key=lambda index: behind not in self._model.geom(index).name)

    def draw(self, snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """One picture, with a shadow on the floor."""
        limbs = self.limbs(snapshot)
        moving = self._centre + (np.array([snapshot[0], 0.0]) if self._floor else 0.0)
        canvas = Canvas(size, self._span, moving)
        if self._floor:
            _draw_floor(canvas)
            _draw_side_shadow(canvas, limbs)
        for limb in limbs:
            canvas.limb(limb.start[[0, 2]], limb.end[[0, 2]], limb.radius, limb.colour)
        return canvas.frame()


class TopScene(MujocoScene):
    """Seen from above, x to the right and y upward; `follows` keeps the body in the middle."""

    def __init__(
        self,
        xml_file: str,
        *,
        span: float,
        centre: tuple[float, float] = (0.0, 0.0),
        colours: Colours,
        follows: bool,
        tile: float,
    ):
        super().__init__(xml_file, span=span, centre=centre, colours=colours)
        self._follows, self._tile = follows, tile

    def draw(self, snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """One picture; higher parts are drawn last."""
        limbs = sorted(self.limbs(snapshot), key=lambda limb: limb.start[2] + limb.end[2])
        canvas = Canvas(size, self._span, self._centre + (snapshot[:2] if self._follows else 0.0), GROUND)
        for corners in _tiles(canvas.u_range, canvas.v_range, self._tile):
            canvas.polygon(corners, GROUND_DARK)
        for limb in limbs:
            canvas.limb(limb.start[:2], limb.end[:2], limb.radius, limb.colour)
        return canvas.frame()


class SlantScene(MujocoScene):
    """Seen from in front, to one side and above, without perspective; the picture follows the body over the floor."""

    AZIMUTH, ELEVATION = math.radians(-28.0), math.radians(22.0)
    RIGHT = np.array([math.cos(AZIMUTH), math.sin(AZIMUTH), 0.0])
    INWARD = np.array([-math.sin(AZIMUTH), math.cos(AZIMUTH), 0.0])
    UP = INWARD * math.sin(ELEVATION) + np.array([0.0, 0.0, math.cos(ELEVATION)])
    DEPTH = INWARD * math.cos(ELEVATION) - np.array([0.0, 0.0, math.sin(ELEVATION)])
    FLOOR_REACH = 5
    """Tiles of one metre drawn in each direction."""

    def draw(self, snapshot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """One picture; parts that lie farther away are drawn first."""
        limbs = sorted(self.limbs(snapshot), key=lambda limb: -float(self.DEPTH @ (limb.start + limb.end)))
        place = np.array([snapshot[0], snapshot[1], 0.0])
        canvas = Canvas(size, self._span, self._project(place) + self._centre, GROUND)
        reach = self.FLOOR_REACH
        tiles = _tiles((place[0] - reach, place[0] + reach), (place[1] - reach, place[1] + reach), 1.0)
        for corners in tiles:
            canvas.polygon([self._project(np.array([x, y, 0.0])) for x, y in corners], GROUND_DARK)
        flat = np.array([1.0, 1.0, 0.0])
        for limb in limbs:
            canvas.capsule(self._project(limb.start * flat), self._project(limb.end * flat), limb.radius * 0.8, SHADOW)
        for limb in limbs:
            canvas.limb(self._project(limb.start), self._project(limb.end), limb.radius, limb.colour)
        return canvas.frame()

    def _project(self, point: np.ndarray) -> np.ndarray:
        return np.array([self.RIGHT @ point, self.UP @ point])


def _draw_floor(canvas: Canvas) -> None:
    """Ground below z = 0, shaded every other metre, with a mark each half metre."""
    (left, right), (bottom, _) = canvas.u_range, canvas.v_range
    canvas.polygon([(left, 0.0), (right, 0.0), (right, bottom), (left, bottom)], GROUND)
    for metre in range(math.floor(left), math.ceil(right)):
        if metre % 2 == 0:
            canvas.polygon([(metre, 0.0), (metre + 1, 0.0), (metre + 1, bottom), (metre, bottom)], GROUND_DARK)
    for half_metre in range(math.floor(2 * left), math.ceil(2 * right) + 1):
        depth = 0.1 if half_metre % 2 == 0 else 0.05
        canvas.line([(half_metre / 2, 0.0), (half_metre / 2, -depth)], 0.012, GROUND_LINE)
    canvas.line([(left, 0.0), (right, 0.0)], 0.016, GROUND_LINE)


def _draw_side_shadow(canvas: Canvas, limbs: list[Limb]) -> None:
    """A strip on the floor below the body, so that a flight can be seen as one."""
    left = min(min(limb.start[0], limb.end[0]) - limb.radius for limb in limbs)
    right = max(max(limb.start[0], limb.end[0]) + limb.radius for limb in limbs)
    canvas.capsule((left, -0.035), (right, -0.035), 0.02, mix(SHADOW, GROUND_LINE, 0.4))


def _tiles(u_range: tuple[float, float], v_range: tuple[float, float], tile: float) -> list[list[tuple[float, float]]]:
    """Corners of the dark tiles of a chequered floor that covers the two ranges."""
    columns = range(math.floor(u_range[0] / tile), math.ceil(u_range[1] / tile))
    rows = range(math.floor(v_range[0] / tile), math.ceil(v_range[1] / tile))
    return [
        [(i * tile, j * tile), ((i + 1) * tile, j * tile), ((i + 1) * tile, (j + 1) * tile), (i * tile, (j + 1) * tile)]
        for i in columns
        for j in rows
        if (i + j) % 2
    ]

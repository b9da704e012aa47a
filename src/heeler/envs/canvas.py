"""A small anti-aliased canvas in metres, on Pillow alone: no OpenGL, no display."""

from collections.abc import Sequence

import numpy as np

Colour = tuple[int, int, int]
Point = Sequence[float] | np.ndarray

SKY: Colour = (246, 248, 252)
GROUND: Colour = (222, 228, 237)
GROUND_DARK: Colour = (208, 216, 228)
GROUND_LINE: Colour = (150, 162, 180)
SHADOW: Colour = (182, 192, 208)
INK: Colour = (44, 54, 72)
BLUE: Colour = (64, 116, 178)
SKY_BLUE: Colour = (112, 170, 216)
TEAL: Colour = (70, 160, 150)
ORANGE: Colour = (238, 140, 72)
RED: Colour = (214, 84, 84)
PLUM: Colour = (150, 130, 190)
GREY: Colour = (164, 174, 190)

SUPERSAMPLE = 2
"""Pixels are drawn this many times finer along each side, then averaged."""


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` (0 to 1) of `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


class Canvas:
    """One picture of a plane in metres, u to the right and v upward.

    Args:
        size: width and height in pixels.
        span: metres that the shorter side shows.
        centre: the point (u, v) in the middle.
        background: what is behind everything.
    """

    def __init__(self, size: tuple[int, int], span: float, centre: Point, background: Colour = SKY):
        from PIL import Image, ImageDraw  # here, so that a world that is never drawn does without their memory

        width, height = size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE
        self.scale = min(width, height) / span
        """Fine pixels per metre."""
        self._left = width / 2 - float(centre[0]) * self.scale
        self._top = height / 2 + float(centre[1]) * self.scale
        self._image = Image.new("RGB", (width, height), background)
        self._pen = ImageDraw.Draw(self._image)
        self.u_range = (-self._left / self.scale, (width - self._left) / self.scale)
        """Leftmost and rightmost metres in sight."""
        self.v_range = ((self._top - height) / self.scale, self._top / self.scale)

    def frame(self) -> np.ndarray:
        """The picture, [H, W, 3] uint8."""
        return np.asarray(self._image.reduce(SUPERSAMPLE))

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """A filled polygon."""
        self._pen.polygon([self._pixel(point) for point in points], fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """A line through `points`, `width` metres wide."""
        pixels = max(1, round(width * self.scale))
        self._pen.line([self._pixel(point) for point in points], fill=fill, width=pixels, joint="curve")

    def disc(self, centre: Point, radius: float, fill: Colour, *, squash: float = 1.0) -> None:
        """A filled disc; `squash` below 1 flattens it."""
        (x, y), r = self._pixel(centre), radius * self.scale
        self._pen.ellipse((x - r, y - r * squash, x + r, y + r * squash), fill=fill)

    def capsule(self, start: Point, end: Point, radius: float, fill: Colour) -> None:
        """A thick line with round ends."""
        self._pen.line([self._pixel(start), self._pixel(end)], fill=fill, width=max(1, round(2 * radius * self.scale)))
        self.disc(start, radius, fill)
        self.disc(end, radius, fill)

    def limb(self, start: Point, end: Point, radius: float, fill: Colour) -> None:
        """A capsule with a darker rim, so that parts which overlap can be told apart."""
        rim = 1.4 * SUPERSAMPLE / self.scale
        self.capsule(start, end, radius, mix(fill, INK, 0.55))
        self.capsule(start, end, max(radius - rim, radius * 0.4), fill)

    def _pixel(self, point: Point) -> tuple[float, float]:
        return self._left + float(point[0]) * self.scale, self._top - float(point[1]) * self.scale

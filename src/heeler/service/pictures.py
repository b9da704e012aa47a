"""Pictures as WebP, and many of them laid out on one sheet, row by row."""

import math
from io import BytesIO

import numpy as np

SIZE = 240
"""Width and height of one picture in pixels."""


def num_columns(num_pictures: int) -> int:
    """Pictures in a row of a sheet that holds so many."""
    return max(1, math.ceil(math.sqrt(num_pictures)))


def sheet(pictures: np.ndarray) -> bytes:
    """Pictures [N, SIZE, SIZE, 3] uint8 on one sheet as WebP; what is left of its last row is black."""
    columns = num_columns(len(pictures))
    rows = math.ceil(len(pictures) / columns)
    cells = np.zeros((rows * columns, SIZE, SIZE, 3), np.uint8)
    cells[: len(pictures)] = pictures
    grid = cells.reshape(rows, columns, SIZE, SIZE, 3).swapaxes(1, 2)
    return webp(grid.reshape(rows * SIZE, columns * SIZE, 3))


def webp(picture: np.ndarray) -> bytes:
    """A picture [H, W, 3] uint8 as WebP."""
    from PIL import Image  # here, so that a service which shows no pictures does without its memory

    encoded = BytesIO()
    Image.fromarray(picture).save(encoded, format="WEBP", quality=80, method=2)
    return encoded.getvalue()

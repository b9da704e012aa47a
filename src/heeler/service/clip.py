"""The newest clip of a run: what its learner left in `media/`, drawn as one sheet of pictures when it is asked for."""

import math
import threading
from collections import OrderedDict
from pathlib import Path

from heeler.core.live import LiveStretch
from heeler.envs import draw
from heeler.service.bodies_operate import SheetOut
from heeler.service.pictures import SIZE, num_columns, sheet

_KEPT = 8


class Clips:
    """Draws clips, one at a time, and remembers the newest few."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawn: OrderedDict[tuple[Path, int], bytes] = OrderedDict()

    def drawn(self, run: Path, env_id: str, stretch: LiveStretch) -> bytes:
        """A stretch as a WebP sheet.

        Args:
            run: directory of the run that it is of.
            env_id: of a world that can be drawn.
            stretch: to be drawn.

        Raises:
            ValueError: it is not of this world.
        """
        key = (run, stretch.step)
        with self._lock:
            if key not in self._drawn:
                self._drawn[key] = sheet(draw(env_id, stretch.snapshot, (SIZE, SIZE)))
                while len(self._drawn) > _KEPT:
                    self._drawn.popitem(last=False)
            return self._drawn[key]


def sheet_of(num_pictures: int) -> SheetOut:
    """How so many pictures are laid out."""
    columns = num_columns(num_pictures)
    rows = math.ceil(num_pictures / columns)
    return SheetOut(columns=columns, rows=rows, num_pictures=num_pictures, width=SIZE, height=SIZE)

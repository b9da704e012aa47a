"""Segments as sheets of pictures, drawn once and kept in the run's folder `media`."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from heeler.core.errors import RunError
from heeler.core.nouns import Segment
from heeler.core.rundir import write_atomically
from heeler.envs import draw
from heeler.service.bodies_shown import FilmOut
from heeler.service.pictures import SIZE, num_columns, sheet

MAX_PICTURES = 60
_FOLDER = "media"
_log = logging.getLogger("heeler.service")


class Films:
    """Draws films one at a time, so that the learner keeps its cores."""

    def __init__(self) -> None:
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="heeler-films")

    def kept(self, run: Path, segment_id: str) -> bytes | None:
        """The film of a segment, if it was drawn before."""
        try:
            return _path(run, segment_id).read_bytes()
        except OSError:
            return None

    def drawn(self, run: Path, segment_id: str, segment: Segment) -> bytes:
        """Draw the film of a segment and keep it; to be called by the worker."""
        found = self.kept(run, segment_id)
        if found is not None:
            return found
        content = film_sheet(segment)
        path = _path(run, segment_id)
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, content)
        except (RunError, OSError) as error:
            # Somebody waits for it, and it can be drawn again.
            _log.warning("a film is not kept: %s", error)
        return content

    def close(self) -> None:
        """Let go of what waits to be drawn."""
        self.worker.shutdown(wait=True, cancel_futures=True)


def film_of(num_steps: int) -> FilmOut:
    """Which steps a film shows, and how its pictures lie."""
    number = min(num_steps, MAX_PICTURES)
    steps = [round(index * (num_steps - 1) / max(1, number - 1)) for index in range(number)]
    return FilmOut(columns=num_columns(number), width=SIZE, height=SIZE, steps=steps)


def film_sheet(segment: Segment) -> bytes:
    """The sheet of pictures of a segment that can be drawn, as WebP."""
    assert segment.snapshot is not None
    steps = film_of(len(segment)).steps
    return sheet(draw(segment.env_id, segment.snapshot[steps], (SIZE, SIZE)))


def _path(run: Path, segment_id: str) -> Path:
    return run / _FOLDER / f"{segment_id}.webp"

"""What an agent did just now, for whoever watches: the learner leaves it in the run's `media/`, the service draws it.

Nobody waits for anybody. Who watches says so by touching a file; the learner looks at that file's time between two
updates, and records only while it is fresh. What is left is lost without harm, so that nothing is flushed.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from heeler.core.errors import RunError

LIVE = "live"
"""How a question was chosen whose stretch is shown while the agent goes on: it is asked on the page that shows it, and
put to nobody later."""
WATCHED_FOR_S = 30.0
"""Who has not said for so long that they watch, watches no more."""

_LIVE, _WATCHED = "live.safetensors", ".watched"


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveStretch:
    """A stretch of what one environment did, in the form that `envs.draw` takes."""

    snapshot: np.ndarray
    """[T, S] float32."""
    fps: float
    """Rows in a second of the world's own time."""
    step: int
    """The learner's environment steps at its end."""


def say_watching(run: Path) -> None:
    """Say that somebody watches the run now.

    Raises:
        RunError: the run's folder cannot be written.
    """
    path = run / "media" / _WATCHED
    try:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; make it writable") from error


def is_watched(run: Path, *, within_s: float = WATCHED_FOR_S) -> bool:
    """Whether somebody has said in the last seconds that they watch the run; takes microseconds."""
    try:
        return abs(time.time() - (run / "media" / _WATCHED).stat().st_mtime) < within_s
    except OSError:
        return False


def leave(run: Path, stretch: LiveStretch) -> None:
    """Leave a stretch in the place of the one before. Where the disk is full it is lost: it is worth no run."""
    path = run / "media" / _LIVE
    aside = path.with_name(f".{_LIVE}.{os.getpid()}.tmp")
    arrays = {
        "snapshot": np.ascontiguousarray(stretch.snapshot, np.float32),
        "fps": np.array([stretch.fps]),
        "step": np.array([stretch.step], np.int64),
    }
    try:
        aside.write_bytes(save(arrays))
        os.replace(aside, path)
    except OSError:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def newest(run: Path) -> LiveStretch | None:
    """What was left last; None where nothing was.

    Raises:
        RunError: it cannot be read, or is damaged.
    """
    path = run / "media" / _LIVE
    try:
        arrays = load(path.read_bytes())
        snapshot, fps, step = arrays["snapshot"], float(arrays["fps"][0]), int(arrays["step"][0])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, KeyError, IndexError) as error:
        raise RunError(f"{path} is damaged; remove it, and the learner leaves another") from error
    return LiveStretch(snapshot=snapshot, fps=fps, step=step)

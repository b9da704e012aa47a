"""Whether this machine has what a run needs. Each check does in small what a run does, and says how to mend it."""

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from heeler import __version__

MIN_PYTHON = (3, 11)
MIN_FREE_MB, WANTED_FREE_MB = 100, 1000
SAFE_SQLITE = (3, 51, 3)
_TRACKERS = {"tensorboard": "tensorboard", "mlflow": "mlflow-skinny"}

State = Literal["good", "note", "broken"]


@dataclass(frozen=True)
class Check:
    """What one look came to."""

    name: str
    state: State
    """`note` is worth knowing and stops nothing; `broken` stops a run."""
    found: str
    mend: str = ""
    """What to do about it."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def examine(runs: Path) -> list[Check]:
    """Look at everything.

    Args:
        runs: the directory that runs are to be made in; nothing stays behind in it.
    """
    place = _nearest_folder(runs)
    checks: list[Callable[[], Check]] = [
        python,
        _heeler,
        _torch,
        _cuda,
        _mujoco,
        _clips,
        _processors,
        partial(disk, place),
        partial(writable, place),
        partial(_store, place),
        sqlite,
        partial(optional, "PostgreSQL", "psycopg", "postgresql", "for a store on a server"),
        *(partial(optional, package, project, "tracking", "if you want it") for package, project in _TRACKERS.items()),
    ]
    return [check() for check in checks]


def _nearest_folder(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def python() -> Check:
    """The interpreter."""
    found = platform.python_version()
    if sys.version_info < MIN_PYTHON:
        return Check("Python", "broken", found, f"heeler needs Python {'.'.join(map(str, MIN_PYTHON))} or later")
    return Check("Python", "good", found)


def _heeler() -> Check:
    return Check("heeler", "good", __version__)


def _torch() -> Check:
    try:
        import torch

        product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.tolist() == [[2, 2], [2, 2]]
    except Exception as error:
        # A broken installation can raise anything: a missing library, an instruction that the processor lacks.
        return Check("torch", "broken", f"{type(error).__name__}: {error}", "install it again: make setup")
    return Check("torch", "good", f"{torch.__version__}, {torch.get_num_threads()} threads")


def _cuda() -> Check:
    try:
        import torch
    except Exception:
        # What is wrong with torch is said where torch is looked at.
        return Check("CUDA", "note", "unknown, as torch cannot be imported")
    if not torch.cuda.is_available():
        return Check("CUDA", "note", "no device; learning runs on the processor")
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return Check("CUDA", "good", names)


def _mujoco() -> Check:
    try:
        from heeler.envs import EnvConfig, make
        from heeler.envs.mujoco_model import mj

        world = make(EnvConfig(id="Hopper-v5", num_envs=2), seed=0)
        world.reset(seed=0)
        world.step(world.action_space.sample())
        world.close()
    except Exception as error:
        # As with torch: whatever the installation raises is what there is to tell.
        return Check("MuJoCo", "broken", f"{type(error).__name__}: {error}", "install it again: make setup")
    return Check("MuJoCo", "good", mj.__version__)


def _clips() -> Check:
    from PIL import Image, features

    if not features.check("webp"):
        found = f"Pillow {Image.__version__} without WebP"
        return Check("clips", "broken", found, "pip install --force-reinstall pillow")
    return Check("clips", "good", f"Pillow {Image.__version__} with WebP")


def _processors() -> Check:
    num = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    limit = os.environ.get("OMP_NUM_THREADS")
    limited = f", OMP_NUM_THREADS={limit}" if limit else ""
    return Check("processors", "good", f"{num}, {memory_gb:.0f} GB of memory{limited}")


def disk(place: Path) -> Check:
    """Free room for runs."""
    free_mb = shutil.disk_usage(place).free / 1e6
    found = f"{free_mb / 1000:,.1f} GB free in {place}"
    if free_mb < MIN_FREE_MB:
        return Check("disk", "broken", found, f"a run needs {MIN_FREE_MB} MB or more; free some")
    if free_mb < WANTED_FREE_MB:
        return Check("disk", "note", found, "long runs with many clips may fill it")
    return Check("disk", "good", found)


@contextmanager
def _folder_in(place: Path) -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix=".heeler-doctor-", dir=place) as folder:
        yield Path(folder)


def writable(place: Path) -> Check:
    """Whether runs can be written there."""
    try:
        with _folder_in(place) as folder:
            (folder / "file").write_bytes(b"x")
    except OSError as error:
        return Check("runs", "broken", f"{place}: {error.strerror}", "make it writable, or name another by --run-dir")
    return Check("runs", "good", f"{place} can be written")


def _store(place: Path) -> Check:
    from heeler.core.errors import StoreError
    from heeler.feedback.store import Store

    try:
        with _folder_in(place) as folder, Store.open(folder / "heeler.db", segments_dir=None) as store:
            store.add_annotator("doctor", "program")
    except (StoreError, OSError) as error:
        return Check("store", "broken", str(error), "keep runs on a local disk that can be written")
    return Check("store", "good", "can be made and written")


def sqlite() -> Check:
    """SQLite's version."""
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        safe = ".".join(map(str, SAFE_SQLITE))
        note = f"before {safe} two writers at once could damage a store; heeler lets one write at a time"
        return Check("SQLite", "note", found, note)
    return Check("SQLite", "good", found)


def optional(name: str, project: str, extra: str, what_for: str) -> Check:
    """A package that only some runs need."""
    try:
        return Check(name, "good", f"{project} {version(project)}")
    except PackageNotFoundError:
        return Check(name, "note", f"{project} is not installed", f"pip install 'heeler[{extra}]' {what_for}")

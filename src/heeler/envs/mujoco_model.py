"""MuJoCo's compiled names, the models of Gymnasium's tasks, and models from text."""

import copy
import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium

from heeler.core.errors import ConfigError

try:
    import mujoco
except Exception as error:
    # MuJoCo loads what MUJOCO_GL names as it is imported; a library that is not there shows as errors of many kinds.
    if "MUJOCO_GL" not in os.environ:
        raise
    raise ConfigError(
        f"MuJoCo cannot be imported with MUJOCO_GL={os.environ['MUJOCO_GL']}: {type(error).__name__}: {error}; unset "
        "MUJOCO_GL or set it to what is installed, such as egl; worlds that heeler steps itself are drawn without it"
    ) from error

mj: Any = mujoco
"""The package `mujoco`; its names come from compiled modules that a type checker cannot read."""


@cache
def load_model(xml_file: str) -> Any:
    """The compiled `MjModel` of one of the XML files that Gymnasium installs; compiled once a process."""
    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / xml_file
    mj.set_mju_user_warning(_say_nothing)  # an old file's notices would go to a log in the working directory
    try:
        return mj.MjModel.from_xml_path(str(path))
    finally:
        mj.set_mju_user_warning(None)


@cache
def compile_model(xml: str) -> Any:
    """The compiled `MjModel` of MJCF text; compiled once a process."""
    return mj.MjModel.from_xml_string(xml)


_gravity_factor: ContextVar[float] = ContextVar("gravity_factor", default=1.0)


@contextmanager
def gravity_times(factor: float) -> Generator[None]:
    """Within it, worlds are made with gravity times `factor`."""
    token = _gravity_factor.set(factor)
    try:
        yield
    finally:
        _gravity_factor.reset(token)


def under_gravity(model: Any) -> Any:
    """The model, or a copy of it with the gravity of `gravity_times`: compiled models are shared by a whole process."""
    factor = _gravity_factor.get()
    if factor == 1.0:
        return model
    other = copy.copy(model)
    other.opt.gravity[:] *= factor
    return other


def _say_nothing(_message: str) -> None:
    """A deprecation notice about a file that Gymnasium ships is not the user's to mend."""


def default_num_threads() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

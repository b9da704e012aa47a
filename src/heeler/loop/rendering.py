"""Pictures that a world draws of itself, by its own `render()` and whatever graphics library that uses."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

from heeler.core.errors import WorldError
from heeler.envs import World
from heeler.envs.mujoco_model import mj

_ASKED_FOR = ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY")
_gl_failures: list[str] = []
"""How OpenGL failed MuJoCo in this process: once that has happened, a second try would end the process."""


def rendered(world: World) -> np.ndarray:
    """[H, W, 3] uint8: the first environment as it draws itself.

    Raises:
        WorldError: it cannot, or gives something else; says why.
    """
    problem = f"{world.env_id} cannot be filmed: "
    if _gl_failures:
        raise WorldError(f"{problem}OpenGL has failed in this process, as {_gl_failures[0]}")
    try:
        with _egl_without_display():
            frames = world.render()
    except (Exception, SystemExit) as error:
        # Whatever a stranger's render() or its graphics library raises: a clip is not worth a run.
        said = f"render() raised {type(error).__name__}: {error}"
        if isinstance(error, mj.FatalError):
            said += "; with EGL installed, MUJOCO_GL=egl needs no display"
            _gl_failures.append(said)
        raise WorldError(problem + said) from error
    frame = np.asarray(frames[0]) if frames else None
    if frame is None or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        got = type(frames).__name__ if frame is None else f"{frame.dtype} {list(frame.shape)}"
        raise WorldError(f"{problem}render() should give uint8 [H, W, 3] with H and W above 0, got {got}")
    return frame


@contextmanager
def _egl_without_display() -> Iterator[None]:
    """Let MuJoCo draw through EGL where there is no display: Gymnasium would take GLFW, which needs one."""
    if sys.platform != "linux" or any(os.environ.get(name) for name in _ASKED_FOR) or not _egl_works():
        yield
        return
    os.environ["MUJOCO_GL"] = "egl"
    try:
        yield
    finally:
        del os.environ["MUJOCO_GL"]


@cache
def _egl_works() -> bool:
    try:
        from mujoco.egl import GLContext

        GLContext(16, 16).free()
    except Exception:
        # A missing library or device shows as errors of many kinds; GLFW is then tried, and says what it lacks.
        return False
    return True

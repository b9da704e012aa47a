"""A stranger's render() and the graphics libraries under it: what they do must not end a run."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import WorldError
from heeler.envs.mujoco_model import mj
from heeler.loop import rendering
from heeler.loop.rendering import rendered

PICTURE = np.zeros((4, 6, 3), np.uint8)
NO_DISPLAY = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}


def world(render: Any, env_id: str = "Some") -> Any:
    """Just enough of a world to be drawn."""
    return SimpleNamespace(env_id=env_id, render=render)


@pytest.fixture(autouse=True)
def nothing_failed_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_gl_failures", [])


def test_opengl_that_failed_is_not_tried_again() -> None:
    def fails() -> None:
        raise mj.FatalError("no context")

    with pytest.raises(WorldError, match=r"One cannot be filmed: render\(\) raised FatalError: no context; with EGL"):
        rendered(world(fails, "One"))
    with pytest.raises(WorldError, match=r"Two cannot be filmed: OpenGL has failed in this process, as .* no context"):
        rendered(world(lambda: pytest.fail("tried again"), "Two"))


def test_another_failure_is_no_reason_not_to_try_again() -> None:
    def fails() -> None:
        raise OSError("busy")

    with pytest.raises(WorldError, match="busy"):
        rendered(world(fails))
    assert rendered(world(lambda: (PICTURE,))) is PICTURE


@pytest.mark.parametrize(
    ("frames", "got"),
    [
        ((np.zeros((0, 0, 3), np.uint8),), r"uint8 \[0, 0, 3\]"),
        ((np.zeros((4, 0, 3), np.uint8),), r"uint8 \[4, 0, 3\]"),
        ((np.zeros((4, 6), np.uint8),), r"uint8 \[4, 6\]"),
        ((np.zeros((4, 6, 3), np.float32),), r"float32 \[4, 6, 3\]"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(frames: Any, got: str) -> None:
    with pytest.raises(WorldError, match=rf"should give uint8 \[H, W, 3\] with H and W above 0, got {got}"):
        rendered(world(lambda: frames))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "egl"),
        ({"DISPLAY": ":0"}, None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, None),
        ({"MUJOCO_GL": "glfw"}, "glfw"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a display, or no EGL")
def test_egl_is_taken_where_there_is_no_display(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str | None
) -> None:
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    seen: list[str | None] = []

    def draws() -> tuple[np.ndarray]:
        seen.append(os.environ.get("MUJOCO_GL"))
        return (PICTURE,)

    for works in (True, False):
        monkeypatch.setattr(rendering, "_egl_works", lambda works=works: works)
        rendered(world(draws))
    assert seen == [expected, variables.get("MUJOCO_GL")]
    assert os.environ.get("MUJOCO_GL") == variables.get("MUJOCO_GL")


def heeler(cwd: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "heeler", *arguments]
    return subprocess.run(command, cwd=cwd, env=NO_DISPLAY | variables, capture_output=True, text=True, timeout=120)


def test_a_run_whose_world_cannot_be_drawn_here_ends_with_a_report_that_says_why(tmp_path: Path) -> None:
    """Pusher is drawn by MuJoCo's OpenGL: the report would film it twice, and the second try would end the process."""
    small = ["--total-steps", "512", "--num-envs", "4", "--set", "num_steps=64", "algorithm.num_epochs=1"]
    done = heeler(tmp_path, "run", "ppo", "--env", "Pusher-v5", *small, "--run-dir", "run", MUJOCO_GL="glfw")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Report: run/report.html\n")
    assert (tmp_path / "run" / "report.html").read_text().count("No clip: Pusher-v5 cannot be filmed: ") == 2


def test_a_graphics_library_that_mujoco_cannot_load_is_named(tmp_path: Path) -> None:
    done = heeler(tmp_path, "run", "ppo", "--env", "CartPole-v1", MUJOCO_GL="nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("heeler: MuJoCo cannot be imported with MUJOCO_GL=nonsense: RuntimeError: invalid")
    assert done.stderr.count("\n") == 1

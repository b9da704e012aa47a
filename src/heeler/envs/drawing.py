"""Pictures and clips of heeler's own worlds from snapshots alone: no OpenGL, no display, no simulation."""

import threading
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np

from heeler.core.errors import ConfigError, did_you_mean
from heeler.core.rundir import write_atomically
from heeler.envs.canvas import BLUE, GREY, ORANGE, PLUM, RED, SKY_BLUE, TEAL
from heeler.envs.scenes_classic import (
    draw_acrobot,
    draw_cart_pole,
    draw_mountain_car,
    draw_mountain_car_continuous,
    draw_pendulum,
    draw_point_maze,
)
from heeler.envs.scenes_courses import NUM_NUMBERS as COURSE_NUMBERS
from heeler.envs.scenes_courses import draw_car, draw_point
from heeler.envs.scenes_grid import NUM_NUMBERS as GRID_NUMBERS
from heeler.envs.scenes_grid import draw_lava_grid
from heeler.envs.scenes_mujoco import Colours, MujocoScene, SideScene, SlantScene, TopScene

DrawOne = Callable[[np.ndarray, tuple[int, int]], np.ndarray]

_HOPPER: Colours = {"torso": BLUE, "thigh": SKY_BLUE, "leg": TEAL, "foot": ORANGE}
_WALKER: Colours = {"torso": BLUE, "left": PLUM, "thigh": SKY_BLUE, "leg": TEAL, "foot": ORANGE}
_CHEETAH: Colours = {"torso": BLUE, "head": BLUE, "bfoot": ORANGE, "ffoot": ORANGE, "b": PLUM, "f": SKY_BLUE}
_SWIMMER: Colours = {"torso": ORANGE, "mid": BLUE, "back": SKY_BLUE}
_ANT: Colours = {"torso": BLUE, "aux": SKY_BLUE, "ankle": ORANGE, "leg": SKY_BLUE}
_HUMANOID: Colours = {"head": ORANGE, "right": SKY_BLUE, "left": PLUM, "torso": BLUE}
_REACHER: Colours = {"target": RED, "fingertip": ORANGE, "link": BLUE, "side": GREY, "root": GREY}
_PENDULUM: Colours = {"rail": GREY, "cart": BLUE, "cpole2": SKY_BLUE, "cpole": ORANGE}

_RUNNERS: Mapping[str, Callable[[], MujocoScene]] = {
    "Ant-v5": lambda: SlantScene("ant.xml", span=3.4, centre=(0.0, 0.45), colours=_ANT),
    "HalfCheetah-v5": lambda: SideScene("half_cheetah.xml", span=2.4, centre=(0.05, 0.75), colours=_CHEETAH),
    "Hopper-v5": lambda: SideScene("hopper.xml", span=2.5, centre=(0.0, 0.95), colours=_HOPPER),
    "Swimmer-v5": lambda: TopScene("swimmer.xml", span=5.0, colours=_SWIMMER, follows=True, tile=1.0),
    "Walker2d-v5": lambda: SideScene("walker2d_v5.xml", span=2.5, centre=(0.0, 0.95), colours=_WALKER, behind="left"),
}
_MUJOCO_SCENES: Mapping[str, Callable[[], MujocoScene]] = {
    **_RUNNERS,
    **{name.replace("-v5", "Velocity"): scene for name, scene in _RUNNERS.items()},
    "Backflip": lambda: SideScene("hopper.xml", span=3.6, centre=(0.0, 1.45), colours=_HOPPER),
    "Humanoid-v5": lambda: SlantScene("humanoid.xml", span=2.8, centre=(0.0, 0.95), colours=_HUMANOID),
    "InvertedDoublePendulum-v5": lambda: SideScene(
        "inverted_double_pendulum.xml", span=3.0, centre=(0.0, 0.5), colours=_PENDULUM, floor=False
    ),
    "InvertedPendulum-v5": lambda: SideScene(
        "inverted_pendulum.xml", span=2.4, centre=(0.0, 0.3), colours=_PENDULUM, floor=False
    ),
    "Reacher-v5": lambda: TopScene("reacher.xml", span=0.68, colours=_REACHER, follows=False, tile=0.1),
}
_PLAIN_SCENES: Mapping[str, tuple[int, DrawOne]] = {
    "Acrobot-v1": (4, draw_acrobot),
    "CarGoal": (COURSE_NUMBERS, draw_car),
    "CartPole-v1": (4, draw_cart_pole),
    "LavaGrid": (GRID_NUMBERS, draw_lava_grid),
    "MountainCar-v0": (2, draw_mountain_car),
    "MountainCarContinuous-v0": (2, draw_mountain_car_continuous),
    "Pendulum-v1": (2, draw_pendulum),
    "PointGoal": (COURSE_NUMBERS, draw_point),
    "PointMaze": (3, draw_point_maze),
}
DRAWN_IDS: tuple[str, ...] = (*_MUJOCO_SCENES, *_PLAIN_SCENES)
"""The worlds that `draw` knows."""
_lock = threading.Lock()


@cache
def _scene(env_id: str) -> tuple[int, DrawOne]:
    """How many numbers a snapshot has, and the function that draws one."""
    if env_id in _PLAIN_SCENES:
        return _PLAIN_SCENES[env_id]
    if env_id not in _MUJOCO_SCENES:
        raise ConfigError(
            f"no picture of {env_id!r} can be drawn from snapshots.{did_you_mean(env_id, DRAWN_IDS)} "
            f"Known are {', '.join(DRAWN_IDS)}; for others use the world's render()"
        )
    scene = _MUJOCO_SCENES[env_id]()
    return scene.num_numbers, scene.draw


def draw(env_id: str, snapshots: np.ndarray, size: tuple[int, int] = (240, 240)) -> np.ndarray:
    """Pictures of a world's states.

    Args:
        env_id: one of `DRAWN_IDS`.
        snapshots: [T, S] rows of `World.snapshot()`.
        size: width and height in pixels.

    Returns:
        [T, H, W, 3] uint8.

    Raises:
        ConfigError: the world is not one that can be drawn.
        ValueError: `snapshots` is not of this world.
    """
    num_numbers, draw_one = _scene(env_id)
    if np.ndim(snapshots) != 2 or snapshots.shape[1] != num_numbers:
        raise ValueError(f"{env_id}: snapshots must have shape [T, {num_numbers}], got {np.shape(snapshots)}")
    frames = np.empty((len(snapshots), size[1], size[0], 3), np.uint8)
    # A scene works out one state at a time, in memory of its own.
    with _lock:
        for frame, snapshot in zip(frames, snapshots, strict=True):
            frame[:] = draw_one(snapshot, size)
    return frames


def write_webp(frames: np.ndarray, path: Path, fps: float) -> None:
    """Write an animated WebP that repeats for ever; the file appears whole or not at all.

    Args:
        frames: [T, H, W, 3] uint8, T at least 1.
        path: where to write it.
        fps: frames shown each second.

    Raises:
        RunError: the disk is full or read-only.
    """
    from PIL import Image  # here, for the same reason as in `Canvas`

    images = [Image.fromarray(frame) for frame in frames]
    duration_ms = max(1, round(1000 / fps))
    encoded = BytesIO()
    images[0].save(
        encoded,
        format="WEBP",
        save_all=True,
        append_images=images[1:],
        duration=duration_ms,
        loop=0,
        quality=80,
        method=2,
    )
    write_atomically(path, encoded.getvalue())

"""Pictures from snapshots: right size, right place, and movement that can be seen."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from PIL import Image

from heeler.core.errors import ConfigError
from heeler.envs import DRAWN_IDS, EnvConfig, draw, make, write_webp
from heeler.envs.canvas import BLUE, INK, ORANGE, PLUM, SKY, Canvas


def rows(env_id: str, num_steps: int = 12) -> np.ndarray:
    world = make(EnvConfig(id=env_id, num_envs=1), seed=0)
    world.action_space.seed(0)
    world.reset()
    snapshots = []
    for _ in range(num_steps):
        world.step(world.action_space.sample())
        snapshots.append(world.snapshot()[0])
    return np.array(snapshots)


def places(frame: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """[n, 2] rows and columns of the pixels of one colour."""
    return np.argwhere(np.abs(frame.astype(int) - colour).max(axis=-1) <= 3)


@pytest.mark.parametrize("env_id", DRAWN_IDS)
def test_every_world_is_drawn_in_any_size_and_moves(env_id: str):
    snapshots = rows(env_id)
    frames = draw(env_id, snapshots, size=(120, 90))
    assert (frames.shape, frames.dtype) == ((12, 90, 120, 3), np.uint8)
    assert (frames[0] != frames[-1]).any()
    np.testing.assert_array_equal(frames[3], draw(env_id, snapshots[3:4], size=(120, 90))[0])
    assert len(np.unique(frames[0].reshape(-1, 3), axis=0)) > 4, "not a blank picture"


def test_no_snapshots_give_no_frames():
    assert draw("Hopper-v5", np.zeros((0, 6), np.float32)).shape == (0, 240, 240, 3)


def test_the_hopper_is_where_its_joints_say():
    upright = draw("Backflip", np.array([[0, 1.25, 0, 0, 0, 0]], np.float32))[0]
    lying = draw("Backflip", np.array([[0, 0.3, -np.pi / 2, 0, 0, 0]], np.float32))[0]
    inverted = draw("Backflip", np.array([[0, 1.6, np.pi, 0, 0, 0]], np.float32))[0]

    def mean_row(frame: np.ndarray, colour: tuple[int, int, int]) -> float:
        return float(places(frame, colour)[:, 0].mean())

    assert mean_row(upright, BLUE) < mean_row(upright, ORANGE) - 50, "torso above foot"
    assert mean_row(inverted, BLUE) > mean_row(inverted, ORANGE) + 50, "torso below foot"
    assert abs(mean_row(lying, BLUE) - mean_row(lying, ORANGE)) < 40
    ground_row = 240 * 3.25 / 3.6
    assert ground_row - 14 < mean_row(upright, ORANGE) < ground_row, "the foot stands on the line of the ground"


def test_travel_scrolls_the_ground_and_not_the_body():
    here, there = draw("Hopper-v5", np.array([[0, 1.25, 0, 0, 0, 0], [0.6, 1.25, 0, 0, 0, 0]], np.float32))
    np.testing.assert_array_equal(here[:200], there[:200])
    assert (here[225:] != there[225:]).any()


def test_the_walkers_left_leg_is_behind_its_right():
    straight = draw("Walker2d-v5", np.array([[0, 1.25, 0, 0, 0, 0, 0, 0, 0]], np.float32))[0]
    assert len(places(straight, ORANGE)) > 150
    assert len(places(straight, PLUM)) == 0


def test_the_cart_pole_leans_to_the_side_of_its_angle():
    left, right = draw("CartPole-v1", np.array([[0, 0, -0.4, 0], [0, 0, 0.4, 0]], np.float32))
    columns = [
        np.argwhere(np.abs(frame.astype(int) - ORANGE).max(axis=-1) <= 3)[:, 1].mean() for frame in (left, right)
    ]
    assert columns[0] < 115 < 125 < columns[1]


@pytest.mark.parametrize("env_id", DRAWN_IDS)
def test_a_world_knows_how_fast_its_time_goes(env_id: str):
    fps = make(EnvConfig(id=env_id, num_envs=1), seed=0).metadata["render_fps"]
    if env_id in gymnasium.registry and env_id not in ("Acrobot-v1", "Pendulum-v1"):  # shown faster than they are
        assert fps == pytest.approx(gymnasium.make(env_id).metadata["render_fps"], rel=0.01)
    slower = {"frame_skip": 8} if env_id in ("Hopper-v5", "Backflip") else {}
    if slower:
        assert make(EnvConfig(id=env_id, num_envs=1, kwargs=slower), seed=0).metadata["render_fps"] == fps / 2


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ConfigError, match=r"no picture of 'Hoper-v5' can be drawn .* Did you mean 'Hopper-v5'\?"):
        draw("Hoper-v5", np.zeros((1, 6)))
    with pytest.raises(ValueError, match=r"snapshots must have shape \[T, 6\], got \(1, 5\)"):
        draw("Hopper-v5", np.zeros((1, 5)))
    with pytest.raises(ValueError, match=r"snapshots must have shape \[T, 6\], got \(6,\)"):
        draw("Hopper-v5", np.zeros(6))


def test_webp_holds_every_frame_at_its_pace(tmp_path: Path):
    frames = draw("Pendulum-v1", np.linspace(0, 3, 7, dtype=np.float32)[:, None] * [1, 0])
    path = tmp_path / "clip.webp"
    write_webp(frames, path, fps=25)
    assert [item.name for item in tmp_path.iterdir()] == ["clip.webp"]
    with Image.open(path) as clip:
        assert (clip.format, clip.size, clip.n_frames, clip.info["loop"]) == ("WEBP", (240, 240), 7, 0)
        for index, frame in enumerate(frames):
            clip.seek(index)
            clip.load()
            assert clip.info["duration"] == 40
            assert np.abs(np.asarray(clip.convert("RGB")).astype(int) - frame).mean() < 3


def test_canvas_places_metres_on_pixels():
    canvas = Canvas((100, 50), span=5.0, centre=(10.0, 1.0))
    assert canvas.u_range == pytest.approx((5.0, 15.0))
    assert canvas.v_range == pytest.approx((-1.5, 3.5))
    canvas.disc((12.0, 2.0), 0.5, INK)
    frame = canvas.frame()
    assert frame.shape == (50, 100, 3)
    assert tuple(frame[15, 70]) == INK
    assert tuple(frame[35, 70]) == tuple(frame[15, 30]) == SKY

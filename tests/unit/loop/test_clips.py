"""Clips: drawn or rendered, at the world's own speed, and a plain word where there is nothing to see."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import heeler.loop
from heeler.algorithms.ppo import PPO
from heeler.core.errors import ConfigError, RunError, WorldError
from heeler.envs import draw, make
from heeler.loop.clips import Clip, record, save
from heeler.loop.config import RunConfig
from heeler.models.policy import Policy
from tests.unit.envs.toy_envs import Counter
from tests.unit.loop.tiny import tiny_ppo


def untrained(config: RunConfig) -> Policy:
    world = make(config.env, 0)
    shape = world.single_observation_space.shape
    assert shape is not None
    ppo = PPO(config.algorithm, shape[0], world.single_action_space)
    world.close()
    return ppo.init(0, 1).policy


def test_a_drawn_world_is_filmed_at_its_own_speed() -> None:
    config = tiny_ppo("Hopper-v5")
    clip = record(untrained(config), config, seed=1, max_s=1.0, min_s=1.0, size=64)
    # 125 steps a second, every fifth of them shown.
    assert clip.fps == 25
    assert clip.frames.shape == (25, 64, 64, 3)
    assert clip.num_steps == 125
    assert clip.duration_s == 1
    assert len(np.unique(clip.frames.reshape(25, -1), axis=0)) > 1


def test_the_first_frame_is_the_first_state() -> None:
    config = tiny_ppo("Pendulum-v1")
    clip = record(untrained(config), config, seed=5, max_s=0.5, size=80)
    world = make(replace(config.env, num_envs=1), 5)
    world.reset(seed=5)
    snapshot = world.snapshot()
    assert snapshot is not None
    np.testing.assert_array_equal(clip.frames[0], draw("Pendulum-v1", snapshot, (80, 80))[0])


def test_short_episodes_follow_each_other_until_there_is_enough_to_see() -> None:
    config = tiny_ppo("CartPole-v1")
    clip = record(untrained(config), config, seed=0, min_s=3.0, size=32)
    assert clip.num_episodes > 1
    assert 3 <= clip.duration_s < 8


def test_as_many_episodes_as_are_wanted() -> None:
    config = tiny_ppo("tests.unit.envs.toy_envs:Counter")
    clip = record(untrained(config), config, seed=0, num_episodes=2, size=8)
    assert (clip.num_episodes, clip.num_steps, clip.fps) == (2, 6, 10)
    # The toy draws its step as a grey level, and begins again.
    assert clip.frames.shape == (6, 8, 8, 3)
    assert [int(frame[0, 0, 0]) for frame in clip.frames] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("tests.unit.loop.unseen:Unseen", r"cannot be filmed: it has no render mode rgb_array, only \[\]"),
        ("tests.unit.loop.unseen:Torn", r"cannot be filmed: render\(\) raised OSError: no display here"),
        ("tests.unit.loop.unseen:Leaving", r"cannot be filmed: render\(\) raised SystemExit: 0"),
    ],
)
def test_a_world_that_cannot_be_seen_says_why(env: str, message: str) -> None:
    config = tiny_ppo(env)
    with pytest.raises(WorldError, match=message):
        record(untrained(config), config, seed=0)


@pytest.mark.parametrize("fps", [-60, 0, float("nan"), float("inf"), "fast", None])
def test_a_speed_that_is_none_is_the_usual_one(monkeypatch: pytest.MonkeyPatch, fps: object) -> None:
    config = tiny_ppo("tests.unit.envs.toy_envs:Counter")
    monkeypatch.setitem(Counter.metadata, "render_fps", fps)
    clip = record(untrained(config), config, seed=0, num_episodes=2, size=8)
    assert (clip.fps, len(clip.frames)) == (30, 6)


def test_a_run_is_filmed_from_python(ppo_run: Path, tmp_path: Path) -> None:
    filmed = heeler.loop.watch_run(ppo_run, tmp_path / "clip.gif", num_episodes=2, max_s=3)
    assert (filmed.path, filmed.step, filmed.clip.num_episodes) == (tmp_path / "clip.gif", 6 * 8 * 64, 2)
    with Image.open(filmed.path) as image:
        assert image.format == "GIF"


@pytest.mark.parametrize("max_s", [0, -1, float("nan"), float("inf")])
def test_a_clip_of_no_length_or_without_end_is_refused(ppo_run: Path, max_s: float) -> None:
    with pytest.raises(ConfigError, match="episodes and seconds must be above 0 and finite, got 1 and"):
        heeler.loop.watch_run(ppo_run, max_s=max_s)


def test_what_is_exported_is_there() -> None:
    assert all(getattr(heeler.loop, name).__name__ == name for name in heeler.loop.__all__)


CLIP = Clip(
    frames=np.random.default_rng(0).integers(255, size=(7, 20, 30, 3), dtype=np.uint8),
    fps=10,
    num_steps=7,
    num_episodes=1,
)


@pytest.mark.parametrize("name", ["clip.webp", "clip.gif"])
def test_a_clip_is_written_whole(tmp_path: Path, name: str) -> None:
    path = save(CLIP, tmp_path / "new" / name)
    with Image.open(path) as image:
        assert (image.n_frames, image.size) == (7, (30, 20))
        image.seek(1)
        image.load()
        assert image.info["duration"] == 100
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in .webp or .gif, got 'clip.mp4'"):
        save(CLIP, tmp_path / "clip.mp4")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*file/clip.gif"):
        save(CLIP, tmp_path / "file" / "clip.gif")

"""A run is recorded while somebody watches it, and then only; what it learns is the same."""

import os
import time

import numpy as np
import pytest
import torch

from heeler.core import live as files
from heeler.core.live import LiveStretch
from heeler.envs import draw
from heeler.loop import live
from heeler.loop.running import run
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences


@pytest.mark.parametrize("config", [tiny_ppo(), tiny_preferences()], ids=["ppo", "preferences"])
def test_a_run_that_is_watched_leaves_clips_and_learns_the_same(tmp_path, monkeypatch, config):
    monkeypatch.setattr(live, "LEAVE_EVERY_S", 0.0)
    monkeypatch.setattr(live, "_LOOK_EVERY_S", 0.0)
    alone = run(config, tmp_path / "alone")
    assert files.newest(alone.path) is None
    (tmp_path / "watched").mkdir()
    watched = run(config, tmp_path / "watched", on_metrics=lambda row: files.say_watching(tmp_path / "watched"))
    stretch = files.newest(watched.path)
    assert stretch is not None
    assert stretch.step % config.steps_per_update == 0
    assert draw(config.env.id, stretch.snapshot, (32, 32)).std() > 0
    for a, b in zip(alone.policy.parameters(), watched.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_nobody_watches_a_run_that_was_watched_long_ago(tmp_path):
    files.say_watching(tmp_path)
    assert files.is_watched(tmp_path)
    long_ago = time.time() - files.WATCHED_FOR_S - 1
    os.utime(tmp_path / "media" / ".watched", (long_ago, long_ago))
    assert not files.is_watched(tmp_path)
    assert files.is_watched(tmp_path, within_s=files.WATCHED_FOR_S + 60)
    assert not files.is_watched(tmp_path / "nowhere")


def test_a_full_disk_costs_a_clip_and_nothing_else(tmp_path):
    # There is no folder `media`, as on a disk that takes nothing more.
    files.leave(tmp_path, LiveStretch(snapshot=np.zeros((3, 2)), fps=10.0, step=1))
    assert files.newest(tmp_path) is None

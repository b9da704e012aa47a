"""From a run to an exported policy, for worlds of heeler's own and for strangers' worlds."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from heeler.core.errors import CheckpointError, RunError
from heeler.core.rundir import RunDirectory
from heeler.envs.gymnasium_adapter import build_env
from heeler.loop.exporting import export_run
from heeler.loop.reading import load_policy, newest_sound_checkpoint
from heeler.loop.running import run
from heeler.models.numpy_policy import NumpyPolicy
from tests.unit.loop.tiny import tiny_ppo


def test_the_export_acts_as_the_run_policy_does(ppo_run: Path, tmp_path: Path) -> None:
    files = export_run(ppo_run, tmp_path / "out")
    assert [path.name for path in files] == ["policy.safetensors", "policy.json", "policy.py"]
    assert all(path.is_file() for path in files)
    exported, (policy, _) = NumpyPolicy.load(tmp_path / "out"), load_policy(ppo_run)
    observations = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    np.testing.assert_array_equal(exported.act(observations), policy.executable(policy.act(observations, None).numpy()))
    checkpoint = newest_sound_checkpoint(RunDirectory.open(ppo_run))
    origin = exported.description["origin"]
    assert (origin["run"], origin["step"]) == ("true-reward", 6 * 8 * 64)
    assert origin["checkpoint_sha256"] == checkpoint.sha256
    assert origin["env"]["id"] == "CartPole-v1"


def test_it_plays_a_strangers_world_in_its_own_terms(tmp_path: Path) -> None:
    result = run(tiny_ppo("tests.unit.loop.unseen:Unseen", total_steps=8 * 64), tmp_path / "run")
    export_run(result.path, tmp_path / "out")
    exported = NumpyPolicy.load(tmp_path / "out")
    env = build_env("tests.unit.loop.unseen:Unseen", {})
    observation, _ = env.reset(seed=0)
    for _ in range(10):
        action = exported.act(exported.flatten(observation))
        assert action in (2, 3, 4)
        observation, *_ = env.step(action)


def test_the_run_itself_is_no_place_for_an_export(ppo_run: Path) -> None:
    with pytest.raises(RunError, match="is the run itself"):
        export_run(ppo_run, ppo_run)


def test_a_torn_checkpoint_is_passed_over(ppo_run: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(ppo_run, tmp_path / "run"))
    steps = RunDirectory.open(path).checkpoint_steps()
    tensors = path / "checkpoints" / f"step-{steps[-1]}" / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    export_run(path, tmp_path / "out")
    assert NumpyPolicy.load(tmp_path / "out").description["origin"]["step"] == steps[-2]
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(RunError, match="has no checkpoint to load; run it first"):
        export_run(path, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_checkpoint_of_other_networks_is_refused(ppo_run: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(ppo_run, tmp_path / "run"))
    config = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(config.replace("CartPole-v1", "Acrobot-v1"))
    with pytest.raises(CheckpointError, match="does not fit this version's world or networks"):
        export_run(path, tmp_path / "out")

"""A world that breaks down: the run stops with a checkpoint, names environment and step, and harms nothing."""

import re
from dataclasses import replace

import numpy as np
import pytest

from heeler.core.errors import ConfigError, WorldError
from heeler.core.rundir import RunDirectory
from heeler.envs import EnvConfig, make, making
from heeler.loop.config import RunConfig
from heeler.loop.running import resume, run
from tests.faults.bad_worlds import UNLUCKY, Breaking, BreakingPendulum
from tests.faults.test_run_kill import final_weights, metric_trace
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences

WORLD = "tests.faults.bad_worlds:Breaking"
NUM_STEPS, NUM_ENVS, WHEN = 8, 8, 21
"""The fault comes in the third rollout, after two updates."""


@pytest.fixture(autouse=True)
def not_mended():
    Breaking.mended = BreakingPendulum.mended = False
    yield
    Breaking.mended = BreakingPendulum.mended = False


def breaking(fault: str, **kwargs) -> RunConfig:
    config = tiny_ppo(WORLD, num_steps=NUM_STEPS, num_evaluation_episodes=2, checkpoint_every=100)
    env = EnvConfig(id=WORLD, num_envs=NUM_ENVS, kwargs={"fault": fault, "when": WHEN, **kwargs})
    return replace(config, env=env, total_steps=10 * NUM_STEPS * NUM_ENVS)


def first_unlucky(config: RunConfig) -> int:
    """Which copy breaks first: the luck of all of them is in the first observation."""
    world = make(config.env, config.seed)
    luck = world.reset(seed=config.seed)[0][:, 1]
    world.close()
    assert 0 < (luck > UNLUCKY).sum() < NUM_ENVS
    return int(np.flatnonzero(luck > UNLUCKY)[0])


FAULTS = {
    "nan": "gave a non-finite observation",
    "infinite": "gave a non-finite observation",
    "nan reward": "gave a non-finite reward nan",
    "infinite reward": "gave a non-finite reward -inf",
    "shape": "observation should have shape (2,), got (3,)",
    "raises": "step raised ZeroDivisionError: division by zero",
    "exits": "step raised SystemExit: 0",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_run_stops_with_a_checkpoint_and_names_environment_and_step(tmp_path, fault):
    config = breaking(fault)
    with pytest.raises(WorldError) as error:
        run(config, tmp_path / "run")
    message = str(error.value)
    assert FAULTS[fault] in message
    assert re.search(rf"environment {first_unlucky(config)}\b", message)
    assert re.search(rf"step {WHEN}\b", message)
    directory = RunDirectory.open(tmp_path / "run")
    checkpoint, refused = directory.newest_checkpoint()
    assert checkpoint is not None
    assert refused == []
    assert checkpoint.step == 2 * NUM_STEPS * NUM_ENVS
    assert len(directory.metrics()) == 2


def test_the_death_of_a_copys_process_stops_the_run_with_a_checkpoint(tmp_path):
    config = breaking("dies")
    config = replace(config, env=replace(config.env, vectorization="async"))
    with pytest.raises(WorldError, match=rf"environment \d at step {WHEN}: its process ended with exit code 7"):
        run(config, tmp_path / "run")
    checkpoint, _ = RunDirectory.open(tmp_path / "run").newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 2 * NUM_STEPS * NUM_ENVS


@pytest.mark.parametrize("fault", ["nan", "raises"])
def test_a_mended_world_is_gone_on_with(tmp_path, fault):
    with pytest.raises(WorldError):
        run(breaking(fault), tmp_path / "run")
    Breaking.mended = True
    result = resume(tmp_path / "run")
    assert np.isfinite(result.evaluation.returns).all()
    rows = RunDirectory.open(tmp_path / "run").metrics()
    assert [row["update"] for row in rows] == list(range(1, 11))


def test_a_world_that_is_not_mended_breaks_again_and_harms_nothing(tmp_path):
    with pytest.raises(WorldError):
        run(breaking("nan"), tmp_path / "run")
    before = RunDirectory.open(tmp_path / "run").newest_checkpoint()[0]
    with pytest.raises(WorldError, match="non-finite observation"):
        resume(tmp_path / "run")
    after = RunDirectory.open(tmp_path / "run").newest_checkpoint()[0]
    assert before is not None
    assert after is not None
    assert after.step >= before.step


def test_a_world_that_cannot_be_reset_again_leaves_its_checkpoint_and_its_own_error(tmp_path):
    config = breaking("second reset", length=20)
    with pytest.raises(WorldError, match=r"reset raised OSError: the motor does not answer"):
        run(config, tmp_path / "run")
    checkpoint, _ = RunDirectory.open(tmp_path / "run").newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 2 * NUM_STEPS * NUM_ENVS
    Breaking.mended = True
    resume(tmp_path / "run")


@pytest.fixture
def breaking_pendulum(monkeypatch):
    monkeypatch.setitem(making.CLASSIC_WORLDS, "Pendulum-v1", BreakingPendulum)


def test_a_batched_world_that_breaks_stops_with_a_checkpoint(tmp_path, breaking_pendulum):
    config = tiny_preferences(num_steps=20, checkpoint_every=100)
    with pytest.raises(WorldError, match=r"Pendulum-v1: environment 3 gave a non-finite observation .* at step 50"):
        run(config, tmp_path / "run")
    checkpoint, _ = RunDirectory.open(tmp_path / "run").newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 2 * 20 * 16


def test_a_mended_batched_world_goes_on_as_if_it_had_never_broken(tmp_path, breaking_pendulum):
    """The checkpoint is of the last whole update, not of the stretch that broke: nothing broken is in it."""
    config = tiny_preferences(num_steps=20, checkpoint_every=100)
    with pytest.raises(WorldError):
        run(config, tmp_path / "run")
    BreakingPendulum.mended = True
    resume(tmp_path / "run")
    run(config, tmp_path / "uninterrupted")
    assert metric_trace(tmp_path / "run") == metric_trace(tmp_path / "uninterrupted")
    assert final_weights(tmp_path / "run") == final_weights(tmp_path / "uninterrupted")


def test_the_checkpoint_of_a_broken_stretch_is_that_of_the_last_whole_update(tmp_path, breaking_pendulum):
    """Every array of it, the counters of episodes too, which name trajectories and so decide the validation split."""
    config = tiny_preferences(num_steps=20, checkpoint_every=2, keep_checkpoints=100)
    with pytest.raises(WorldError):
        run(config, tmp_path / "run")
    broken = RunDirectory.open(tmp_path / "run").load_checkpoint(2 * 20 * 16)
    BreakingPendulum.mended = True
    run(config, tmp_path / "uninterrupted")
    sound = RunDirectory.open(tmp_path / "uninterrupted").load_checkpoint(2 * 20 * 16)
    assert broken.tensors.keys() == sound.tensors.keys()
    for name, array in sound.tensors.items():
        np.testing.assert_array_equal(broken.tensors[name], array, err_msg=name)


def test_a_mended_foreign_world_counts_whole_episodes_alone(tmp_path):
    with pytest.raises(WorldError):
        run(breaking("nan"), tmp_path / "run")
    Breaking.mended = True
    resume(tmp_path / "run")
    lengths = [row["episode_length_mean"] for row in RunDirectory.open(tmp_path / "run").metrics() if row["episodes"]]
    assert lengths
    assert set(lengths) == {30.0}


def test_a_world_that_breaks_its_spaces_at_the_first_reset_is_refused(tmp_path):
    config = replace(
        tiny_ppo(), env=EnvConfig(id="tests.unit.envs.toy_envs:Broken", kwargs={"fault": "nan", "when": 0})
    )
    with pytest.raises(WorldError, match=r"environment 0 .*non-finite observation .* at step 0"):
        run(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("tests.faults.bad_worlds:Braking", "Did you mean 'Breaking'"),
        ("tests.faults.bad_wolds:Breaking", "cannot import"),
        ("Pendlum-v1", "Did you mean 'Pendulum-v1'"),
    ],
)
def test_unknown_worlds_are_refused_before_anything_is_written(tmp_path, env_id, message):
    config = replace(tiny_ppo(), env=EnvConfig(id=env_id))
    with pytest.raises(ConfigError, match=message):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("world", ["Words", "BinaryActions"])
def test_spaces_that_no_policy_fits_are_refused_before_anything_is_written(tmp_path, world):
    config = replace(tiny_ppo(), env=EnvConfig(id=f"tests.unit.envs.toy_envs:{world}"))
    with pytest.raises((WorldError, ConfigError), match=r"Text|MultiBinary"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()

"""Runs whose reward is shaped, through the whole loop."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.cli import main
from heeler.core.errors import CheckpointError, ConfigError, RewardError, RunError
from heeler.core.nouns import Feedback, PolicyVersion, Query, Segment, stable_id
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.evaluative.running import run_evaluative
from heeler.loop.online import OnlineRun
from heeler.loop.report import write_report
from heeler.loop.running import resume, run
from heeler.rewards.shaping import ShapingConfig
from tests.faults.test_run_kill import final_weights, metric_trace
from tests.unit.loop.evaluative.tiny import GRID, tiny_evaluative
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "def upright(observation):\n    return -np.abs(observation[:, 2])\n"
        "def nothing(observation):\n    return np.zeros(len(observation))\n"
        "def broken(observation):\n    return observation[:, :2]\n"
        "def pushes(observation, action, next_observation):\n    return action[:, 0].astype(float)\n"
        "def nearer(observation, action, next_observation):\n"
        "    return 0.99 * next_observation[:, 0] - observation[:, 0]\n"
    )
    return path


def shaped(config: RunConfig, **shaping: Any) -> RunConfig:
    return replace(config, shaping=ShapingConfig(**shaping))


def test_what_is_learned_from_is_the_reward_with_the_shaping_and_it_is_told(tmp_path, mine):
    rows = []
    run(shaped(tiny_ppo(), function=f"{mine}:upright", weight=5.0), tmp_path / "shaped", on_metrics=rows.append)
    run(tiny_ppo(), tmp_path / "plain")
    run(shaped(tiny_ppo(), function=f"{mine}:nothing"), tmp_path / "nothing")
    assert all("shaping_per_step" in row for row in rows)
    assert any(row["shaping_per_step"] != 0 for row in rows)
    assert final_weights(tmp_path / "nothing") == final_weights(tmp_path / "plain")
    assert final_weights(tmp_path / "shaped") != final_weights(tmp_path / "plain")
    # The true reward is told as it is.
    assert rows[0]["true_reward_mean"] == metric_trace(tmp_path / "plain")[0]["true_reward_mean"] == 1.0


def test_a_learned_reward_is_shaped_too(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def height(observation):\n    return observation[:, 0]\n")
    run(tiny_preferences(), tmp_path / "plain")
    run(shaped(tiny_preferences(), function=f"{path}:height"), tmp_path / "shaped")
    shaped_rows, plain_rows = metric_trace(tmp_path / "shaped"), metric_trace(tmp_path / "plain")
    first = next(index for index, row in enumerate(shaped_rows) if "reward_correlation" in row)
    # What agrees with the true reward is the learned reward, not what was added to it.
    assert shaped_rows[first]["reward_correlation"] == plain_rows[first]["reward_correlation"]
    assert shaped_rows[-1]["policy_loss"] != plain_rows[-1]["policy_loss"]


def test_a_resumed_run_is_the_same_run_and_another_potential_is_refused(tmp_path, mine):
    config = shaped(tiny_ppo(), bonus=f"{mine}:pushes")
    run(config, tmp_path / "whole")
    directory = RunDirectory.create(tmp_path / "cut", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        for _ in range(4):
            online.iterate()
        online.world.close()
    resume(tmp_path / "cut")
    assert metric_trace(tmp_path / "cut") == metric_trace(tmp_path / "whole")
    assert final_weights(tmp_path / "cut") == final_weights(tmp_path / "whole")
    mine.write_text(mine.read_text() + "\n# changed\n")
    with pytest.raises(CheckpointError, match="is not what it was when this checkpoint was saved"):
        resume(tmp_path / "cut")


def test_the_critic_of_an_earlier_run_is_a_potential(tmp_path):
    with pytest.raises(RunError):
        run(shaped(tiny_ppo(), run=str(tmp_path / "earlier")), tmp_path / "run")
    run(tiny_ppo(), tmp_path / "earlier")
    rows = []
    run(shaped(tiny_ppo(seed=1), run=str(tmp_path / "earlier")), tmp_path / "run", on_metrics=rows.append)
    assert rows[-1]["shaping_per_step"] != 0
    with pytest.raises(ConfigError, match="critic knows observations of 4 numbers, and this world has 3"):
        run(shaped(tiny_ppo("Pendulum-v1"), run=str(tmp_path / "earlier")), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def demonstrate(path: Path) -> None:
    """Somebody shows ten steps in a run."""
    with open_store(RunDirectory.open(path)) as store:
        states = np.linspace(np.zeros(4), np.ones(4), 11).astype(np.float32)
        segments = [
            Segment(
                observation=states[:-1],
                action=np.zeros((10, 1), np.int64),
                next_observation=states[1:],
                env_id="CartPole-v1",
                policy_version=0,
                trajectory_id=name,
                start_step=0,
            )
            for name in ("asked", "shown")
        ]
        store.add_policy_version(PolicyVersion(version=0, step=0))
        store.add_annotator("ann", "person")
        asked, shown = store.add_segments(segments)
        query = Query(id=stable_id("show"), kind="demonstration", segment_ids=(asked,), policy_version=0, asked_step=0)
        store.add_queries([query])
        answer = Feedback(
            key=stable_id("key"), query_id=query.id, kind="demonstration", value={"segment_id": shown}, annotator="ann"
        )
        store.add_feedback([answer])


def test_demonstrations_of_a_run_and_of_a_file_are_the_same_potential(tmp_path):
    run(tiny_ppo(), tmp_path / "shown")
    demonstrate(tmp_path / "shown")
    np.savez(tmp_path / "shown.npz", one=np.linspace(np.zeros(4), np.ones(4), 11).astype(np.float32))
    traces = []
    for source in (tmp_path / "shown", tmp_path / "shown.npz"):
        run(shaped(tiny_ppo(), demonstrations=str(source), bandwidth=1.0), tmp_path / f"run-{len(traces)}")
        traces.append(metric_trace(tmp_path / f"run-{len(traces)}"))
    assert traces[0] == traces[1]
    assert traces[0][-1]["shaping_per_step"] != 0


@pytest.mark.parametrize("name", ["missing.npz", "text.npz", "table.csv"])
def test_demonstrations_that_cannot_be_read_leave_no_run(tmp_path, name):
    (tmp_path / "text.npz").write_text("no zip")
    (tmp_path / "table.csv").write_text("1,2")
    with pytest.raises(ConfigError, match=r"shaping.demonstrations.*npz|csv"):
        run(shaped(tiny_ppo(), demonstrations=str(tmp_path / name)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_bonus_that_no_potential_explains_is_told_at_the_start_and_in_the_report(tmp_path, mine):
    told: list[str] = []
    config = shaped(tiny_ppo(), bonus=f"{mine}:pushes")
    run(config, tmp_path / "run", on_warning=told.append)
    assert len(told) == 1
    assert "may change which policy is best" in told[0]
    rows = metric_trace(tmp_path / "run")
    assert rows[0]["shaping_unexplained"] > 0.1
    assert rows[0]["shaping_unexplained_error"] > 0
    audit = (tmp_path / "run" / "audit.jsonl").read_text()
    assert audit.count("run.warning") == 1
    page = write_report(tmp_path / "run").read_text()
    assert "explained by no potential" in page


def test_a_bonus_that_is_a_potential_is_not_complained_about(tmp_path, mine):
    told: list[str] = []
    # Time alone ends nothing here, so that the potential of the last state does not matter.
    path = mine.parent / "pendulum.py"
    path.write_text(
        "def nearer(observation, action, next_observation):\n"
        "    return 0.98 * next_observation[:, 0] - observation[:, 0]\n"
    )
    config = tiny_ppo("Pendulum-v1")
    assert config.algorithm.discount == 0.98
    run(shaped(config, bonus=f"{path}:nearer"), tmp_path / "run", on_warning=told.append)
    assert told == []
    assert all(row["shaping_unexplained"] < 0.05 for row in metric_trace(tmp_path / "run"))


def test_a_function_that_cannot_work_leaves_no_run_and_exit_code_2(tmp_path, mine, capsys):
    with pytest.raises(RewardError, match=r"shaping.function: .*got shape \(2, 2\)"):
        run(shaped(tiny_ppo(), function=f"{mine}:broken"), tmp_path / "run")
    arguments = ["run", "ppo", "--env", "CartPole-v1", "--run-dir", str(tmp_path / "run")]
    assert main([*arguments, "--set", f"shaping={{function: '{mine}:broken'}}"]) == 2
    assert main([*arguments, "--set", f"shaping={{function: '{mine}:upright', discount: 0.5}}"]) == 2
    assert "shaping.discount must be the algorithm's" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_configuration_goes_through_a_file(mine):
    config = shaped(tiny_ppo(), function=f"{mine}:upright", weight=2.0)
    assert from_dict(to_dict(config)) == config
    with pytest.raises(ConfigError, match=r"shaping.functoin.* Did you mean 'shaping.function'"):
        from_dict(to_dict(config) | {"shaping": {"functoin": "x"}})


def test_what_people_said_shapes_another_run_in_the_same_world(tmp_path):
    """The learned expectation of good and bad as a potential that fades, combined with the task's own reward."""
    run_evaluative(tiny_evaluative(), tmp_path / "taught")
    config = tiny_ppo("LavaGrid")
    config = replace(config, env=replace(config.env, kwargs=GRID))
    source = str(tmp_path / "taught")
    rows, plain = [], []
    run(shaped(config, feedback=source, weight=2.0, decay_steps=2000), tmp_path / "shaped", on_metrics=rows.append)
    run(config, tmp_path / "plain", on_metrics=plain.append)
    assert rows[0]["shaping_per_step"] != 0
    # Gone after 2,000 steps: updates are of 512.
    assert [row["shaping_per_step"] == 0 for row in rows] == [False] * 4 + [True] * 2
    assert final_weights(tmp_path / "shaped") != final_weights(tmp_path / "plain")
    assert rows[0]["true_reward_mean"] == plain[0]["true_reward_mean"]


@pytest.mark.parametrize(
    ("method", "world", "message"),
    [("coach", "LavaGrid", "learned a policy by coach"), ("tamer", "CartPole-v1", "observations of 45 numbers")],
)
def test_runs_that_give_no_potential_are_refused(tmp_path, method, world, message):
    run_evaluative(tiny_evaluative(method), tmp_path / "taught")
    config = tiny_ppo(world)
    if world == "LavaGrid":
        config = replace(config, env=replace(config.env, kwargs=GRID))
    with pytest.raises(ConfigError, match=message):
        run(shaped(config, feedback=str(tmp_path / "taught")), tmp_path / "run")


def test_a_run_that_learned_from_no_signals_is_no_source(tmp_path):
    run(tiny_ppo(), tmp_path / "other")
    with pytest.raises(ConfigError, match="no run that learned from good and bad"):
        run(shaped(tiny_ppo(), feedback=str(tmp_path / "other")), tmp_path / "run")

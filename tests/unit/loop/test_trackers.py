"""TensorBoard and MLflow get what `metrics.jsonl` holds, before and after a resume."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from heeler.core.errors import ConfigError
from heeler.core.rundir import RunDirectory
from heeler.loop.config import RunConfig, to_dict
from heeler.loop.running import run
from heeler.loop.trackers import MlflowTracker, open_trackers
from tests.unit.loop.tiny import tiny_ppo

ROWS = [{"step": 64.0 * n, "update": float(n), "kl": 0.1 * n} for n in range(1, 8)]


def make_directory(path: Path, config: RunConfig, rows: list[dict[str, float]]) -> RunDirectory:
    directory = RunDirectory.create(path, to_dict(config))
    for row in rows:
        directory.append_metrics(row)
    return directory


def tensorboard_scalars(path: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(path / "tensorboard"), size_guidance={"scalars": 0})
    accumulator.Reload()
    names = accumulator.Tags()["scalars"]
    return {name: [(event.step, event.value) for event in accumulator.Scalars(name)] for name in names}


def mlflow_run(path: Path) -> tuple[Any, Any]:
    from mlflow import MlflowClient

    url = URL.create("sqlite+pysqlite", database=str(path / "mlflow.db"))
    client = MlflowClient(tracking_uri=url.render_as_string())
    experiment = client.get_experiment_by_name("heeler")
    (only,) = client.search_runs([experiment.experiment_id])
    return client, only


def expected(name: str) -> list[tuple[int, float]]:
    return [(int(row["step"]), pytest.approx(row[name])) for row in ROWS]


def test_tensorboard_holds_every_row_once_after_a_lost_stretch(tmp_path: Path) -> None:
    config = tiny_ppo(trackers=("tensorboard",))
    directory = make_directory(tmp_path / "run", config, [])
    with open_trackers(directory, config) as track:
        for row in ROWS[:5]:
            track(row)
    # The run is killed, and goes on from the third row: what came after it is walked again.
    for row in ROWS[:3]:
        directory.append_metrics(row)
    with open_trackers(directory, config) as track:
        for row in ROWS[3:]:
            track(row)
    assert tensorboard_scalars(directory.path) == {"update": expected("update"), "kl": expected("kl")}


# MLflow's own queries use what SQLAlchemy is going to take away.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_mlflow_holds_every_row_once_after_a_lost_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = tiny_ppo(trackers=("mlflow",))
    directory = make_directory(tmp_path / "run", config, [])
    with open_trackers(directory, config) as track:
        for row in ROWS[:3]:
            track(row)
            directory.append_metrics(row)
    # A row that was written to the metrics and not handed over before the kill is made good.
    directory.append_metrics(ROWS[3])
    with open_trackers(directory, config) as track:
        # From the last checkpoint on, rows that were handed over, or made good, are walked again; in another moment,
        # or MLflow itself would take the second for the first.
        time.sleep(0.01)
        for row in ROWS[2:]:
            track(row)
    client, only = mlflow_run(directory.path)
    history = sorted((metric.step, metric.value) for metric in client.get_metric_history(only.info.run_id, "kl"))
    assert history == expected("kl")
    assert only.info.status == "FINISHED"
    assert only.info.run_name == "run"
    assert only.data.params["env.id"] == "CartPole-v1"
    assert only.data.params["algorithm.policy.hidden_sizes"] == str(list(config.algorithm.policy.hidden_sizes))
    # Nothing is left in the working directory.
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_a_row_is_handed_over_to_mlflow_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies between two of MLflow's transactions has no row of which only a part is there."""
    config = tiny_ppo(trackers=("mlflow",))
    directory = make_directory(tmp_path / "run", config, [])
    names = ["update", *(f"figure_{n}" for n in range(299))]
    rows = [{"step": n, **dict.fromkeys(names, float(n))} for n in range(1, 6)]
    tracker = MlflowTracker(directory, config)
    for row in rows:
        directory.append_metrics(row)
        tracker.write(row)
    first = tracker._client.log_batch

    def dies_at_the_second(*arguments: Any, **named: Any) -> None:
        first(*arguments, **named)
        monkeypatch.setattr(tracker._client, "log_batch", lambda *_, **__: sys.exit("died"))

    monkeypatch.setattr(tracker._client, "log_batch", dies_at_the_second)
    with pytest.raises(SystemExit, match="died"):
        tracker.close()
    with open_trackers(directory, config):
        pass
    client, only = mlflow_run(directory.path)
    for name in names:
        history = client.get_metric_history(only.info.run_id, name)
        assert sorted(metric.step for metric in history) == [1, 2, 3, 4, 5], name


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_the_name_of_a_run_may_hold_what_means_something_in_a_url(tmp_path: Path) -> None:
    config = tiny_ppo(trackers=("mlflow",))
    directory = make_directory(tmp_path / "100%25 sure? #1" / "a%20b?c", config, ROWS)
    with open_trackers(directory, config):
        pass
    client, only = mlflow_run(directory.path)
    assert len(client.get_metric_history(only.info.run_id, "kl")) == len(ROWS)
    assert {path.name for path in directory.path.iterdir()} == {"config.yaml", "metrics.jsonl", "mlflow.db"}
    assert len(list(tmp_path.rglob("*"))) == 5, "nothing is made beside it"


def test_a_run_writes_to_tensorboard_what_it_writes_to_its_metrics(tmp_path: Path) -> None:
    result = run(tiny_ppo(trackers=("tensorboard",)), tmp_path / "run")
    rows = RunDirectory.open(result.path).metrics()
    scalars = tensorboard_scalars(result.path)
    assert scalars["true_reward_mean"] == [(row["step"], pytest.approx(row["true_reward_mean"])) for row in rows]
    assert set(scalars) == {name for row in rows for name in row} - {"step"}


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")])
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    config = replace(tiny_ppo(), trackers=(name,))
    directory = make_directory(tmp_path / "run", config, [])
    for loaded in [m for m in sys.modules if m.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"pip install 'heeler\[tracking\]'"), open_trackers(directory, config):
        pass
    assert [path.name for path in directory.path.iterdir() if path.is_file()] == ["config.yaml"]


def test_without_trackers_nothing_is_written(tmp_path: Path) -> None:
    directory = make_directory(tmp_path / "run", tiny_ppo(), [])
    with open_trackers(directory, tiny_ppo()) as track:
        track(ROWS[0])
    assert [path.name for path in directory.path.iterdir()] == ["config.yaml"]

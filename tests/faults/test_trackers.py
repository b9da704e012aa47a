"""Trackers of a run that is killed, and on a disk that is full."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heeler.core.rundir import RunDirectory
from heeler.loop.trackers import open_trackers
from tests.unit.loop.test_trackers import ROWS, expected, make_directory, mlflow_run
from tests.unit.loop.tiny import tiny_ppo

# MLflow's own queries use what SQLAlchemy is going to take away.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

CONFIG = tiny_ppo(trackers=("mlflow",))


def start(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from heeler.core.rundir import RunDirectory
from heeler.loop.trackers import open_trackers
from tests.faults.test_trackers import CONFIG

def kill(connection, cursor, statement, *_):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", kill)
with open_trackers(RunDirectory.open(Path(sys.argv[1])), CONFIG):
    pass
"""


@pytest.mark.parametrize("statement", ["CREATE TABLE model_versions", "INSERT INTO params"])
def test_a_kill_while_mlflows_database_is_made_costs_nothing(tmp_path: Path, statement: str) -> None:
    directory = make_directory(tmp_path / "run", CONFIG, ROWS[:3])
    assert start(KILLED, directory.path, statement).returncode == -signal.SIGKILL
    with open_trackers(RunDirectory.open(directory.path), CONFIG) as track:
        for row in ROWS[3:]:
            track(row)
    client, only = mlflow_run(directory.path)
    history = sorted((metric.step, metric.value) for metric in client.get_metric_history(only.info.run_id, "kl"))
    assert history == expected("kl")
    assert only.data.params["env.id"] == "CartPole-v1"
    assert {path.name for path in directory.path.iterdir()} == {"config.yaml", "metrics.jsonl", "mlflow.db"}

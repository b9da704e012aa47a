"""Trackers of a run that is killed, and on a disk that is full."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory
from heeler.loop.trackers import open_trackers
from tests.unit.loop.test_trackers import ROWS, expected, make_directory, mlflow_run
from tests.unit.loop.tiny import tiny_ppo

# MLflow's own queries use what SQLAlchemy is going to take away.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")]

CONFIG = tiny_ppo(trackers=("mlflow",))


def start(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from heeler.core.errors import RunError
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


# The kernel refuses every write beyond the limit, as it would on a disk that is full.
FULL_DISK = """
import resource, sys
from pathlib import Path
from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory
from heeler.loop import trackers
from tests.unit.loop.tiny import tiny_ppo

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

path, tracker, limit_at_opening, trackers._MLFLOW_EVERY_S = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
if limit_at_opening:
    limit(limit_at_opening)
try:
    with trackers.open_trackers(RunDirectory.open(path), tiny_ppo(trackers=(tracker,))) as track:
        print("opened")
        limit(max(file.stat().st_size for file in path.rglob("*") if file.is_file()))
        for n in range(1, 200):
            track({"step": 64 * n} | {f"figure_{k}": 0.1 for k in range(20)})
        print("tracked")
except RunError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("tracker", "file", "limit_at_opening", "every_s", "before"),
    [
        ("tensorboard", "tensorboard", 10, 0, []),
        ("tensorboard", "tensorboard", 0, 0, ["opened"]),
        ("mlflow", "mlflow.db", 200_000, 0, []),
        ("mlflow", "mlflow.db", 0, 0, ["opened"]),
        ("mlflow", "mlflow.db", 0, 1000, ["opened", "tracked"]),
    ],
)
def test_a_full_disk_is_told_in_words(
    tmp_path: Path, tracker: str, file: str, limit_at_opening: int, every_s: int, before: list[str]
) -> None:
    directory = make_directory(tmp_path / "run", CONFIG, [])
    done = start(FULL_DISK, directory.path, tracker, limit_at_opening, every_s)
    assert done.stderr == ""
    *went_well, told = done.stdout.splitlines()
    assert went_well == before
    assert told.startswith(f"cannot write {directory.path / file}: ")
    assert "sqlite3" not in told
    assert "free some space and resume the run" in told


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_database_is_told_at_once_and_made_again_when_it_is_removed(tmp_path: Path, damage: str) -> None:
    directory = make_directory(tmp_path / "run", CONFIG, ROWS)
    database = directory.path / "mlflow.db"
    database.write_bytes(b"SQLite format 3\0" if damage == "cut" else b"no database " * 1000)
    with pytest.raises(RunError, match=r"cannot write .*mlflow.db: .*remove it"), open_trackers(directory, CONFIG):
        pass
    database.unlink()
    with open_trackers(directory, CONFIG):
        pass
    client, only = mlflow_run(directory.path)
    assert len(client.get_metric_history(only.info.run_id, "kl")) == len(ROWS)


def test_the_journal_of_a_database_that_was_removed_does_no_harm(tmp_path: Path) -> None:
    directory = make_directory(tmp_path / "run", CONFIG, ROWS)
    database, journal = (directory.path / name for name in ("mlflow.db", "mlflow.db-journal"))
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("CREATE TABLE x (y)")
    other.executemany("INSERT INTO x VALUES (?)", [("z" * 3000,)] * 300)
    # Changed pages that the cache cannot hold are written, and so the journal that undoes them.
    for statement in ("PRAGMA cache_size = 1", "BEGIN", "UPDATE x SET y = y || 'z'"):
        other.execute(statement)
    left = journal.read_bytes()
    other.close()
    database.unlink()
    journal.write_bytes(left)
    with open_trackers(directory, CONFIG):
        pass
    client, only = mlflow_run(directory.path)
    assert len(client.get_metric_history(only.info.run_id, "kl")) == len(ROWS)

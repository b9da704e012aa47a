"""Metrics for TensorBoard and MLflow, beside `metrics.jsonl`. Their packages are the extra `tracking`.

`metrics.jsonl` is what counts: a tracker that is opened first takes in the rows that are there and that it lacks, so
that a run that was killed and resumed looks as if it had never stopped.
"""

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from alembic.util.exc import CommandError
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from heeler.core.errors import ConfigError, RunError
from heeler.core.rundir import RunDirectory
from heeler.loop.config import RunConfig, to_dict
from heeler.loop.settings import dotted

Row = Mapping[str, float]

_MLFLOW_EVERY_S = 5.0
_MLFLOW_BATCH = 1000


class Tracker(Protocol):
    """Where rows of metrics go."""

    def write(self, row: Row) -> None:
        """Take in one row; it has a `step`."""
        ...

    def close(self) -> None:
        """See to it that everything is on the disk."""
        ...


class TensorBoardTracker:
    """Scalars under `tensorboard/` of the run; look at them by `tensorboard --logdir RUN`.

    Args:
        directory: the run.
        config: of the run.

    Raises:
        ConfigError: the package is missing.
        RunError: the disk is full or read-only.
    """

    def __init__(self, directory: RunDirectory, config: RunConfig) -> None:
        # Not torch's SummaryWriter: it writes in a thread, which prints a traceback of its own where the disk is full.
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise _missing("tensorboard", error) from error
        self._events: Any = event_pb2
        self._summaries: Any = summary_pb2
        self._folder = directory.path / "tensorboard"
        rows = directory.metrics()
        # Event files cannot be shortened, so what a lost stretch left in them is written anew from the metrics.
        shutil.rmtree(self._folder, ignore_errors=True)
        with _plain_errors(self._folder):
            self._folder.mkdir(exist_ok=True)
            self._writer: Any = RecordWriter((self._folder / f"events.out.tfevents.{time.time():.0f}").open("wb"))
        self._write(file_version="brain.Event:2")
        for row in rows:
            self.write(row)

    def write(self, row: Row) -> None:
        """One scalar for each figure of the row."""
        value = self._summaries.Summary.Value
        values = [value(tag=name, simple_value=number) for name, number in row.items() if name != "step"]
        self._write(step=int(row["step"]), summary=self._summaries.Summary(value=values))

    def _write(self, **fields: Any) -> None:
        with _plain_errors(self._folder):
            self._writer.write(self._events.Event(wall_time=time.time(), **fields).SerializeToString())
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        with _plain_errors(self._folder):
            self._writer.close()


class MlflowTracker:
    """One MLflow run in `mlflow.db` of the run; look at it by `mlflow ui --backend-store-uri sqlite:///RUN/mlflow.db`.

    Rows are handed over together every few seconds, since each handing over is a transaction.

    Args:
        directory: the run.
        config: of the run; its settings become the parameters.

    Raises:
        ConfigError: the package is missing.
        RunError: the disk is full or read-only, or MLflow cannot read the database.
    """

    def __init__(self, directory: RunDirectory, config: RunConfig) -> None:
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Metric
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise _missing("mlflow", error) from error
        # It tells of every table that it makes, and prints the traceback of an error that it raises as well.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        self._metric: Callable[..., Any] = Metric
        self._database = directory.path.resolve() / "mlflow.db"
        self._errors = (MlflowException, SQLAlchemyError, sqlite3.Error, CommandError)
        self._waiting: list[list[Any]] = []
        rows = directory.metrics()
        with _plain_errors(self._database, *self._errors):
            if self._database.exists():
                _refuse_unreadable(self._database)
            else:
                _make_database(self._database, config)
            self._client = MlflowClient(tracking_uri=_sqlite_url(self._database))
            self._run_id = _find_or_make_run(self._client, self._database.parent, config)
            self._there = {metric.step for metric in self._client.get_metric_history(self._run_id, "update")}
        self._handed_over = time.monotonic()
        for row in rows:
            self.write(row)

    def write(self, row: Row) -> None:
        """Keep the row for the next handing over; one that is there is of a stretch that is walked again."""
        step = int(row["step"])
        if step in self._there:
            return
        self._there.add(step)
        now_ms = int(time.time() * 1000)
        self._waiting.append([self._metric(name, value, now_ms, step) for name, value in row.items() if name != "step"])
        if time.monotonic() - self._handed_over >= _MLFLOW_EVERY_S:
            self._hand_over()

    def _hand_over(self) -> None:
        # A row goes over whole: one that is there in part would be taken for whole when the run is resumed.
        num_rows = _MLFLOW_BATCH // max(map(len, self._waiting), default=1)
        with _plain_errors(self._database, *self._errors):
            for start in range(0, len(self._waiting), num_rows):
                metrics = chain.from_iterable(self._waiting[start : start + num_rows])
                self._client.log_batch(self._run_id, metrics=list(metrics))
        self._waiting.clear()
        self._handed_over = time.monotonic()

    def close(self) -> None:
        """Hand the last rows over."""
        self._hand_over()
        with _plain_errors(self._database, *self._errors):
            self._client.set_terminated(self._run_id)


@contextmanager
def _plain_errors(path: Path, *errors: type[Exception]) -> Generator[None]:
    """Tell the operating system's errors, and `errors`, in words."""
    try:
        yield
    except (OSError, *errors) as error:
        # SQLAlchemy's messages begin with a class, and go on with the statement and an address.
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0].rpartition("Error) ")[2]
        raise RunError(
            f"cannot write {path}: {reason}; free some space and resume the run, or remove it if it is damaged: it is "
            "made again from metrics.jsonl"
        ) from error


def _refuse_unreadable(database: Path) -> None:
    """MLflow itself would try again for minutes."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA schema_version")


def _make_database(database: Path, config: RunConfig) -> None:
    """Make it aside and rename it when it is whole: MLflow never opens one again that a kill left half made."""
    from mlflow import MlflowClient

    path = database.parent
    for left in path.glob(".mlflow.*"):
        shutil.rmtree(left)
    # SQLite would play the journal of a database that was removed back into the new one.
    database.with_name(f"{database.name}-journal").unlink(missing_ok=True)
    with TemporaryDirectory(prefix=".mlflow.", dir=path) as folder:
        aside = Path(folder) / database.name
        _find_or_make_run(MlflowClient(tracking_uri=_sqlite_url(aside)), path, config)
        os.replace(aside, database)


def _sqlite_url(path: Path) -> str:
    # Where a URL begins with `sqlite:///`, MLflow makes the folders in it and takes %3F for a name.
    return URL.create("sqlite+pysqlite", database=str(path)).render_as_string()


def _find_or_make_run(client: Any, path: Path, config: RunConfig) -> str:
    from mlflow.entities import Param

    experiment = client.get_experiment_by_name("heeler")
    if experiment is not None:
        runs = client.search_runs([experiment.experiment_id], max_results=1)
        if runs:
            client.update_run(runs[0].info.run_id, status="RUNNING")
            return runs[0].info.run_id
    experiment_id = client.create_experiment("heeler", artifact_location=(path / "mlflow-artifacts").as_uri())
    run_id: str = client.create_run(experiment_id, run_name=path.name).info.run_id
    parameters = [Param(name, str(value)) for name, value in dotted(to_dict(config)).items()]
    for start in range(0, len(parameters), 100):
        client.log_batch(run_id, params=parameters[start : start + 100])
    return run_id


TRACKERS: Mapping[str, Callable[[RunDirectory, RunConfig], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "mlflow": MlflowTracker,
}


def check_trackers(config: RunConfig) -> None:
    """Refuse a tracker whose package is missing, before anything is written.

    Raises:
        ConfigError: names the package.
    """
    for name in config.trackers:
        if find_spec(name) is None:
            raise _missing(name, "it is not installed")


@contextmanager
def open_trackers(directory: RunDirectory, config: RunConfig) -> Generator[Callable[[Row], None]]:
    """A function that hands a row of metrics to every tracker that the configuration names.

    Raises:
        ConfigError: a tracker's package is missing.
    """
    with ExitStack() as stack:
        trackers: Sequence[Tracker] = [_opened(name, directory, config, stack) for name in config.trackers]

        def write(row: Row) -> None:
            for tracker in trackers:
                tracker.write(row)

        yield write


def _opened(name: str, directory: RunDirectory, config: RunConfig, stack: ExitStack) -> Tracker:
    tracker = TRACKERS[name](directory, config)
    stack.callback(tracker.close)
    return tracker


def _missing(package: str, error: object) -> ConfigError:
    return ConfigError(
        f"the tracker {package} cannot be loaded ({error}); pip install 'heeler[tracking]', or leave it out"
    )

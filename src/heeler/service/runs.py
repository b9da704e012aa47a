"""The runs of one folder. A run's store is opened when it is first asked for, and kept."""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from heeler.core.errors import HeelerError, RunError, StoreError
from heeler.core.nouns import Feedback
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import has_store, open_store, store_identity
from heeler.feedback.writing import Outcome
from heeler.service.accounts.people import SERVICE, Person
from heeler.service.audit import Audit
from heeler.service.config import ServiceConfig
from heeler.service.folder import may_be_served
from heeler.service.group_commit import GroupCommit, Post
from heeler.service.problems import Problem, unknown
from heeler.service.work_book import WorkBook
from heeler.service.worlds import WorldFacts, look_at

OVERLAP, LEASE_S, GOLD_SHARE, COMPARE_SHARE = "overlap", "lease_s", "gold_share", "compare_share"
DEFAULTS: Mapping[str, float] = {OVERLAP: 1, LEASE_S: 600.0, GOLD_SHARE: 0.05, COMPARE_SHARE: 0.1}
"""How a run asks people, where its store does not say."""
_LOOK_EVERY_S, _TRY_AGAIN_S = 0.5, 0.5
_log = logging.getLogger("heeler.service")


class OpenRun:
    """A run whose store is open.

    Args:
        directory: of the run.
        audit: takes a line for every group of answers.
        config: of the service.
        book: counts people's time.
    """

    def __init__(self, directory: RunDirectory, audit: Audit, config: ServiceConfig, book: WorkBook) -> None:
        self.name, self.directory = directory.path.name, directory
        self._identity = store_identity(directory)
        self._looked_s, self._is_in_place = time.monotonic(), True
        self.store = open_store(directory)
        self._audit, self._book = audit, book
        self._known: set[str] = set()
        self._people: set[str] = set()
        self.commits = GroupCommit(
            self._write, max_waiting=config.max_waiting_answers, max_answers=config.max_commit_answers
        )

    @cached_property
    def world(self) -> WorldFacts | None:
        """What is known of its world; None where that cannot be made here."""
        return look_at(self.directory.config())

    def setting(self, name: str) -> Any:
        """How the run asks people: `overlap`, `lease_s`, `gold_share` or `compare_share`."""
        return self.store.setting(name, DEFAULTS[name])

    def is_in_place(self) -> bool:
        """Whether its folder still names the store that is open, looked at now and then.

        Each look lets go of the interpreter, which the writer then keeps for milliseconds.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            self._looked_s = now_s
            self._is_in_place = store_identity(self.directory) == self._identity
        return self._is_in_place

    def knows(self, person: Person) -> bool:
        """Whether the store was told that this person answers."""
        return person.id in self._known

    def introduce(self, person: Person) -> None:
        """Tell the store that this person answers; it learns their random id and nothing else."""
        self.store.add_annotator(person.id, person.kind)
        if person.kind == "person":
            if not self._people:
                self._book.begin(self.name, self.store)
            self._people.add(person.id)
        self._known.add(person.id)

    def close(self) -> None:
        """Write what waits, and close the store."""
        self.commits.close()
        self.store.close()

    def _write(self, posts: Sequence[Post]) -> list[Outcome]:
        outcomes = self.store.add_posts(posts, overlap=int(self.setting(OVERLAP)), before_commit=self.note)
        # After the commit: who counts before it finds nothing, and would not look again.
        if not self._people.isdisjoint(post[0].annotator for post in posts):
            self._book.note(self.name)
        return outcomes

    def keep_mark(self, answer: Feedback) -> int:
        """Keep what somebody pressed while they watched, and returns its position once it is on the disk.

        One person may say something of one stretch more than once, and as many people as watch.

        Raises:
            HeelerError: as `Store.add_feedback`.
        """
        (outcome,) = self.store.add_posts([[answer]], overlap=None, before_commit=self.note)
        if isinstance(outcome, Exception):
            raise outcome
        if answer.annotator in self._people:
            self._book.note(self.name)
        return outcome[0]

    def note(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """One line for all answers of a commit: how many of whom, and a hash of their bodies, in order."""
        by: dict[str, int] = {}
        for row in rows:
            by[row["annotator"]] = by.get(row["annotator"], 0) + 1
        person = next(iter(by)) if len(by) == 1 else SERVICE
        self._audit.append(person, "feedback.add", self.name, by=by, sha256=bodies_sha256(rows))


class _Opening:
    """The opening of one run's store: one at a time, and not again at once where it failed just now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._error: StoreError | None = None
        self._failed_s = 0.0

    def failed(self, error: StoreError) -> None:
        """Remember why."""
        self._error, self._failed_s = error, time.monotonic()

    def refuse_again(self) -> None:
        """Raise the same where it failed just now: those who waited meanwhile would all wait for it once more."""
        if self._error is not None and time.monotonic() - self._failed_s < _TRY_AGAIN_S:
            raise StoreError(str(self._error))


class Runs:
    """The runs of a service.

    Args:
        config: of the service.
        audit: takes a line for every change.
        book: counts people's time.
    """

    def __init__(self, config: ServiceConfig, audit: Audit, book: WorkBook) -> None:
        self._config, self._audit, self._book = config, audit, book
        self._caught_up = False
        self._folder = config.runs.resolve()
        self._lock = threading.Lock()
        self._open: dict[str, OpenRun] = {}
        self._opening: dict[str, _Opening] = {}
        self._is_closed = False

    def names(self) -> list[str]:
        """Names of the runs that there are, in order."""
        try:
            names = [entry.name for entry in os.scandir(self._folder)]
        except OSError as error:
            raise RunError(f"{self._folder} cannot be read: {error.strerror or error}") from error
        return sorted(name for name in names if self._is_run(name))

    def directory(self, name: str) -> RunDirectory:
        """The run of this name.

        Raises:
            Problem: 404; also for a name that leads out of the folder.
        """
        if not self._is_run(name):
            raise unknown("run", name, "run")
        return RunDirectory(self._folder / name)

    def has_store(self, name: str) -> bool:
        """Whether this run has a store; not where its configuration cannot be read."""
        try:
            return has_store(self.directory(name))
        except RunError:
            return False

    def _is_run(self, name: str) -> bool:
        path = self._folder / name
        return path.name == name and may_be_served(path) and (path / "config.yaml").is_file()

    def opened(self, name: str) -> OpenRun | None:
        """A run whose store is open already and still the one in its folder; this never waits."""
        run = self._open.get(name)
        return run if run is not None and run.is_in_place() else None

    def open(self, name: str) -> OpenRun:
        """A run with its store, opened where it was not.

        Raises:
            Problem: 404, there is no such run; 409, it has no store yet.
            StoreError: its store cannot be opened.
        """
        run = self.opened(name)
        if run is not None:
            return run
        directory = self.directory(name)
        with self._lock:
            opening = self._opening.setdefault(name, _Opening())
        # One at a time for each run: a server that does not answer holds nobody up who asks for another run.
        with opening.lock:
            run = self.opened(name)
            if run is None:
                opening.refuse_again()
                try:
                    run = self._open_anew(name, directory)
                except StoreError as error:
                    opening.failed(error)
                    raise
            return run

    def _open_anew(self, name: str, directory: RunDirectory) -> OpenRun:
        with self._lock:
            replaced = self._open.pop(name, None)
        if replaced is not None:
            # Its folder was removed, or another run was put in its place.
            replaced.close()
        if not has_store(directory):
            raise Problem(409, f"run {name!r} has not begun: it has no store yet", field="run")
        run = OpenRun(directory, self._audit, self._config, self._book)
        with self._lock:
            if not self._is_closed:
                self._open[name] = run
                return run
        run.close()
        raise Problem(503, "the service is stopping")

    def count_work(self) -> None:
        """Have everything counted that people have answered, in whatever run and before whatever crash."""
        if not self._caught_up:
            for name in self._book.runs_begun():
                try:
                    opened = self.open(name)
                    self._book.begin(name, opened.store)
                except (HeelerError, Problem) as error:
                    # It was removed, or cannot be opened now; it is counted once it is there again.
                    _log.warning("working time: %s", error)
            self._caught_up = True
        self._book.catch_up()

    def close(self) -> None:
        """Close every store; what waits is written first."""
        with self._lock:
            self._is_closed = True
            opened, self._open = list(self._open.values()), {}
        for run in opened:
            run.close()


def bodies_sha256(rows: Sequence[Mapping[str, Any]]) -> str:
    """A hash of the answers' own hashes, in order, so that an answer that was altered later can be told."""
    return hashlib.sha256("".join(row["body_sha256"] for row in rows).encode()).hexdigest()

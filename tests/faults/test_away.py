"""The server of a run's store goes away in the middle: the learner waits for it, and takes in every answer once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest
from sqlalchemy.engine.default import DefaultDialect

from heeler.cli import main
from heeler.core.audit import AUDIT_NAME, entries, verify
from heeler.core.errors import StoreAway, StoreError
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.loop.absence import AWAY
from heeler.loop.config import RunConfig
from heeler.loop.language.run import LanguageRun
from heeler.loop.language.running import Listeners, run_language
from heeler.loop.online import OnlineRun
from heeler.loop.preferences import PreferenceLoop
from heeler.loop.running import resume, run
from heeler.service.client import Client
from tests.faults.answering import people_config
from tests.faults.test_run_kill import assert_same_run, final_weights, metric_trace
from tests.tiny_models import tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run
from tests.unit.loop.tiny import tiny_preferences
from tests.unit.service.helpers import Served, make_keys

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

AWAY_S = 3.0


@pytest.fixture
def url(postgres: "PostgresServer") -> Iterator[str]:
    name = postgres.new_database()
    yield name
    if not postgres._is_open():
        postgres.start()
    postgres.drop(name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with a file for a store, which never goes away."""
    path = tmp_path_factory.mktemp("whole") / "run"
    run(tiny_preferences(), path)
    return path


class Outage:
    """Ends the server at a run's n-th row of metrics, and starts it again later; itself the run's `on_metrics`."""

    def __init__(self, postgres: "PostgresServer", *, at: int, away_s: float = AWAY_S, how: str = "fast") -> None:
        self.rows: list[dict[str, float]] = []
        self._postgres, self._at, self._away_s, self._how = postgres, at, away_s, how
        self._thread: threading.Thread | None = None

    def __call__(self, row: dict[str, float]) -> None:
        self.rows.append(row)
        if len(self.rows) >= self._at and self._thread is None:
            self._postgres.kill() if self._how == "kill" else self._postgres.stop(self._how)
            self._thread = threading.Thread(target=self._come_back)
            self._thread.start()

    def _come_back(self) -> None:
        time.sleep(self._away_s)
        self._postgres.start()

    def over(self) -> list[float]:
        """How long it was told to be away, each time; the server is back when this returns."""
        assert self._thread is not None, "it never went away: nothing was tested"
        self._thread.join()
        return [row["store_away_s"] for row in self.rows if "store_away_s" in row]


def acts(path: Path) -> list[str]:
    assert verify(path / AUDIT_NAME).problems == ()
    return [entry.act for entry in entries(path / AUDIT_NAME, after=0, limit=1000)]


def assert_each_answer_once(url: str, path: Path, num: int) -> None:
    """As many answers as questions, each to a question of its own, and as many in the last row of metrics."""
    with Store.open(url, segments_dir=None) as store:
        answers = [answer for _, answer in store.feedback_after(0, limit=10**6, up_to_step=None)]
        assert store.query_count() == num
    assert Counter(answer.query_id for answer in answers).most_common(1)[0][1] == 1
    assert len(answers) == num


@pytest.mark.parametrize("how", ["fast", "kill"])
def test_a_run_waits_for_its_server_and_ends_as_if_it_had_never_gone(
    postgres: "PostgresServer", tmp_path: Path, url: str, whole: Path, how: str
) -> None:
    path, outage = tmp_path / "run", Outage(postgres, at=4, how=how)
    run(tiny_preferences(store=url), path, on_metrics=outage)
    told = outage.over()
    assert told[0] == 0
    assert 2 < told[-1] < 20
    assert acts(path) == ["run.begin", "store.away", "store.back", "run.finish"]
    assert_same_run(path, whole)
    assert_each_answer_once(url, path, 24)


def lose(
    monkeypatch: pytest.MonkeyPatch, name: str, *, after: bool, every: int
) -> tuple[Callable[[Any], None], list[int]]:
    """Lose the connection at every n-th call of the driver, after or before it is carried out.

    Gives what begins with it, at the first figures of a run, and a list of one number, how often it was lost: opening a
    store is not repeated, as a run that begins with no server to be found is refused at once.
    """
    original, calls, lost = getattr(DefaultDialect, name), [0], [0]
    has_begun = threading.Event()

    def losing(dialect: DefaultDialect, handle: Any, *arguments: Any) -> None:
        calls[0] += has_begun.is_set()
        is_lost = has_begun.is_set() and calls[0] % every == 0
        if not is_lost or after:
            original(dialect, handle, *arguments)
        if is_lost:
            lost[0] += 1
            # Of a pooled connection, or of a cursor.
            (getattr(handle, "dbapi_connection", None) or handle.connection).close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(DefaultDialect, name, losing)
    return lambda row: has_begun.set(), lost


@pytest.mark.parametrize(("name", "after"), [("do_commit", True), ("do_commit", False), ("do_execute", True)])
def test_a_connection_that_is_lost_now_and_then_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, whole: Path, name: str, after: bool
) -> None:
    """Lost in a commit that was carried out, in one that was not, and within transactions."""
    with monkeypatch.context() as patch:
        begin, lost = lose(patch, name, after=after, every=3 if name == "do_commit" else 40)
        run(tiny_preferences(store=url), tmp_path / "run", on_metrics=begin)
    assert lost[0] >= 10
    assert final_weights(tmp_path / "run") == final_weights(whole)
    assert metric_trace(tmp_path / "run") == metric_trace(whole)
    assert acts(tmp_path / "run").count("store.away") == acts(tmp_path / "run").count("store.back") >= 3
    assert_each_answer_once(url, tmp_path / "run", 24)


def test_people_s_answers_are_kept_and_taken_in_once_each(
    postgres: "PostgresServer", tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three programs answer through the service, in whose hands posts are when the server goes."""
    path, outage = tmp_path / "run", Outage(postgres, at=5)
    taken: list[int] = []
    take_in = PreferenceLoop._take_in_first

    def counted(loop: PreferenceLoop, found: list[Any], **options: Any) -> int:
        taken.extend(position for position, _ in found)
        return take_in(loop, found, **options)

    monkeypatch.setattr(PreferenceLoop, "_take_in_first", counted)
    with Served(tmp_path) as served, answering(served.url, make_keys(tmp_path, number=3)) as acknowledged:

        def answered(row: dict[str, float]) -> None:
            """After the outage, let the programs keep pace: a run waits for nobody, not even for the last answers."""
            outage(row)
            until_s = time.monotonic() + 60
            while len(outage.rows) > 5 and AWAY not in row and len(acknowledged) < row["asked"]:
                assert time.monotonic() < until_s, f"{len(acknowledged)} of {row['asked']:.0f} answers are in"
                time.sleep(0.02)

        run(replace(people_config(20), store=url), path, on_metrics=answered)
        assert outage.over()
    with Store.open(url, segments_dir=None) as store:
        kept = {answer.key: position for position, answer in store.feedback_after(0, limit=10**6, up_to_step=None)}
        consumed = store.consumed("learner")
    assert kept == acknowledged
    assert taken == [position for position in sorted(kept.values()) if position <= consumed]
    assert outage.rows[-1]["answered"] == len(taken) == 24


@contextmanager
def answering(url: str, keys: list[str]) -> Iterator[dict[str, int]]:
    """Programs that answer whatever is asked, until the block ends; positions of what was acknowledged, by key."""
    ended, acknowledged = threading.Event(), dict[str, int]()

    def answer(key: str) -> None:
        with Client(url, key=key, patience_s=60) as client:
            while not ended.is_set():
                for name in client.tasks():
                    for lease in client.lease(name, count=2):
                        receipt = client.answer(name, lease, {"choice": "left"}, time_taken_s=0.1)
                        acknowledged[receipt.key] = receipt.position
                ended.wait(0.05)

    with ThreadPoolExecutor() as pool:
        programs = [pool.submit(answer, key) for key in keys]
        try:
            yield acknowledged
        finally:
            ended.set()
        for program in programs:
            program.result()


def test_a_language_model_s_run_waits_for_its_server_too(postgres: "PostgresServer", tmp_path: Path, url: str) -> None:
    tiny_llama(max_length=1024).save(tmp_path / "model")
    config = tiny_language_run(tmp_path / "model")
    run_language(config, tmp_path / "whole")
    path, outage = tmp_path / "run", Outage(postgres, at=2)
    run_language(replace(config, store=url), path, Listeners(on_metrics=outage))
    assert 2 < outage.over()[-1] < 20
    noted = acts(path)
    # So short a run gives its watch no time, and says so.
    assert noted[:4] == ["run.begin", "watch.in_vain", "store.away", "store.back"]
    assert noted[-1] == "run.finish"
    assert noted.count("gate.decide") == 2
    found, wanted = (RunDirectory.open(each).newest_checkpoint()[0] for each in (path, tmp_path / "whole"))
    assert found is not None and wanted is not None
    assert set(found.tensors) == set(wanted.tensors)
    for name, tensor in wanted.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor, err_msg=name)


def test_its_patience_ends_and_it_can_be_gone_on_with(
    postgres: "PostgresServer", tmp_path: Path, url: str, whole: Path
) -> None:
    path, outage = tmp_path / "run", Outage(postgres, at=6, away_s=4)
    began_s = time.monotonic()
    message = r"start the server.*\. It was waited for, for 1 s \(store_patience_s\)$"
    with pytest.raises(StoreAway, match=message):
        run(tiny_preferences(store=url, store_patience_s=1.0), path, on_metrics=outage)
    assert 1 <= time.monotonic() - began_s < 15
    assert outage.over()
    assert acts(path) == ["run.begin", "store.away", "run.fail"]
    resume(path)
    assert_same_run(path, whole)
    assert_each_answer_once(url, path, 24)


def test_without_patience_it_ends_at_once(postgres: "PostgresServer", tmp_path: Path, url: str) -> None:
    path, outage = tmp_path / "run", Outage(postgres, at=2, away_s=0.5)
    with pytest.raises(StoreAway, match="start the server"):
        run(tiny_preferences(store=url, store_patience_s=0.0), path, on_metrics=outage)
    assert outage.over() == []
    assert acts(path) == ["run.begin", "run.fail"]


def test_the_command_line_tells_how_to_go_on(
    postgres: "PostgresServer", tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    iterate = OnlineRun.iterate

    def ended_at_the_third(online: OnlineRun) -> Any:
        if online.update == 2 and postgres._is_open():
            postgres.stop("fast")
        return iterate(online)

    monkeypatch.setattr(OnlineRun, "iterate", ended_at_the_third)
    path = tmp_path / "run"
    arguments = ["run", "preferences", "--env", "Pendulum-v1", "--total-steps", "8192", "--budget", "4"]
    arguments += ["--set", "preferences.num_warmup_rollouts=1", "--set", "store_patience_s=6", "--run-dir", str(path)]
    assert main([*arguments, "--store", url]) == 2
    told = capsys.readouterr()
    assert "the store's server has been away for 0 s: trying again for 6 s at most" in told.out
    assert told.err.endswith(f"(store_patience_s). Once it is back, go on by: heeler resume {path}\n")
    monkeypatch.undo()
    postgres.start()
    assert main(["resume", str(path)]) == 0
    assert_each_answer_once(url, path, 4)


def test_the_command_line_of_language_models_tells_it_too(
    postgres: "PostgresServer", tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    iterate = LanguageRun.iterate

    def ended_at_the_second(run: LanguageRun) -> Any:
        if run.update == 1 and postgres._is_open():
            postgres.stop("fast")
        return iterate(run)

    monkeypatch.setattr(LanguageRun, "iterate", ended_at_the_second)
    tiny_llama(max_length=1024).save(tmp_path / "model")
    path = tmp_path / "run"
    settings = ["num_prompts=2", "num_each=2", "sampling.max_new_tokens=4", "release=null", "store_patience_s=3"]
    settings += ["asking.num_held_out=2", "num_evaluation_items=2", "torch_threads=1"]
    arguments = ["run", "helpdesk", "--model", str(tmp_path / "model"), "--num-updates", "2", "--run-dir", str(path)]
    assert main([*arguments, "--store", url, *(word for one in settings for word in ("--set", one))]) == 2
    told = capsys.readouterr()
    assert "the store's server has been away for 0 s: trying again for 3 s at most" in told.out
    assert told.err.endswith(f"(store_patience_s). Once it is back, go on by: heeler resume {path}\n")
    monkeypatch.undo()
    postgres.start()
    assert main(["resume", str(path)]) == 0
    assert acts(path)[-1] == "run.finish"


def test_no_second_learner_comes_in_while_the_first_waits(postgres: "PostgresServer", tmp_path: Path, url: str) -> None:
    """Nor after a restart that the first met while it only read."""
    tried: list[str] = []

    def watch(row: dict[str, float]) -> None:
        outage(row)
        if len(outage.rows) < 9 or tried:
            return
        with Store.open(url, segments_dir=None) as rival:
            try:
                with rival.sole_learner():
                    tried.append("it came in")
            except StoreError as error:
                tried.append(str(error))

    outage = Outage(postgres, at=4, away_s=1.0)
    run(tiny_preferences(store=url), tmp_path / "run", on_metrics=watch)
    outage.over()
    assert len(tried) == 1
    assert "another learner is at work on it" in tried[0]


def test_who_only_reads_notices_a_restart(postgres: "PostgresServer", url: str) -> None:
    with Store.open(url, segments_dir=None) as store, Store.open(url, segments_dir=None) as rival, store.sole_learner():
        postgres.stop("fast")
        postgres.start()
        assert store.open_commands() == []
        with pytest.raises(StoreError, match="another learner is at work on it"), rival.sole_learner():
            pass
        postgres.stop("fast")
        postgres.start()
        with rival.sole_learner(), pytest.raises(StoreError, match="another learner has taken it over"):
            store.open_commands()


def test_a_file_has_no_server_to_wait_for() -> None:
    with pytest.raises(ValueError, match=r"store_patience_s would be ignored, got 5: this run's store is a file"):
        tiny_preferences(store_patience_s=5.0)
    config: RunConfig = tiny_preferences(store="postgresql://h/d", store_patience_s=float("inf"))
    assert config.store_patience_s == float("inf")
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=r"store_patience_s must be >= 0 \(inf to wait for ever\), got"):
            tiny_preferences(store="postgresql://h/d", store_patience_s=wrong)

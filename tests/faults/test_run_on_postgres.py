"""Runs whose store is a PostgreSQL database: they learn, are killed and go on as others do, and share it with none."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from heeler.cli import main
from heeler.core.errors import RunError, StoreError
from heeler.feedback.store import Store
from heeler.loop.backing_up import back_up_run
from heeler.loop.report import write_report
from heeler.loop.running import resume, run
from tests.faults.answering import people_config
from tests.faults.test_people import process
from tests.faults.test_run_kill import assert_same_run, finish, kill, num_writes
from tests.unit.loop.tiny import tiny_preferences

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


@pytest.fixture
def url(postgres: "PostgresServer") -> Iterator[str]:
    name = postgres.new_database()
    yield name
    postgres.drop(name)


def answers(url: str) -> int:
    with Store.open(url, segments_dir=None) as store:
        return store.counts()["feedback"]


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_killed_and_resumed_it_ends_as_a_run_with_a_file_does(tmp_path: Path, url: str, share: float) -> None:
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    whole.parent.mkdir()
    finish(whole)
    kill(killed, int(share * num_writes(whole)), "--store", url)
    finish(killed, "--resume")
    assert_same_run(killed, whole)
    assert not list(killed.glob("heeler.db*"))


def test_people_teach_it_from_another_process(tmp_path: Path, url: str) -> None:
    path, rows = tmp_path / "run", []
    with process(path, "--store", url):
        run(replace(people_config(), store=url), path, on_metrics=rows.append)
    assert rows[-1]["fits"] >= 1
    assert rows[-1]["asked"] == 24
    assert answers(url) >= 6
    assert "comparisons" in write_report(path).read_text()
    with pytest.raises(StoreError, match=r"run: pg_dump --format=custom --file=\S+copy.db '?postgresql://heeler@/run_"):
        back_up_run(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_one_database_holds_one_run(tmp_path: Path, url: str) -> None:
    config = tiny_preferences(store=url)
    first, second = tmp_path / "first", tmp_path / "second"
    run(config, first)
    kept = answers(url)
    with pytest.raises(StoreError, match=f"belongs to the run in {first}; one database holds one run"):
        run(config, second)
    assert not second.exists(), "it was refused before anything was written"
    # Also one that is on its way: made while the database was still free.
    second.mkdir()
    shutil.copy(first / "config.yaml", second)
    with pytest.raises(StoreError, match="belongs to the run in"):
        resume(second)
    assert answers(url) == kept
    run(config, first)
    moved = first.rename(tmp_path / "moved")
    resume(moved)
    assert answers(url) == kept


def test_a_second_learner_is_refused_wherever_its_directory_is(tmp_path: Path, url: str) -> None:
    config = tiny_preferences(store=url)
    run(config, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    with Store.open(url, segments_dir=None) as store, store.sole_learner():
        for name in ("run", "copy"):
            with pytest.raises(StoreError, match="another learner is at work on it"):
                resume(tmp_path / name)
    resume(tmp_path / "run")


def test_a_store_that_is_not_the_run_s_own_is_refused(tmp_path: Path, url: str, postgres: "PostgresServer") -> None:
    path = tmp_path / "run"
    run(tiny_preferences(store=url), path)
    text = (path / "config.yaml").read_text()

    def with_store(store: str) -> None:
        (path / "config.yaml").write_text(yaml.safe_dump(yaml.safe_load(text) | {"store": store}))

    with_store(postgres.new_database())
    with pytest.raises(StoreError, match=r"holds nothing of the run in .*run, which has begun"):
        resume(path)
    with_store("")
    with pytest.raises(RunError, match=r"began with a store on a server, and its config\.yaml names none"):
        resume(path)
    assert not (path / "heeler.db").exists()
    # The same database under another name, as after a server has moved.
    with_store(f"{url}&application_name=moved")
    resume(path)


def test_the_command_line(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "preferences", "--env", "Pendulum-v1", "--total-steps", "4096", "--budget", "4"]
    arguments += ["--set", "preferences.num_warmup_rollouts=1", "--run-dir", str(tmp_path / "run")]
    secret = url.replace("heeler@", "heeler:hunter2@")
    assert main([*arguments, "--store", secret]) == 2
    told = capsys.readouterr()
    assert "config.yaml is no place for one" in told.err
    assert "hunter2" not in told.err + told.out
    assert main([*arguments, "--store", url.replace("host=/", "host=/nowhere/")]) == 2
    assert "cannot be reached" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main([*arguments, "--store", url]) == 0
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["store"] == url
    assert answers(url) == 4
    assert main(["backup", str(tmp_path / "run"), str(tmp_path / "copy.db")]) == 2
    assert "pg_dump" in capsys.readouterr().err

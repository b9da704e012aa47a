"""The doctor finds what is broken, and says how to mend it."""

import shutil
import sqlite3
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from heeler.loop import doctor
from heeler.loop.doctor import examine

Usage = namedtuple("Usage", "total used free")


def by_name(place: Path) -> dict[str, doctor.Check]:
    return {check.name: check for check in examine(place)}


def test_a_sound_machine(tmp_path: Path) -> None:
    checks = by_name(tmp_path / "runs" / "that are not there yet")
    assert {name for name, check in checks.items() if check.state == "broken"} == set()
    assert {"Python", "torch", "CUDA", "MuJoCo", "processors", "disk", "runs", "store", "SQLite", "PostgreSQL"} <= set(
        checks
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 1e12, 50e6))
    assert doctor.disk(tmp_path).state == "broken"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 1e12, 500e6))
    assert doctor.disk(tmp_path).state == "note"


def test_a_place_that_cannot_be_written() -> None:
    check = doctor.writable(Path("/proc"))
    assert check.state == "broken"
    assert "/proc" in check.found
    assert "--run-dir" in check.mend
    checks = by_name(Path("/proc/runs"))
    assert checks["store"].state == "broken"


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_PYTHON", (9, 0))
    assert doctor.python().state == "broken"
    assert "Python 9.0 or later" in doctor.python().mend


@pytest.mark.parametrize(("version", "state"), [((3, 40, 1), "note"), ((3, 51, 3), "good")])
def test_sqlite_versions(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], state: str) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert doctor.sqlite().state == state


@pytest.mark.parametrize(("project", "state"), [("sqlalchemy", "good"), ("no-such-package", "note")])
def test_packages_that_one_may_do_without(project: str, state: str) -> None:
    check = doctor.optional("PostgreSQL", project, "postgresql", "for a store on a server")
    assert check.state == state
    assert project in check.found
    assert state == "good" or check.mend == "pip install 'heeler[postgresql]' for a store on a server"


def test_packages_that_do_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "mujoco", None)
    checks = by_name(tmp_path)
    assert (checks["torch"].state, checks["MuJoCo"].state, checks["CUDA"].state) == ("broken", "broken", "note")
    assert checks["torch"].mend

"""A run is not begun where everybody who may answer it is held out."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.cli.held_out import refuse_only_held_out
from heeler.core.audit import AuditLog
from heeler.core.errors import ConfigError
from heeler.core.rundir import RunDirectory
from heeler.loop.config import RunConfig, to_dict
from heeler.loop.held_out import is_held_out_person
from heeler.recipes.preferences import preferences
from heeler.service.accounts.accounts import Accounts

SHARE = 0.5


def add(folder: Path, *roles: str) -> list[str]:
    """People who may sign in to the folder's service; their ids."""
    folder.mkdir(exist_ok=True)
    accounts = Accounts(folder / "people.db", AuditLog(folder / "audit.jsonl"), session_idle_s=1, session_s=1)
    known = len(accounts.people.page(after="", limit=100))
    ids = [
        accounts.people.add("test", name=f"{role} {known + place}", email=None, kind="person", role=role)[0].id
        for place, role in enumerate(roles)
    ]
    accounts.close()
    return ids


def seed_that_holds_out(held: Sequence[str], others: Sequence[str] = ()) -> int:
    return next(
        seed
        for seed in itertools.count()
        if all(is_held_out_person(one, seed, SHARE) for one in held)
        and not any(is_held_out_person(one, seed, SHARE) for one in others)
    )


def config_of(seed: int, share: float = SHARE) -> RunConfig:
    config = preferences(env="CartPole-v1", budget=48, total_steps=8192, seed=seed, teacher="people")
    assert config.preferences is not None
    return replace(config, preferences=replace(config.preferences, held_out_people=share))


def command(run: Path, seed: int, *settings: str, teacher: str = "people") -> list[str]:
    arguments = ["run", "preferences", "--env", "CartPole-v1", "--teacher", teacher, "--seed", str(seed)]
    return [*arguments, "--run-dir", str(run), "--set", *settings]


def test_the_command_line_refuses_it_and_leaves_everything_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = seed_that_holds_out(add(tmp_path, "admin", "annotator"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".lock"}
    assert main(command(tmp_path / "run", seed, f"preferences.held_out_people={SHARE}")) == 2
    told = capsys.readouterr().err
    assert "preferences.held_out_people: 0.5 holds out all 2 people who may answer" in told
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".lock"} == before


def test_a_crowd_all_of_whom_are_held_out_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = seed_that_holds_out(["person-0", "person-1"])
    settings = [f"preferences.{name}" for name in ("held_out_people=0.5", "teacher.num_people=2", "teacher.overlap=1")]
    assert main(command(tmp_path / "run", seed, *settings, teacher="crowd")) == 2
    assert "preferences.held_out_people: 0.5 holds out 2 of the crowd's 2 people" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_one_who_is_not_held_out_or_who_may_not_answer_decides(tmp_path: Path) -> None:
    (held,) = add(tmp_path, "admin")
    (other,) = add(tmp_path, "annotator")
    seed = seed_that_holds_out([held], [other])
    refuse_only_held_out(config_of(seed), tmp_path / "run")
    accounts = Accounts(tmp_path / "people.db", AuditLog(tmp_path / "audit.jsonl"), session_idle_s=1, session_s=1)
    accounts.people.change("test", other, {"disabled": True})
    accounts.close()
    with pytest.raises(ConfigError, match="holds out the one person who may answer"):
        refuse_only_held_out(config_of(seed), tmp_path / "run")
    refuse_only_held_out(config_of(seed, share=0.0), tmp_path / "run")
    # A run that goes on is let be, and a folder where nobody is known yet.
    RunDirectory.create(tmp_path / "begun", to_dict(config_of(seed)))
    refuse_only_held_out(config_of(seed), tmp_path / "begun")
    refuse_only_held_out(config_of(seed), tmp_path / "elsewhere" / "run")

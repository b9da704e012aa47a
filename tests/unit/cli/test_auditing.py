"""`heeler audit`: exit codes, words for people, JSON for scripts, and nothing that an entry could forge."""

import json
from pathlib import Path
from typing import Any

import pytest

from heeler.cli import main
from heeler.core.audit import GENESIS, AuditLog, entries
from heeler.core.rundir import RunDirectory
from tests.unit.core.audit_logs import chain, put


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run in which nothing was done yet."""
    return RunDirectory.create(tmp_path / "run", {"recipe": "x"}).path


@pytest.fixture
def log(run: Path) -> AuditLog:
    """Three entries in a run."""
    log = AuditLog(run / "audit.jsonl")
    log.append("p-1", "release.promote", "release-3", gate="passed")
    log.append("learner", "pause")
    log.append("p-2", "budget.set", budget=700)
    return log


def head_of(log: AuditLog) -> str:
    return entries(log.path, after=0, limit=99)[-1].sha256


def test_a_sound_log(run: Path, log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(run)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{log.path}: sound, 3 entries\nhead {head_of(log)}\n"
    assert told.err == ""


def test_a_sound_log_for_a_script(run: Path, log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run": str(run),
        "is_sound": True,
        "num_entries": 3,
        "head": head_of(log),
        "problems": [],
        "expected_number": None,
    }


def test_each_problem_is_named(run: Path, log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0].replace(b"p-1", b"p-9") + lines[1])
    assert main(["audit", "verify", str(run)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        f"heeler: {log.path}: line 1: changed: this was entry 1; it does not match its SHA-256",
        f"heeler: {log.path}: line 3: cut at the end: entry 3 is missing; audit.head knows entry 3",
    ]
    assert main(["audit", "verify", str(run), "--json"]) == 2
    told = capsys.readouterr()
    assert told.err == ""
    result = json.loads(told.out)
    assert (result["is_sound"], result["num_entries"]) == (False, 1)
    assert [(problem["line"], problem["kind"]) for problem in result["problems"]] == [
        (1, "changed"),
        (3, "cut at the end"),
    ]


def test_an_expected_head(run: Path, log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    noted = head_of(log)
    log.append("p-2", "stop")
    assert main(["audit", "verify", str(run), "--expect-head", noted]) == 0
    assert "The hash that you expected is that of entry 3." in capsys.readouterr().out
    put(log.path, chain(4))
    assert main(["audit", "verify", str(run)]) == 0
    capsys.readouterr()
    assert main(["audit", "verify", str(run), "--expect-head", noted]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"heeler: {log.path}: other head: no entry of the chain has the hash {noted}: ")
    assert main(["audit", "verify", str(run), "--expect-head", noted[:8]]) == 2
    assert f"must be a SHA-256 of 64 hexadecimal digits, got '{noted[:8]}'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "show"])
def test_a_run_without_a_log_yet(run: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main(["audit", command, str(run)]) == 0
    assert f"{run}/audit.jsonl: there is no audit log yet" in capsys.readouterr().out
    assert main(["audit", command, str(run), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result.get("entries", []) == []
    assert result.get("head", GENESIS) == GENESIS
    assert [path.name for path in run.iterdir()] == ["config.yaml"]


def test_a_log_that_should_be_there(run: Path, log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    noted = head_of(log)
    log.path.unlink()
    for command in ("verify", "show"):
        assert main(["audit", command, str(run)]) == 2
        assert "audit.head" in capsys.readouterr().err
    (run / "audit.head").unlink()
    assert main(["audit", "verify", str(run), "--expect-head", noted]) == 2
    assert "other head" in capsys.readouterr().err


def test_show(run: Path, log: AuditLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.25)
    log.append("p-3", "release.promote", "release-4", gate="passed")
    assert main(["audit", "show", str(run), "--last", "1"]) == 0
    assert capsys.readouterr().out == (
        '     4  2023-11-14 22:13:20 UTC  p-3  release.promote  release-4  {"gate": "passed"}\n'
    )
    assert main(["audit", "show", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert lines[1].endswith(" UTC  learner  pause")
    assert main(["audit", "show", str(run), "--last", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    own = [entry.to_dict() for entry in entries(log.path, after=2, limit=2)]
    assert result == {"run": str(run), "entries": own}


def test_twenty_entries_are_shown_by_default(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(run / "audit.jsonl", chain(25))
    assert main(["audit", "show", str(run)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [str(n) for n in range(6, 26)]


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("a\n     9  2023-11-14 22:13:20 UTC  p-1  stop", r"'a\n     9  2023-11-14 22:13:20 UTC  p-1  stop'"),
        ("\x1b[2K\rgone", r"'\x1b[2K\rgone'"),
        ("\u202eright to left", r"'\u202eright to left'"),
        ("\ud800", r"'\ud800'"),
        ("größe", "größe"),
    ],
)
def test_no_entry_looks_like_another(run: Path, capsys: pytest.CaptureFixture[str], subject: str, shown: str) -> None:
    AuditLog(run / "audit.jsonl").append("p-1", "stop", subject)
    assert main(["audit", "show", str(run)]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.endswith(f" UTC  p-1  stop  {shown}\n")


def test_a_clock_out_of_its_mind_is_shown_as_it_was(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1e18)
    AuditLog(run / "audit.jsonl").append("p-1", "stop")
    assert main(["audit", "show", str(run)]) == 0
    assert capsys.readouterr().out == "     1  1e+18 s  p-1  stop\n"


def test_a_damaged_log_is_not_shown_as_if_it_were_sound(
    run: Path, log: AuditLog, capsys: pytest.CaptureFixture[str]
) -> None:
    log.path.write_bytes(log.path.read_bytes().replace(b"pause", b"cause"))
    assert main(["audit", "show", str(run)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "`heeler audit verify` names everything that is wrong" in told.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["audit", "verfy", "RUN"],
            "there is no command 'audit verfy'. Did you mean 'verify'? There are: verify, show",
        ),
        (["audit", "verify", "nowhere"], "nowhere is not a run: it has no config.yaml"),
        (["audit", "show", "nowhere"], "nowhere is not a run: it has no config.yaml"),
        (["audit", "verify", "RUN", "--expect-haed", "x"], "has no flag --expect-haed. Did you mean '--expect-head'?"),
        (["audit", "show", "RUN", "--last", "0"], "--last must be >= 1, got 0"),
    ],
)
def test_mistakes(run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main([str(run) if word == "RUN" else word for word in arguments]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("heeler: ")
    assert message in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_the_commands_below(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", *arguments]) == (0 if arguments else 2)
    told: Any = capsys.readouterr()
    shown = told.out if arguments else told.err
    assert shown.startswith("usage: heeler audit COMMAND")
    assert "\n  verify    Look at every byte" in shown
    assert "\n  show      Print a run's newest" in shown


@pytest.mark.parametrize(("command", "flag"), [("verify", "--expect-head SHA"), ("show", "--last INT")])
def test_each_command_below_explains_itself(command: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"heeler audit {command}" in shown
    assert flag in shown

"""`heeler stop` and `heeler steer`: what they ask, what they refuse, and what a script reads."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.core.attention import Attention
from heeler.core.audit import AUDIT_NAME, entries, verify
from heeler.core.nouns import Command
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that has begun, and whose learner is not at work."""
    directory = RunDirectory.create(tmp_path / "run", {"recipe": "ppo"})
    Store.open(directory.path / STORE_NAME, segments_dir=None).close()
    return directory.path


def commands(run: Path) -> list[Command]:
    with Store.open(run / STORE_NAME, segments_dir=None) as store:
        return [command for _, command in reversed(store.commands(limit=99))]


@contextmanager
def learner(run: Path, answer: Callable[[Command], str] | None = None) -> Iterator[None]:
    """Somebody at work on the run, who answers commands as told, or none."""
    over = threading.Event()

    def work() -> None:
        with Store.open(run / STORE_NAME, segments_dir=None) as store:
            while not over.is_set():
                for command in store.open_commands() if answer else ():
                    assert answer is not None
                    store.finish_command(command.id, answer(command))
                time.sleep(0.02)

    with RunDirectory(run).locked():
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def test_a_stop_is_asked_for_and_its_outcome_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with learner(run, lambda command: "stopped at step 512"):
        assert main(["stop", str(run)]) == 0
    told = capsys.readouterr()
    assert told.out == (
        "stop: asked; it is obeyed at the learner's next step\n"
        f"stopped at step 512; go on with it by: heeler resume {run}\n"
    )
    assert told.err == ""
    assert Attention(run).is_called()
    (command,) = commands(run)
    assert (command.kind, command.person) == ("stop", "command-line")
    (entry,) = entries(run / AUDIT_NAME, after=0, limit=9)
    assert (entry.person, entry.act, entry.details["id"]) == ("command-line", "command.stop", command.id)
    assert verify(run / AUDIT_NAME).is_sound


@pytest.mark.parametrize(
    ("what", "is_urgent"),
    [("slow", False), ("freeze", True), ("fall_back", True), ("thaw", False), ("safe_stop", True), ("pause", False)],
)
def test_what_is_urgent_calls_the_learner(run: Path, what: str, is_urgent: bool) -> None:
    with learner(run):
        assert main(["steer", str(run), what, "--wait-s", "0"]) == 0
    assert Attention(run).is_called() == is_urgent
    assert [command.kind for command in commands(run)] == [what]


def test_a_script_reads_what_came_of_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with learner(run, lambda command: f"rolled back to step {command.value}"):
        assert main(["steer", str(run), "roll_back", "300", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "run": str(run),
        "id": commands(run)[0].id,
        "kind": "roll_back",
        "value": 300,
        "outcome": "rolled back to step 300",
    }


def test_why_stands_beside_who_did_it(run: Path) -> None:
    assert main(["steer", str(run), "freeze", "--because", "the arm shakes"]) == 0
    assert main(["steer", str(run), "thaw"]) == 0
    first, second = entries(run / AUDIT_NAME, after=0, limit=9)
    assert (first.person, first.act, first.details["because"]) == ("command-line", "command.freeze", "the arm shakes")
    assert "because" not in second.details


def test_who_is_not_answered_is_told_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with learner(run):
        assert main(["steer", str(run), "freeze", "--wait-s", "0.1"]) == 0
    assert "the learner has not answered yet" in capsys.readouterr().err


def test_a_run_whose_learner_is_not_at_work_obeys_later(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["steer", str(run), "freeze"]) == 0
    assert capsys.readouterr().out == "freeze: asked; it is obeyed once the run is resumed\n"
    for arguments in (["stop", str(run)], ["stop", str(run), "--hard"]):
        assert main(arguments) == 2
        assert "no learner is at work on this run; there is nothing to stop" in capsys.readouterr().err
    assert [command.kind for command in commands(run)] == ["freeze"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["roll_back"], "value: expected a whole number, got None"),
        (["slow", "3"], "value: slow takes none, got 3"),
        (["set_budget", "0"], "value: expected 1 to"),
        (["freeze", "--because", " "], "because: expected some text"),
        (["freeze", "--because", "x" * 1001], "because: expected at most 1000 characters, got 1001"),
    ],
)
def test_what_is_no_command_is_refused(
    run: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["steer", str(run), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert commands(run) == []
    assert not (run / AUDIT_NAME).exists()


def test_an_act_that_there_is_not_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["steer", str(run), "freez"]) == 2
    assert commands(run) == []


def test_a_run_that_reads_no_commands_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = RunDirectory.create(tmp_path / "run", {"recipe": "sft"})
    assert main(["steer", str(directory.path), "freeze"]) == 2
    assert "reads no commands: it has not begun, or it learns from data alone" in capsys.readouterr().err
    assert not (directory.path / STORE_NAME).exists()
    assert main(["stop", str(tmp_path / "nowhere")]) == 2
    assert "is not a run" in capsys.readouterr().err


def test_a_hard_stop_loads_nothing_that_learns(tmp_path: Path) -> None:
    """torch takes seconds to load, in which the learner would go on; what takes a tenth of one does no less."""
    slow = {"torch", "sqlalchemy", "alembic", "numpy", "safetensors", "yaml", "importlib.metadata"}
    code = (
        "import sys; from heeler.cli import main; code = main(['stop', sys.argv[1], '--hard']); "
        f"assert code == 2; print(sorted({slow} & set(sys.modules)))"
    )
    directory = RunDirectory.create(tmp_path / "run", {})
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code, str(directory.path)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert told.stdout == "[]\n", told.stderr

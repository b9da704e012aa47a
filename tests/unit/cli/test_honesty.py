"""`heeler honesty` as it is typed."""

import json
import shutil
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.loop.running import run
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run(tiny_preferences(), folder / "asked")
    run(tiny_ppo(), folder / "true")
    return folder


def files(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "heeler.db"}


def test_a_table_is_printed_and_the_report_has_a_section(runs, tmp_path, capsys):
    path = tmp_path / "run"
    shutil.copytree(runs / "asked", path)
    arguments = ["honesty", str(path), "--episodes", "4", "--steps", "40"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "over-optimisation, by acting anew" in told
    assert "What cannot be said:" in told
    assert told.rstrip().endswith("report.html")
    assert "Honesty of the result" in (path / "report.html").read_text("utf-8")
    kept = json.loads((path / "honesty.json").read_bytes())
    mine = tmp_path / "mine.py"
    mine.write_text("def push(observation, action, next_observation):\n    return abs(action[:, 0])\n")
    assert main([*arguments, "--json", "--seed", "3", "--shortcut", f"{mine}:push"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["seed"] == 3
    assert f"{mine}:push" in {one["name"] for one in printed["shortcuts"]}
    assert f"{mine}:push" not in {one["name"] for one in kept["shortcuts"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["true"], "learned no reward that could be looked at"),
        (["nowhere"], "is not a run: it has no config.yaml"),
        (["asked", "--episodes", "3"], "episodes must be >= 4"),
        (["asked", "--steps", "19"], "steps must be >= 20"),
        (["asked", "--seed", "-1"], "seed must be from 0"),
        (["asked", "--shortcut", "nothing"], "a function is named FILE.py:NAME or MODULE:NAME, got 'nothing'"),
        (["asked", "--shortcut", "math:sin"], "shortcut math:sin failed: TypeError"),
        (["asked", "--shortcut", "math:nothing"], "math has no function 'nothing'"),
    ],
)
def test_mistakes_are_told_in_one_line_and_change_nothing(runs, tmp_path, capsys, arguments, message):
    folder = tmp_path / "runs"
    shutil.copytree(runs, folder)
    before = files(folder)
    name, *rest = arguments
    assert main(["honesty", str(folder / name), *rest]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("heeler: ")
    assert told.count("\n") == 1
    assert files(folder) == before


def test_a_run_that_has_not_learned_yet_is_told_to_go_on(tmp_path, capsys):
    class Stopped(Exception):
        """Before the first fit."""

    def stop(row: dict[str, float]) -> None:
        raise Stopped

    path = tmp_path / "young"
    with pytest.raises(Stopped):
        run(tiny_preferences(checkpoint_every=1), path, on_metrics=stop)
    assert main(["honesty", str(path)]) == 2
    assert "has not fitted its reward to an answer yet; let it run until it has" in capsys.readouterr().err
    shutil.rmtree(path / "checkpoints")
    assert main(["honesty", str(path)]) == 2
    assert "has no checkpoint to load; run it first" in capsys.readouterr().err
    assert not (path / "honesty.json").exists()

"""`heeler demonstrate` and `heeler run imitation` as they are typed."""

import json
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.feedback.episodes import load_npz
from heeler.loop.running import run
from tests.unit.loop.tiny import CARTPOLE_SHOWN, tiny_ppo


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tiny_ppo(), tmp_path_factory.mktemp("expert") / "run").path


def test_a_policy_shows_and_what_it_showed_is_learned_from(
    expert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "demos.npz"
    assert main(["demonstrate", str(expert), "--episodes", "4", "--output", str(output), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["episodes"], told["env"]) == (4, "CartPole-v1")
    assert told["steps"] == load_npz(output).num_steps
    run_dir = tmp_path / "run"
    arguments = ["run", "imitation", "--env", "CartPole-v1", "--demonstrations", str(output), "--total-steps", "2048"]
    assert main([*arguments, "--run-dir", str(run_dir), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "imitation"
    assert (run_dir / "report.html").exists()
    assert main(["demonstrate", str(expert), "--episodes", "2", "--output", str(tmp_path / "two.npz")]) == 0
    assert "2 episodes of CartPole-v1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demonstrate", "EXPERT", "--output", "demos.txt"], "must be a file whose name ends in .npz"),
        (["demonstrate", "EXPERT", "--output", "x.npz", "--episodes", "0"], "episodes must be >= 1"),
        (["demonstrate", "nowhere", "--output", "x.npz"], "nowhere"),
        (
            ["run", "imitation", "--env", "CartPole-v1", "--demonstrations", "none"],
            "imitation.demonstrations must say where they are",
        ),
        (
            ["run", "imitation", "--env", "CartPole-v1", "--demonstrations", "none.npz"],
            "none.npz: there is no such file",
        ),
        (
            ["run", "imitation", "--env", "Pendulum-v1", "--demonstrations", str(CARTPOLE_SHOWN)],
            "episode 0: observation: expected 3 numbers each",
        ),
        (
            ["run", "imitation", "--env", "CartPole-v1", "--demonstrations", str(CARTPOLE_SHOWN), "--method", "dagger"],
            "imitation.expert must say whom",
        ),
        (["run", "ppo", "--env", "CartPole-v1", "--reward", "EXPERT"], "made no reward of demonstrations"),
    ],
)
def test_mistakes_are_told_in_one_line_without_a_traceback(
    arguments: list[str], message: str, expert: Path, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main([str(expert) if word == "EXPERT" else word for word in arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert [path.name for path in tmp_path.iterdir() if path.name != "runs"] == []

"""`heeler infer` as it is typed: files, words, JSON, and a sentence for whatever does not hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from heeler.cli import main


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inverse")
    assert main(["infer", "--example", str(folder)]) == 0
    return folder


def arguments(example: Path, *more: str) -> list[str]:
    return ["infer", str(example / "world.npz"), str(example / "demonstrations.npz"), *more]


def test_the_example_says_what_to_try(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", "--example", str(tmp_path / "new")]) == 0
    shown = capsys.readouterr().out
    assert f"Try: heeler infer {tmp_path}/new/world.npz" in shown
    assert main(["infer", "--example", str(tmp_path / "new"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == 3


def test_demonstrations_become_a_reward(example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(example, "--out", str(tmp_path / "mce"))) == 0
    shown = capsys.readouterr().out
    assert "mce: converged" in shown and "  lava: −" in shown and "Identified: 3 of 3 dimensions" in shown
    assert f"Report: {tmp_path}/mce/report.html" in shown
    page = (tmp_path / "mce" / "report.html").read_text("utf-8")
    assert "http://" not in page.split("<script")[0] and "maximum causal entropy" in page
    assert {path.name for path in (tmp_path / "mce").iterdir()} == {"result.json", "reward.npz", "report.html"}


def test_choices_become_a_reward(example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", "--choices", str(example / "choices.csv"), "--json", "--out", str(tmp_path / "c")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["method"] == "logit" and len(printed["files"]) == 3
    assert [one["name"] for one in printed["parameters"]] == ["steps", "lava", "turns"]
    assert all(one["low"] < one["value"] < one["high"] for one in printed["parameters"])


def test_without_a_folder_it_is_beside_the_file(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = arguments(example, "--method", "bayesian", "--draws", "4", "--chains", "2", "--prior", "laplace", "--json")
    assert main(given) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["settings"]["prior"] == "laplace" and not printed["converged"]
    assert (example / "inferred-bayesian" / "report.html").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "WORLD and DEMONSTRATIONS must be named, or --choices FILE, or --example FOLDER"),
        (["world.npz"], "DEMONSTRATIONS must be named"),
        (["world.npz", "none.npz"], "does not exist"),
        (["world.npz", "world.npz"], "a file of demonstrations has no field"),
        (["--choices", "none.csv"], "none.csv does not exist"),
        (["world.npz", "demonstrations.npz", "--choices", "c.csv"], "would be ignored beside --choices"),
        (["--choices", "choices.csv", "--method", "mce"], "--method mce does not take --choices"),
        (["world.npz", "demonstrations.npz", "--method", "logit"], "--method logit does not take a world"),
        (["world.npz", "demonstrations.npz", "--prior", "laplace"], "--prior would be ignored by --method mce"),
        (["--choices", "choices.csv", "--draws", "9"], "--draws would be ignored by --method logit; it is of bayesian"),
        (["world.npz", "demonstrations.npz", "--ridge", "-1"], "ridge must be at least 0"),
        (["--example", "x", "--seed", "3"], "--seed would be ignored beside --example"),
        (["--example", "x", "--method", "mce"], "--method would be ignored beside --example"),
        (["world.npz", "demonstrations.npz", "--methd", "mce"], "has no flag --methd"),
    ],
)
def test_what_does_not_hold_is_a_sentence(
    example: Path, given: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example)
    assert main(["infer", *given]) == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told


def test_a_torn_world_is_a_sentence(example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "world.npz").write_bytes((example / "world.npz").read_bytes()[:300])
    assert main(["infer", str(tmp_path / "world.npz"), str(example / "demonstrations.npz")]) == 2
    assert "world.npz cannot be read as .npz, without pickle" in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "mine.npy", np.zeros(1))
    assert main(["infer", "--choices", str(example / "choices.csv"), "--out", str(tmp_path)]) == 2
    assert "is not empty and holds no result" in capsys.readouterr().err

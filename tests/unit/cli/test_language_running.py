"""`heeler run` of a language model: what is refused before anybody is asked, and what is told beforehand."""

import json
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.core.rundir import RunDirectory
from tests.tiny_models import tiny_llama


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base") / "model"
    tiny_llama(max_length=1024).save(folder)
    return str(folder)


def test_a_file_with_which_nothing_could_be_released_is_refused(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"question {i}?", "reference": f"answer {i}"} for i in range(100)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "run"
    asked = ["run", "chat", "--model", model, "--prompts", str(prompts), "--run-dir", str(path), "--no-serve"]
    assert main(asked) == 2
    told = capsys.readouterr().err
    assert "toxicity has 50 items and needs 112" in told and "bring 224" in told
    assert not path.exists()


def test_a_run_too_short_for_its_watch_is_told_so_and_goes_on(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("num_prompts=2", "num_each=2", "sampling.max_new_tokens=3", "num_evaluation_items=6", "release=null")
    settings = [part for one in small for part in ("--set", one)]
    path = str(tmp_path / "run")
    assert main(["run", "helpdesk", "--model", model, "--num-updates", "1", "--run-dir", path, *settings]) == 0
    assert "heeler: the watch cannot halt this run" in capsys.readouterr().err
    assert RunDirectory.open(Path(path)).config()["release"] is None

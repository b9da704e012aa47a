"""`heeler run sft` and `heeler run dpo` as they are typed."""

import json
from pathlib import Path

import pytest

from heeler.cli import main
from tests.tiny_models import tiny_llama
from tests.unit.loop.offline.tiny import METHODS, file_of, rows_for

SMALL = ["--no-lora", "--learning-rate", "1e-2", "--batch-size", "6", "--set", "held_out_share=0.3"]


def given(method: str, folder: Path) -> list[str]:
    data, model = file_of(folder, rows_for(method)), folder / "model"
    if not model.exists():
        tiny_llama().save(model)
    recipe = ["sft"] if method == "sft" else ["dpo", "--loss", method]
    return ["run", *recipe, "--model", str(model), "--data", str(data), "--run-dir", str(folder / "run")]


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_reports_and_goes_on(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main([*given(method, tmp_path), *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "before and after:" in shown and "  loss " in shown
    assert f"Report: {run}/report.html" in shown and f"heeler serve {run}" in shown
    assert ("  right " in shown) == (method != "sft")
    assert main(["resume", str(run), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["held_out"]["after"]["loss"] < printed["held_out"]["before"]["loss"]
    assert Path(printed["model"], "model.safetensors").exists()
    assert main(["report", str(run)]) == 0


def test_the_directory_is_called_by_method_and_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = given("kto", tmp_path)
    assert main([*words[: words.index("--run-dir")], *SMALL]) == 0
    assert "language model in runs/kto-texts-seed0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "none.jsonl"], "none.jsonl: there is no such file"),
        (["--model", "./none"], "none is not a folder"),
        (["--serve"], "there is nothing to serve"),
        (["--store", "postgresql://h/d"], "store would be ignored"),
        (["--set", "dpo.bta=1"], "no setting 'dpo.bta'. Did you mean"),
        (["--set", "batch_size=0"], "batch_size must be >= 1"),
        (["--batch-size", "many"], "batch-size"),
    ],
)
def test_what_cannot_be_run_is_told_and_nothing_is_written(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = given("dpo", tmp_path)
    for flag in {"--data", "--model"} & set(more):
        at = words.index(flag)
        del words[at : at + 2]
    assert main([*words, *more]) == 2
    captured = capsys.readouterr()
    assert message in captured.err + captured.out
    assert not (tmp_path / "run").exists()


def test_a_bad_row_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = given("dpo", tmp_path)
    data = Path(words[words.index("--data") + 1])
    data.write_text(data.read_text() + '{"prompt": "x", "chosen": "y"}\n')
    assert main(words) == 2
    assert "texts.jsonl, line 25: rejected: missing" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "watch", "export"])
def test_commands_for_runs_that_act_say_so(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*given("sft", tmp_path), *SMALL]) == 0
    capsys.readouterr()
    assert main([command, str(tmp_path / "run")]) == 2
    assert "learns from data" in capsys.readouterr().err


@pytest.mark.parametrize("learner", ["rloo", "grpo", "ppo", "online_dpo"])
def test_a_chat_names_its_learner(learner: str, capsys: pytest.CaptureFixture[str]) -> None:
    from heeler.loop.config import to_dict
    from heeler.loop.language.config import language_config_from_dict
    from heeler.loop.settings import assign
    from heeler.recipes import chat

    config = chat(model="model", prompts="prompts.jsonl", learner=learner)  # type: ignore[arg-type]
    names = ("rloo", "grpo", "ppo", "online_dpo")
    assert [name for name in names if getattr(config, name) is not None] == [learner]
    own = {"online_dpo": "min_lead", "ppo": "clip"}.get(learner, "clip_high")
    changed = language_config_from_dict(assign(to_dict(config), [f"{learner}.{own}=0.28"]))
    assert changed != config
    assert main(["run", "chat", "--model", "m", "--prompts", "p", "--learner", "reinforce"]) == 2
    assert "learner" in capsys.readouterr().err


def test_several_processes_are_refused_where_they_would_not_share_their_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main(["run", "helpdesk", "--run-dir", str(tmp_path / "run")]) == 2
    assert "helpdesk learns in one process, and torchrun started several" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()

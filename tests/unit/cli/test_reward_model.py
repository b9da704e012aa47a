"""`heeler run reward-model` as it is typed."""

import json
from pathlib import Path

import pytest

from heeler.cli import main
from tests.faults.tiny_reward_run import data_in

SMALL = ["--set", "model.num_heads=2", "model.num_ridge_folds=2", "model.ngrams.log2_buckets=8", "held_out_share=0.3"]


def test_it_runs_reports_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = data_in(tmp_path), tmp_path / "run"
    assert main(["run", "reward-model", "--data", str(data), "--run-dir", str(run), *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "agrees with people: " in shown
    assert "the shorter text wins: " in shown
    assert f"Report: {run}/report.html" in shown
    assert main(["resume", str(run), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["agreement"]["accuracy"]["count"] > 0
    assert Path(printed["model"], "reward.json").exists()
    assert main(["report", str(run)]) == 0


def test_rows_that_were_left_out_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = data_in(tmp_path)
    data.write_text(data.read_text() + json.dumps({"prompt": "x", "chosen": "", "rejected": "y"}) + "\n")
    given = ["run", "reward-model", "--data", str(data), "--run-dir", str(tmp_path / "run"), *SMALL]
    assert main(given) == 0
    assert "1 rows were left out (chosen: empty); the first is " in capsys.readouterr().err
    assert main([*given, "reading.unusable_rows=refuse", "seed=2"]) == 2
    assert "pairs.jsonl, line 25: chosen: empty; mend the row" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--data", "none.jsonl"], "none.jsonl: there is no such file"),
        (["--data", "PAIRS", "--serve"], "there is nothing to serve"),
        (["--data", "PAIRS", "--store", "postgresql://h/d"], "store would be ignored"),
        (["--data", "PAIRS", "--trunk-only"], "a reward model needs a trunk or n-grams"),
        (["--data", "PAIRS", "--set", "model.num_head=3"], "no setting 'model.num_head'. Did you mean"),
        (["--data", "PAIRS", "--set", "model.num_heads=many"], "model.num_heads"),
        (["--data", "PAIRS", "--model", "none"], "none"),
        (["--data", "PAIRS", "--eos-token", "</s>"], "there is no model"),
        (["--data", "PAIRS", "--model", "small", "--eos-token", "</s>"], "a model made from nothing has its own"),
        (["--data", "PAIRS", "--model", "none", "--chat-template", "none.jinja"], "cannot read none.jinja"),
    ],
)
def test_what_cannot_be_run_is_told_and_nothing_is_written(
    tmp_path: Path, given: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    data = str(data_in(tmp_path))
    run = tmp_path / "run"
    own = [data if part == "PAIRS" else part for part in given]
    assert main(["run", "reward-model", *own, "--run-dir", str(run)]) == 2
    assert message in capsys.readouterr().err
    assert not run.exists()


@pytest.mark.parametrize("command", ["evaluate", "watch", "export"])
def test_commands_for_runs_that_act_say_so(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = data_in(tmp_path), tmp_path / "run"
    assert main(["run", "reward-model", "--data", str(data), "--run-dir", str(run), *SMALL]) == 0
    capsys.readouterr()
    assert main([command, str(run)]) == 2
    assert "this is the run of a reward model" in capsys.readouterr().err


def test_answers_that_were_judged_one_by_one_are_learned_from_as_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [json.loads(line) for line in data_in(tmp_path).read_text().splitlines()]
    rows = [
        {"prompt": pair["prompt"], "completion": pair[side], "label": side == "chosen"}
        for pair in pairs
        for side in ("chosen", "rejected")
    ]
    data = tmp_path / "judged.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0] | {"prompt": "of nothing else"}]))
    assert main(["run", "reward-model", "--data", str(data), "--run-dir", str(tmp_path / "run"), *SMALL]) == 0
    shown = capsys.readouterr()
    assert "agrees with people: " in shown.out
    assert "1 rows were left out (no answer of the other label to its prompt)" in shown.err

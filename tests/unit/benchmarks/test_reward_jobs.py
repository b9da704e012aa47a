"""The jobs that fit reward models and fine-tune, on a few texts."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import hh_reward_model, sft_rm_trl
from benchmarks.harness import BenchmarkError


def printed(name: str, *options: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setattr(sys, "argv", [name, *options])
    importlib.import_module(f"benchmarks.jobs.{name}").main()
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.slow
def test_reward_models_are_cross_validated(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    figures = printed("hh_reward_model", "--made", "--small", "--folds", "2", monkeypatch=monkeypatch, capsys=capsys)
    assert figures["pairs"] == 80
    for name in ("", "small_"):
        assert figures[f"{name}accuracy_low"] <= figures[f"{name}accuracy"] <= figures[f"{name}accuracy_high"]
    # Polite words tell the two apart, and their lengths do not.
    assert figures["bag_of_words_accuracy"] > 0.9
    assert figures["shorter_accuracy"] < 0.9


def test_both_jobs_learn_from_the_material(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--rows", "6", "--batch-size", "4", "--threads", "1")
    job = "text_learning"
    printed(job, "make", str(tmp_path), *options, monkeypatch=monkeypatch, capsys=capsys)
    rows = json.loads((tmp_path / "material.json").read_text())["rows"]
    assert len(rows) == 6
    assert sft_rm_trl._tokens(rows)["rm"] > sft_rm_trl._tokens(rows)["sft"]
    for kind in ("sft", "rm"):
        found = printed(job, kind, str(tmp_path), monkeypatch=monkeypatch, capsys=capsys)
        assert len(found["losses"]) == 2
        assert found["seconds"] > 0


def test_ratios_are_of_the_peers_seconds_to_ours() -> None:
    ours = {"losses": [2.0, 1.0], "seconds": 2.0, "cpu_seconds": 2.0}
    peer = {"losses": [2.5, 1.0], "seconds": 6.0, "cpu_seconds": 4.0}
    found = sft_rm_trl._compared("sft", ours, peer, 300)
    assert (found["sft_speed_ratio"], found["sft_tokens_per_s"], found["peer_sft_tokens_per_s"]) == (3.0, 150.0, 50.0)
    assert (found["sft_loss_difference"], found["sft_cpu_ratio"]) == (0.5, 2.0)
    with pytest.raises(BenchmarkError, match="1 steps of ours and 2 of the peer's"):
        sft_rm_trl._compared("sft", ours | {"losses": [2.0]}, peer, 300)


def test_without_data_it_says_where_they_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEELER_DATA", str(tmp_path))
    with pytest.raises(BenchmarkError, match=r"harmless-base\.jsonl\.gz is not there; set HEELER_DATA"):
        hh_reward_model.measure([0], False)

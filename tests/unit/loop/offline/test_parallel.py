"""Two processes that `torchrun` starts learn together what one learns alone."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.rundir import RunDirectory
from heeler.loop.offline.evaluation import saved_held_out
from heeler.loop.offline.running import run_offline
from heeler.models.language.loading import load_language_model
from tests.tiny_models import tiny_llama
from tests.unit.loop.offline.tiny import METHODS, file_of, rows_for, tiny_offline_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*command, "-m", "heeler", *arguments], env=environment, capture_output=True, text=True, timeout=250
    )


def words_for(method: str, folder: Path) -> list[str]:
    recipe = ["sft"] if method == "sft" else ["dpo", "--loss", method]
    given = {"--model": folder / "model", "--data": folder / "texts.jsonl", "--run-dir": folder / "together"}
    sizes = {"--learning-rate": "1e-2", "--num-epochs": "2", "--batch-size": "6"}
    settings = ["held_out_share=0.3", "evaluate_every=2", "checkpoint_every=2", "keep_checkpoints=9"]
    pairs = [str(part) for pair in (given | sizes).items() for part in pair]
    return ["run", *recipe, *pairs, "--no-lora", "--set", *settings]


@pytest.mark.parametrize("method", [method for method in METHODS if method != "ipo"])
def test_two_processes_learn_what_one_does(method: str, tmp_path: Path) -> None:
    data = file_of(tmp_path, rows_for(method))
    tiny_llama().save(tmp_path / "model")
    alone = run_offline(tiny_offline_run(method, tmp_path / "model", data), tmp_path / "alone")
    done = torchrun(*words_for(method, tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Report: ") == 1, "one of them tells"
    found = saved_held_out(RunDirectory.open(tmp_path / "together"))
    assert found is not None
    for name, value in alone.held_out.after.items():
        assert found.after[name] == pytest.approx(value, rel=2e-3, abs=2e-3), name
    assert found.num_prompts == alone.held_out.num_prompts
    rows, others = (RunDirectory.open(tmp_path / name).metrics() for name in ("together", "alone"))
    assert [row["step"] for row in rows] == [row["step"] for row in others]
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in others], rel=2e-3, abs=2e-3)
    first, second = (
        [p.detach().numpy() for p in load_language_model(tmp_path / name / "model").module.parameters()]
        for name in ("together", "alone")
    )
    assert max(np.abs(a - b).max() for a, b in zip(first, second, strict=True)) < 2e-2
    acts = [entry.act for entry in entries(tmp_path / "together" / AUDIT_NAME, after=0, limit=100)]
    assert acts == ["run.begin", "run.finish"], "the first process alone writes"


def test_batches_without_a_share_for_each_are_refused(tmp_path: Path) -> None:
    file_of(tmp_path, rows_for("sft"))
    tiny_llama().save(tmp_path / "model")
    words = words_for("sft", tmp_path)
    words[words.index("--batch-size") + 1] = "1"
    done = torchrun(*words)
    assert done.returncode != 0
    assert "batch_size must be >= 2 with 2 processes" in done.stderr
    assert not (tmp_path / "together").exists()


def test_they_go_on_together_where_one_began(tmp_path: Path) -> None:
    tiny_llama().save(tmp_path / "model")
    config = tiny_offline_run("dpo", tmp_path / "model", file_of(tmp_path, rows_for("dpo")))
    whole = run_offline(config, tmp_path / "alone")

    def stop(row: Mapping[str, float], total: int) -> None:
        if row["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_offline(config, tmp_path / "together", on_metrics=stop)
    done = torchrun("resume", str(tmp_path / "together"), "--json")
    assert done.returncode == 0, done.stderr
    found = saved_held_out(RunDirectory.open(tmp_path / "together"))
    assert found is not None
    assert found.after["loss"] == pytest.approx(whole.held_out.after["loss"], rel=2e-3)
    assert [row["step"] for row in RunDirectory.open(tmp_path / "together").metrics()] == [1, 2, 3, 4]

"""A run that learns from stored texts, killed at any write, goes on and ends in the model of an undisturbed one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heeler.core.audit import AUDIT_NAME, verify
from heeler.core.rundir import RunDirectory
from heeler.loop.offline.running import resume_offline, run_offline
from tests.faults.tiny_offline_run import KINDS, config

ROOT = Path(__file__).parents[2]


def tiny_runs(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.faults.tiny_offline_run", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def content(path: Path) -> dict[str, object]:
    """All of a run but clocks, and what names the folder or a checkpoint's hash."""
    directory = RunDirectory.open(path)
    checkpoint, refused = directory.newest_checkpoint()
    assert checkpoint is not None and refused == []
    tensors = {name: array.tobytes() for name, array in checkpoint.tensors.items()}
    rows = [{k: v for k, v in row.items() if k != "elapsed_s"} for row in directory.metrics()]
    assert verify(path / AUDIT_NAME).problems == ()
    assert not [entry for entry in path.iterdir() if entry.name.startswith((".model", ".evaluation"))]
    return tensors | {"metrics": rows, "model": (path / "model" / "model.safetensors").read_bytes()}


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_a_write_and_resumed(tmp_path: Path, kind: str) -> None:
    num_writes = int(tiny_runs(tmp_path, kind).split()[-1])
    places = sorted({max(1, int(share * num_writes)) for share in (0.1, 0.35, 0.6, 0.9, 0.97)})
    tiny_runs(tmp_path, kind, *map(str, places))
    assert_all_go_on(tmp_path, kind, places)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_write_and_resumed(tmp_path: Path, kind: str) -> None:
    places = list(range(1, int(tiny_runs(tmp_path, kind).split()[-1]) + 1))
    tiny_runs(tmp_path, kind, *map(str, places))
    assert_all_go_on(tmp_path, kind, places)


def assert_all_go_on(folder: Path, kind: str, places: list[int]) -> None:
    whole = content(folder / "whole")
    for at in places:
        path = folder / f"run-{at}"
        if (path / "config.yaml").exists():
            resume_offline(path)
        else:
            run_offline(config(kind, folder), path)
        assert content(path) == whole, f"killed at write {at}"
        shutil.rmtree(path)

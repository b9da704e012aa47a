"""Runs that learn from stored answers or texts, killed at any write, end in the very model of an undisturbed run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heeler.core.audit import AUDIT_NAME, verify
from heeler.core.rundir import RunDirectory
from tests.faults.tiny_model_run import KINDS, go_on

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ASIDE = (".base", ".model", ".evaluation")
"""How the names of what is written aside begin."""


def tiny_runs(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.faults.tiny_model_run", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def num_writes(folder: Path, kind: str) -> int:
    return int(tiny_runs(folder, kind).split()[-1])


def content(path: Path) -> dict[str, object]:
    """All of a run but clocks, and what names the folder or a checkpoint's hash."""
    directory = RunDirectory.open(path)
    checkpoint, refused = directory.newest_checkpoint()
    assert checkpoint is not None and refused == []
    tensors = {name: array.tobytes() for name, array in checkpoint.tensors.items()}
    rows = [{k: v for k, v in row.items() if k != "elapsed_s"} for row in directory.metrics()]
    assert verify(path / AUDIT_NAME).problems == ()
    assert not [entry for entry in path.iterdir() if entry.name.startswith(ASIDE)]
    models = {model.name: model.read_bytes() for model in (path / "model").glob("*.safetensors")}
    assert models
    return {**tensors, **models, "metrics": rows}


def check_killed_and_resumed(folder: Path, kind: str, places: list[int]) -> None:
    tiny_runs(folder, kind, *map(str, places))
    whole = content(folder / "whole")
    for at in places:
        path = folder / f"run-{at}"
        go_on(path, kind)
        assert content(path) == whole, f"killed at write {at}"
        shutil.rmtree(path)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_a_write_and_resumed(tmp_path: Path, kind: str) -> None:
    writes = num_writes(tmp_path, kind)
    check_killed_and_resumed(tmp_path, kind, sorted({max(1, int(share * writes)) for share in (0.35, 0.97)}))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_write_and_resumed(tmp_path: Path, kind: str) -> None:
    check_killed_and_resumed(tmp_path, kind, list(range(1, num_writes(tmp_path, kind) + 1)))

"""A run killed at any moment goes on, and ends in the very weights that an uninterrupted run ends in."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from heeler.core.audit import AUDIT_NAME, entries, verify
from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME
from heeler.loop.running import resume, run
from tests.faults.tiny_run import KINDS, config

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "tiny_run.py"


def start(path: Path, *arguments: str) -> subprocess.Popen[str]:
    # As pytest has it: the code beside these tests, not that of another checkout that happens to be installed.
    places = os.pathsep.join(str(ROOT / name) for name in ("src", "."))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": places}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(path: Path, at_write: int, *arguments: str) -> None:
    process = start(path, "--kill-at-write", str(at_write), *arguments)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL


def finish(path: Path, *arguments: str) -> None:
    process = start(path, *arguments)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def final_weights(path: Path) -> dict[str, str]:
    """Hashes of everything that the last checkpoint holds but the clock."""
    checkpoint, refused = RunDirectory.open(path).newest_checkpoint()
    assert checkpoint is not None
    assert refused == []
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in checkpoint.tensors.items()}


def metric_trace(path: Path) -> list[dict[str, float]]:
    timed = ("elapsed_s", "acting_s", "reward_s", "learning_s")
    return [{k: v for k, v in row.items() if k not in timed} for row in RunDirectory.open(path).metrics()]


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory) -> dict[str, Path]:
    """An uninterrupted run of each kind."""
    paths = {kind: tmp_path_factory.mktemp(kind) / "run" for kind in KINDS}
    for kind, path in paths.items():
        finish(path, "--kind", kind)
    return paths


@pytest.fixture
def uninterrupted(whole_runs) -> Path:
    return whole_runs["backflip"]


def assert_same_run(path: Path, uninterrupted: Path) -> None:
    assert final_weights(path) == final_weights(uninterrupted)
    assert metric_trace(path) == metric_trace(uninterrupted)
    log = path / AUDIT_NAME
    assert verify(log).problems == ()
    acts = [entry.act for entry in entries(log, after=0, limit=1000) if entry.person == "learner"]
    assert (acts[0], acts[-1]) == ("run.begin", "run.finish")


def counts(path: Path) -> dict[str, int]:
    """Of everything in a run's store: after all that, every query has one answer."""
    if not (path / STORE_NAME).exists():
        return {}
    with Store.open(path / STORE_NAME, segments_dir=path / "segments") as store:
        return store.counts()


# `tiny_run.py` kills itself at its n-th write to the disk, counted over flushes, renames, removals, metric lines and
# the store's transactions; the numbers spread over all of them. `slow` holds every one.
def num_writes(path: Path) -> int:
    return int((path.parent / "writes").read_text())


def check_killed_and_resumed(folder: Path, kind: str, whole: Path, places: Iterable[int]) -> None:
    """Runs that were killed at these writes end as the whole one, each resumed in this process, where torch is loaded
    already; other tests resume in a fresh one.
    """
    finish(folder, "--kind", kind, "--kill-at-each", *map(str, places))
    for at in places:
        path = folder / f"run-{at}"
        resume(path) if (path / "config.yaml").exists() else run(config(kind), path)
        assert_same_run(path, whole)
        shutil.rmtree(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "shares"),
    [("backflip", (0.02, 0.2, 0.45, 0.7, 0.97)), ("discrete", (0.3, 0.8)), ("foreign", (0.3, 0.8))],
)
def test_killed_at_a_write_and_resumed(tmp_path, whole_runs, kind, shares):
    whole = whole_runs[kind]
    places = [max(1, int(share * num_writes(whole))) for share in shares]
    check_killed_and_resumed(tmp_path, kind, whole, places)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_a_write_and_resumed_in_a_fresh_process(tmp_path, whole_runs, kind):
    whole = whole_runs[kind]
    path = tmp_path / "run"
    kill(path, int(0.6 * num_writes(whole)), "--kind", kind)
    finish(path, "--resume")
    assert_same_run(path, whole)
    assert counts(path) == counts(whole)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_write_and_resumed(tmp_path, whole_runs, kind, part):
    places = range(1 + part, num_writes(whole_runs[kind]) + 1, 2)
    check_killed_and_resumed(tmp_path, kind, whole_runs[kind], places)


def test_killed_from_outside_again_and_again(tmp_path, uninterrupted):
    path = tmp_path / "run"
    for delay_s in (1.5, 2.5, 3.0):
        process = start(path, "--resume" if (path / "config.yaml").exists() else "--fresh")
        time.sleep(delay_s)
        process.kill()
        process.communicate(timeout=60)
    finish(path, "--resume" if (path / "config.yaml").exists() else "--fresh")
    assert_same_run(path, uninterrupted)


def test_torn_checkpoint_is_refused_by_name_and_the_one_before_used(tmp_path, uninterrupted):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    steps = RunDirectory.open(path).checkpoint_steps()
    torn = path / "checkpoints" / f"step-{steps[-1]}" / "tensors.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])
    result = resume(path)
    assert len(result.refused_checkpoints) == 1
    assert f"step-{steps[-1]}" in result.refused_checkpoints[0]
    assert_same_run(path, uninterrupted)


def test_a_run_whose_checkpoints_are_all_refused_is_not_begun_again(tmp_path, uninterrupted):
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    for step in RunDirectory.open(path).checkpoint_steps():
        (path / "checkpoints" / f"step-{step}" / "state.json").write_bytes(b"{}")
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and "heeler.db" not in file.name}
    with pytest.raises(RunError, match=r"cannot be gone on with: .*step-\d+.*SHA-256 of state.json"):
        resume(path)
    assert {file: file.read_bytes() for file in before} == before

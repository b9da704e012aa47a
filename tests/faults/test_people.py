"""People answer from another process, through the store; the loop is the same, and nobody waits for anybody."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors import safe_open

from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME
from heeler.loop.running import resume, run
from tests.faults.answering import NUM_UPDATES, people_config

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "answering.py"
ROOT = Path(__file__).parents[2]


@contextmanager
def process(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An answering person (or a learner) that is gone when the block ends."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    started = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate(timeout=30)


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    with Store.open(path / STORE_NAME, segments_dir=path / "segments") as store:
        yield store


def wait_for(condition, *, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def num_answers(path: Path) -> int:
    if not (path / STORE_NAME).exists():
        return 0
    with opened(path) as store:
        return store.counts()["feedback"]


def test_a_run_is_taught_from_another_process(tmp_path):
    path, rows = tmp_path / "run", []
    with process(path):
        run(people_config(40), path, on_metrics=rows.append)
    assert rows[-1]["labels_used"] >= 6
    assert rows[-1]["fits"] >= 1
    assert rows[-1]["asked"] == 24
    correlations = [row["reward_correlation"] for row in rows if "reward_correlation" in row]
    assert max(correlations) > 0.3, "the answers were about Pendulum's own reward, and that is what was learned"
    with opened(path) as store:
        assert store.counts()["by_annotator"].keys() == {"ann"}
    for file in (path / "segments").glob("*.safetensors"):
        with safe_open(file, "numpy") as tensors:
            assert "true_reward" not in tensors.keys()  # noqa: SIM118 (not a mapping: it has no `in`)


def test_nobody_waits_once_there_is_a_reward(tmp_path):
    """The person leaves after the first six answers; the run goes on to its end, its other questions left open."""
    path, rows = tmp_path / "run", []
    with process(path, "--limit", "6"):
        run(people_config(), path, on_metrics=rows.append)
    assert [row["update"] for row in rows if "elapsed_s" in row] == list(range(1, NUM_UPDATES + 1))
    assert rows[-1]["answered"] == rows[-1]["labels_used"] == 6
    assert rows[-1]["asked"] == 24
    with opened(path) as store:
        assert len(store.open_queries(100)) == 18


def test_cant_tell_leads_to_other_questions(tmp_path):
    """The first four answers are "can't tell", which alone would be too few: four more questions take their place."""
    path, rows = tmp_path / "run", []
    with process(path, "--cant-tell", "4"):
        run(people_config(), path, on_metrics=rows.append)
    assert rows[-1]["asked"] == 28
    assert rows[-1]["fits"] >= 1
    assert rows[-1]["answered"] - rows[-1]["labels_used"] == 4


def test_two_people_with_the_same_questions_count_once(tmp_path):
    path, rows = tmp_path / "run", []
    with process(path), process(path, "--annotator", "bob"):
        run(people_config(40), path, on_metrics=rows.append)
    assert rows[-1]["labels_used"] <= rows[-1]["asked"] == 24


def test_answers_after_the_end_are_kept(tmp_path):
    path = tmp_path / "run"
    with process(path, "--limit", "6"):
        run(people_config(), path)
    with process(path):
        wait_for(lambda: num_answers(path) == 24)
    resume(path)
    with opened(path) as store:
        assert store.counts()["feedback"] == 24


@pytest.mark.parametrize("when", ["before the first answer", "before the first checkpoint", "later"])
def test_a_learner_killed_while_people_answer_goes_on(tmp_path, when):
    """No answer is lost, none is asked for twice beyond the budget, and the person never notices."""
    path = tmp_path / "run"
    with process(path, "--as-learner") as learner:
        if when == "later":
            with process(path, "--limit", "6"):
                wait_for(lambda: (path / "checkpoints" / "step-4096").exists())
        else:
            wait_for(lambda: (path / STORE_NAME).exists())
            wait_for(lambda: num_queries(path) == 6)
            if when == "before the first checkpoint":
                with process(path, "--limit", "4"):
                    wait_for(lambda: num_answers(path) == 4)
            assert not list((path / "checkpoints").glob("step-*"))
        learner.kill()
        learner.wait(timeout=30)
    with process(path):
        resume(path)
    rows = RunDirectory.open(path).metrics()
    assert [row["update"] for row in rows] == list(range(1, NUM_UPDATES + 1))
    assert rows[-1]["fits"] >= 1
    with opened(path) as store:
        assert store.query_count() <= 24


def num_queries(path: Path) -> int:
    with opened(path) as store:
        return store.query_count()

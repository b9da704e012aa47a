"""A learner that people teach while it acts is killed: what it showed is known, and each press is learned from once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heeler.core.audit import AUDIT_NAME, verify
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from tests.unit.loop.evaluative.tiny import live_queries, press, watch

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LEARN = """
import sys
from pathlib import Path
from heeler.loop.evaluative.running import resume_evaluative, run_evaluative
from tests.unit.loop.evaluative.tiny import tiny_evaluative
path = Path(sys.argv[1])
config = tiny_evaluative(teacher="people", steps_per_second=60.0, total_steps=int(sys.argv[2]))
resume_evaluative(path) if (path / "config.yaml").exists() else run_evaluative(config, path)
"""
TOTAL = 3 * 60


def learner(path: Path) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.Popen([sys.executable, "-c", LEARN, str(path), str(TOTAL)], cwd=ROOT, env=environment)


@pytest.mark.timeout(280)
def test_killed_at_any_moment_no_press_is_lost_and_none_is_learned_twice(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process, num_pressed, num_kills, seen = learner(path), 0, 0, 0
    deadline_s = time.monotonic() + 240
    while not (path / "heeler.db").exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    with Store.open(path / "heeler.db", segments_dir=path / "segments") as store:
        while time.monotonic() < deadline_s:
            watch(path)
            shown = live_queries(store)
            for query in shown[seen:]:
                num_pressed += 1
                press(store, query, [(0.03, 1 if num_pressed % 2 else -1)], key=num_pressed)
            seen = len(shown)
            if process.poll() is not None:
                break
            # In the midst of whatever it does, after a fifth and after a half of its turns.
            if num_kills < 2 and seen >= (12, 30)[num_kills]:
                os.kill(process.pid, signal.SIGKILL)
                process.wait(timeout=30)
                num_kills += 1
                process = learner(path)
            time.sleep(0.01)
    assert process.wait(timeout=30) == 0 and num_kills == 2
    rows = RunDirectory(path).metrics()
    assert [row["step"] for row in rows] == list(range(3, TOTAL + 1, 3))
    # The last stretches are over before anything that is said of them can come in.
    assert num_pressed - 5 <= rows[-1]["signals"] <= num_pressed
    assert verify(path / AUDIT_NAME).problems == ()

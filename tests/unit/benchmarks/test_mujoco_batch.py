"""The benchmark against raw physics really runs both sides, on a short measurement."""

import numpy as np
import pytest

from benchmarks.harness import run_job
from benchmarks.mujoco_batch import JOB, TASKS
from benchmarks.peers.raw_rollout import RawRollout


def test_both_sides_of_one_task_are_measured() -> None:
    options = ("--tasks", "InvertedPendulum-v5", "--batch", "8", "--repeats", "2", "--seconds", "0.05")
    printed = run_job((*JOB, *options)).printed
    speeds = printed["tasks"]["InvertedPendulum-v5"]
    assert {name: len(repeats) for name, repeats in speeds.items()} == {"ours_steps_per_s": 2, "raw_steps_per_s": 2}
    assert all(speed > 0 for repeats in speeds.values() for speed in repeats)


@pytest.mark.parametrize("task", ["InvertedPendulum-v5", "Hopper-v5"])
def test_raw_physics_is_what_gymnasium_steps(task: str) -> None:
    """One call of the raw side moves a simulation as far as `frame_skip` steps of `mj_step` under the same control."""
    import mujoco

    raw = RawRollout(task, batch=4, threads=1, episode_steps=10, seed=0)
    held = np.repeat(raw.controls[0][:, None], raw.frame_skip, axis=1)
    now, state, sensors = raw._buffers(raw.frame_skip)
    raw._call(now, held, state, sensors)
    data, spec = mujoco.MjData(raw.model), mujoco.mjtState.mjSTATE_FULLPHYSICS
    for row in range(raw.batch):
        mujoco.mj_setState(raw.model, data, raw.first_states[row], spec)
        data.qacc_warmstart[:] = 0
        data.ctrl[:] = raw.controls[0, row]
        for _ in range(raw.frame_skip):
            mujoco.mj_step(raw.model, data)
        reached = np.empty_like(raw.first_states[row])
        mujoco.mj_getState(raw.model, data, reached, spec)
        np.testing.assert_allclose(state[row, -1], reached, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_smoke_test_measures_all_nine_tasks() -> None:
    import sys

    printed = run_job((sys.executable, "-m", "benchmarks", "mujoco-batch", "--quick", "--json")).printed
    assert {f"raw_ratio_{task}" for task in TASKS} <= set(printed["figures"])
    assert printed["figures"]["raw_ratio"] == min(printed["figures"][f"raw_ratio_{task}"] for task in TASKS)
    assert printed["quick"] is True

"""The benchmark against raw physics: both sides step the very same physics, and the raw side is nothing but physics."""

import argparse
import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.mujoco_env import MujocoEnv
from gymnasium.spaces import Box

from benchmarks.harness import ROOT
from benchmarks.jobs.mujoco_batch import measure_both, measure_ours, require_equal
from benchmarks.mujoco_batch import TASKS
from benchmarks.peers.raw_rollout import MODELS, RawRollout, mj

SHORT = {"batch": 6, "threads": 2, "repeats": 2, "seconds": 0.02, "seed": 0}


@pytest.mark.parametrize("task", TASKS)
def test_both_sides_of_every_task_step_the_same_physics(task: str) -> None:
    """`measure_both` refuses to go on where the final states differ in one bit."""
    speeds = measure_both(task, argparse.Namespace(**SHORT))
    assert {name: len(repeats) for name, repeats in speeds.items()} == {"ours_steps_per_s": 2, "raw_steps_per_s": 2}
    assert all(speed > 0 for repeats in speeds.values() for speed in repeats)


def test_ours_alone_is_measured_alike() -> None:
    speeds = measure_ours("InvertedPendulum-v5", argparse.Namespace(**SHORT))
    assert len(speeds["ours_steps_per_s"]) == 2


def test_physics_that_differ_are_refused() -> None:
    ours = np.ones((3, 2))
    raw = ours.copy()
    raw[1, 1] = np.nextafter(1.0, 2.0)
    require_equal("Hopper-v5", raw, ours, compared=np.array([True, False, True]))
    with pytest.raises(RuntimeError, match="Hopper-v5: simulation 1 differs"):
        require_equal("Hopper-v5", raw, ours, compared=np.array([True, True, True]))


@pytest.mark.parametrize("task", TASKS)
def test_the_raw_side_has_the_model_of_gymnasiums_own_task(task: str) -> None:
    env = gymnasium.make(task).unwrapped
    assert isinstance(env, MujocoEnv) and isinstance(env.action_space, Box)
    raw = RawRollout(task, batch=2, threads=1)
    assert raw.frame_skip == env.frame_skip
    for name in ("body_mass", "dof_damping", "geom_size", "geom_friction", "actuator_gear", "jnt_range"):
        np.testing.assert_array_equal(getattr(raw.model, name), getattr(env.model, name))
    assert raw.model.opt.timestep == env.model.opt.timestep
    # Gymnasium keeps the same range in single precision.
    controls = raw.model.actuator_ctrlrange.T.astype(np.float32)
    np.testing.assert_array_equal(controls, [env.action_space.low, env.action_space.high])
    env.close()


def test_every_task_has_a_raw_side() -> None:
    assert set(MODELS) == set(TASKS)


@pytest.mark.parametrize("task", ["InvertedPendulum-v5", "Hopper-v5"])
def test_one_raw_call_is_frame_skip_physics_steps(task: str) -> None:
    """Against `mj_step`, one simulation at a time."""
    raw = RawRollout(task, batch=4, threads=1)
    first, controls = raw.first_states(), raw.random_controls(1, 0)[0]
    assert raw.control_step(first, None, controls) > 0
    data, spec = mj.MjData(raw.model), mj.mjtState.mjSTATE_FULLPHYSICS
    for row in range(raw.batch):
        mj.mj_setState(raw.model, data, first[row], spec)
        data.qacc_warmstart[:] = 0
        data.ctrl[:] = controls[row]
        for _ in range(raw.frame_skip):
            mj.mj_step(raw.model, data)
        reached = np.empty_like(first[row])
        mj.mj_getState(raw.model, data, reached, spec)
        np.testing.assert_array_equal(raw.reached[row], reached)


def test_the_raw_sides_process_holds_nothing_of_heeler_or_gymnasium() -> None:
    """Its memory is what ours is held against."""
    code = (
        "import json, runpy, sys;"
        "sys.argv = ['raw', '--task', 'InvertedPendulum-v5', '--batch', '4', '--seconds', '0.01'];"
        "runpy.run_path('benchmarks/peers/raw_rollout.py', run_name='__main__');"
        "print(json.dumps(sorted({'gymnasium', 'heeler', 'torch', 'benchmarks'} & set(sys.modules))))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    speeds, held = (json.loads(line) for line in ended.stdout.splitlines())
    assert set(speeds) == {"closed_loop_steps_per_s", "open_loop_steps_per_s"}
    assert all(speed > 0 for speed in speeds.values())
    assert held == []

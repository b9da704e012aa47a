"""The pool for worlds with contact forces, against `mujoco.batch.Batch` and against one `MjData`."""

import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from heeler.core.errors import WorldError
from heeler.envs import EnvConfig, make
from heeler.envs.mujoco_model import load_model
from heeler.envs.mujoco_pool import CHUNK, ContactForcePool

NUM_SIMS = CHUNK + 5  # more than one thread takes at a time, and not a multiple of it


@pytest.mark.parametrize("num_threads", [1, 3])
def test_equal_to_batch_and_to_asking_each_simulation(num_threads: int):
    model = load_model("ant.xml")
    rng = np.random.default_rng(0)
    batch = Batch(model, NUM_SIMS, 1, persistent=True)
    pool = ContactForcePool(model, NUM_SIMS, num_threads, ("xpos",))
    batch.bind("qpos")[:] += rng.uniform(-0.1, 0.1, (NUM_SIMS, model.nq))
    pool.state[:] = batch.state
    batch.forward()
    pool.forward(np.arange(NUM_SIMS))
    scratch = mujoco.MjData(model)
    num_in_contact = 0
    for _ in range(60):
        controls = rng.uniform(-1, 1, (NUM_SIMS, model.nu))
        batch.bind("ctrl")[:] = pool.bind("ctrl")[:] = controls
        batch.step(nstep=5)
        pool.step(nstep=5)
        np.testing.assert_array_equal(pool.state, batch.state)
        np.testing.assert_array_equal(pool.bind("xpos"), batch.bind("xpos"))
        for index in range(NUM_SIMS):
            batch.get_data(index, scratch)
            mujoco.mj_rnePostConstraint(model, scratch)
            np.testing.assert_array_equal(pool.bind("cfrc_ext")[index], scratch.cfrc_ext)
            num_in_contact += scratch.ncon > 0
    assert num_in_contact > 100
    pool.close()


def test_forward_clears_the_forces_of_those_simulations_alone():
    model = load_model("ant.xml")
    pool = ContactForcePool(model, 3, 1, ("xpos",))
    pool.bind("qpos")[:] = model.qpos0
    pool.bind("qpos")[:, 2] = 0.2  # the torso, of radius 0.25, in the ground
    pool.step(nstep=1)
    forces = pool.bind("cfrc_ext")
    assert (np.abs(forces).max(axis=(1, 2)) > 0).all()
    pool.bind("qpos")[1, 0] = 4.0
    pool.forward(np.array([1]))
    assert (np.abs(forces).max(axis=(1, 2)) > 0).tolist() == [True, False, True]
    assert pool.bind("xpos")[1, 1, 0] == 4.0


@pytest.mark.parametrize("num_threads", [1, 2])
def test_what_mujoco_refuses_names_environment_and_step(num_threads: int, monkeypatch: pytest.MonkeyPatch):
    world = make(EnvConfig(id="Ant-v5", num_envs=2, num_threads=num_threads), seed=0)
    world.reset()
    world.step(world.action_space.sample())
    monkeypatch.setattr(mujoco, "mj_step", _refuse)
    with pytest.raises(WorldError, match=r"Ant-v5: MuJoCo stopped environment 0 at step 2: .*out of memory"):
        world.step(world.action_space.sample())
    world.close()


def _refuse(*_arguments: object) -> None:
    raise mujoco.FatalError("out of memory")

"""Simulations whose contact forces are wanted after every step, on Python threads."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from mujoco.batch import SimulationError

from heeler.envs.mujoco_model import mj

CHUNK = 16
"""Simulations that a thread takes at a time: few enough that the threads finish together."""


class ContactForcePool:
    """Many simulations of one model, with `cfrc_ext`: torque and force that contacts exert on each body.

    MuJoCo computes these forces only when `mj_rnePostConstraint` asks, from the contacts of the last stage of a step,
    and `mujoco.batch.Batch` never asks. So each thread has one `MjData` and, simulation by simulation, loads the state
    row, steps, asks, and saves the row; MuJoCo works outside Python's lock. The attributes and methods used here are
    those of `Batch`, and so is every bit of the results.

    Args:
        model: the `MjModel`.
        num_sims: how many simulations.
        num_threads: how many threads, the caller's included.
        fields: derived `MjData` fields to copy out after each call, besides `cfrc_ext`.
    """

    def __init__(self, model: Any, num_sims: int, num_threads: int, fields: tuple[str, ...]):
        self._model = model
        self._spec = int(mj.mjtState.mjSTATE_INTEGRATION)
        self.state = np.zeros((num_sims, mj.mj_stateSize(model, self._spec)))
        self._data = [mj.MjData(model) for _ in range(num_threads)]
        names = (*fields, "cfrc_ext")
        self._derived = {name: np.zeros((num_sims, *getattr(self._data[0], name).shape)) for name in names}
        self._rows = [(row, [array[index] for array in self._derived.values()]) for index, row in enumerate(self.state)]
        self._sources = [[getattr(data, name) for name in names] for data in self._data]
        self._threads = ThreadPoolExecutor(num_threads - 1) if num_threads > 1 else None

    def bind(self, name: str) -> np.ndarray:
        """A live array over all simulations: a view of the state rows, or a derived field."""
        components = {
            "qpos": mj.mjtState.mjSTATE_QPOS,
            "qvel": mj.mjtState.mjSTATE_QVEL,
            "ctrl": mj.mjtState.mjSTATE_CTRL,
        }
        if name not in components:
            return self._derived[name]
        bit = int(components[name])
        start = mj.mj_stateSize(self._model, self._spec & (bit - 1))
        return self.state[:, start : start + mj.mj_stateSize(self._model, bit)]

    def step(self, nstep: int) -> None:
        """Advance every simulation by `nstep` physics steps."""
        starts = iter(range(0, len(self._rows), CHUNK))  # shared: each thread takes the next chunk when it is free
        helpers = (
            []
            if self._threads is None
            else [self._threads.submit(self._advance, thread, starts, nstep) for thread in range(1, len(self._data))]
        )
        try:
            self._advance(0, starts, nstep)
        finally:
            wait(helpers)
        for helper in helpers:
            helper.result()

    def forward(self, ids: np.ndarray) -> None:
        """Compute the derived fields of the simulations `ids` from their states; contact forces are zero."""
        data, sources = self._data[0], self._sources[0]
        for index in ids.tolist():
            row, targets = self._rows[index]
            mj.mj_setState(self._model, data, row, self._spec)
            mj.mj_forward(self._model, data)
            mj.mj_getState(self._model, data, row, self._spec)
            for target, source in zip(targets, sources, strict=True):
                np.copyto(target, source)
        self._derived["cfrc_ext"][ids] = 0.0

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown()

    def _advance(self, thread: int, starts: Iterator[int], nstep: int) -> None:
        model, data, spec = self._model, self._data[thread], self._spec
        sources, copy = self._sources[thread], np.copyto
        load, step, ask, save = mj.mj_setState, mj.mj_step, mj.mj_rnePostConstraint, mj.mj_getState
        for start in starts:
            for offset, (row, targets) in enumerate(self._rows[start : start + CHUNK]):
                load(model, data, row, spec)
                try:
                    step(model, data, nstep)
                except mj.FatalError as error:
                    raise SimulationError(np.array([start + offset]), str(error)) from error
                ask(model, data)
                save(model, data, row, spec)
                for target, source in zip(targets, sources, strict=True):
                    copy(target, source)

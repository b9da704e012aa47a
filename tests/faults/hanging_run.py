"""A tiny run that comes to hang in C code in the midst of a rollout, and prints a line once it does.

Arguments: RUN [--at STEP] [--holding store] [--holding audit] [--workers]. It keeps Python's lock, lets no signal
through, and holds what it is told to: the store's write lock, or that of the audit log.
"""

import argparse
import ctypes
import fcntl
import itertools
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

from heeler.core.audit import AUDIT_NAME
from heeler.envs import gymnasium_adapter
from heeler.envs.classic import Pendulum
from heeler.feedback.stores import STORE_NAME
from heeler.loop.config import RunConfig
from heeler.loop.running import run
from tests.unit.loop.tiny import tiny_ppo


def config(*, workers: bool = False) -> RunConfig:
    """Six updates in eight pendulums, or in two of a process each."""
    base = tiny_ppo("Pendulum-v1", checkpoint_every=2)
    if not workers:
        return base
    return replace(base, env=replace(base.env, num_envs=2, vectorization="async"), total_steps=6 * 2 * 64)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--at", type=int, default=3 * 64 + 10)
    parser.add_argument("--holding", choices=("store", "audit"), action="append", default=[])
    parser.add_argument("--workers", action="store_true")
    options = parser.parse_args()
    numbers, held = itertools.count(), []

    def hang_if_due() -> None:
        if next(numbers) != options.at:
            return
        if "store" in options.holding:
            connection = sqlite3.connect(options.path / STORE_NAME)
            connection.execute("BEGIN IMMEDIATE")
            held.append(connection)
        if "audit" in options.holding:
            file = (options.path / AUDIT_NAME).open("ab")
            fcntl.flock(file, fcntl.LOCK_EX)
            # In the midst of a line.
            file.write(b'{"act":"command.obe')
            file.flush()
            held.append(file)
        # Handlers that wait for Python's lock, which is never let go of; and no signal breaks off the sleep itself.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        print("hangs", flush=True)
        ctypes.PyDLL(None).sleep(10**6)

    world = gymnasium_adapter.GymnasiumWorld if options.workers else Pendulum
    step = world.step

    def hanging(self: Any, *arguments: Any) -> Any:
        hang_if_due()
        return step(self, *arguments)

    world.step = hanging  # type: ignore[method-assign]
    run(config(workers=options.workers), options.path)


if __name__ == "__main__":
    main()

"""A learner that is stopped at random moments, and one that hangs in C code and is stopped by force.

Soft: a learner in a process of its own counts its world's steps in a file that both map. It is asked to stop through
the store, as `heeler stop` does; from the moment at which that is acknowledged its steps are counted until it has
ended. It is resumed and asked again.
Hard: the world's step calls C code that holds Python's lock and lets no signal through, and has a child that sleeps.
`heeler stop --hard` is a process of its own; the clock runs from its start to the learner's end.
Prints {"soft_steps", "soft_s", "hard_s", "unsound", "left_over", "stops"}: the worst of each; audit logs that are not
sound or do not tell of a stop, and processes that outlived the hard one.
"""

import argparse
import ctypes
import json
import mmap
import os
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from heeler.core.audit import AUDIT_NAME, entries, verify
from heeler.core.errors import RunStopped
from heeler.envs.classic import Pendulum
from heeler.loop.by_hand import tell
from heeler.loop.config import RunConfig
from heeler.loop.running import resume, run
from heeler.recipes import ppo

Advanced = tuple[np.ndarray, np.ndarray]
STEP_S, BEGIN_WITHIN_S, END_WITHIN_S = 0.002, 120.0, 60.0


class Counter:
    """A number that two processes see.

    Args:
        path: of the file that holds it; made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    @property
    def value(self) -> int:
        """As it is now."""
        return struct.unpack("q", self._map[:8])[0]

    def add(self) -> None:
        """One more."""
        self._map[:8] = struct.pack("q", self.value + 1)


def config(seed: int) -> RunConfig:
    """PPO in a few pendulums, longer than anybody waits."""
    base = replace(ppo(env="Pendulum-v1", num_envs=4, seed=seed), num_steps=128, total_steps=10**8)
    return replace(base, checkpoint_every=2, algorithm=replace(base.algorithm, num_epochs=2))


def learn(path: Path, seed: int, num_stops: int) -> None:
    """A learner whose every step is counted; stopped so often, and resumed."""
    counter, advance = Counter(path.with_suffix(".count")), Pendulum._advance

    def counted(self: Pendulum, actions: np.ndarray, observation: np.ndarray) -> Advanced:
        counter.add()
        time.sleep(STEP_S)
        return advance(self, actions, observation)

    Pendulum._advance = counted
    for _ in range(num_stops):
        try:
            resume(path) if path.exists() else run(config(seed), path)
        except RunStopped:
            print("stopped", flush=True)
            sys.stdin.readline()


def hang(path: Path, seed: int) -> None:
    """A learner whose world comes to hang in C code, with Python's lock and deaf to signals, and has a child."""
    advance, num_steps = Pendulum._advance, 0

    def hanging(self: Pendulum, actions: np.ndarray, observation: np.ndarray) -> Advanced:
        nonlocal num_steps
        num_steps += 1
        if num_steps == 1000:
            child = subprocess.Popen(["sleep", "1000"])
            # Other threads let it through, whose handler then waits for Python's lock.
            signal.signal(signal.SIGTERM, lambda *_: None)
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            print(child.pid, flush=True)
            ctypes.PyDLL(None).sleep(10**6)
        return advance(self, actions, observation)

    Pendulum._advance = hanging
    run(config(seed), path)


def started(what: str, path: Path, seed: int, *more: str) -> "subprocess.Popen[str]":
    """This file as a process of its own."""
    command = [sys.executable, "-m", "benchmarks.jobs.stop", "--seed", str(seed), what, str(path), *more]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def soft(folder: Path, seed: int, num_stops: int) -> dict[str, float]:
    """Steps and seconds after each stop was acknowledged; the most of each."""
    path, moments = folder / "soft", random.Random(seed)
    counter = Counter(path.with_suffix(".count"))
    learner = started("--learn", path, seed, str(num_stops))
    assert learner.stdin is not None and learner.stdout is not None
    steps: list[int] = []
    seconds: list[float] = []
    for _ in range(num_stops):
        begun, deadline_s = counter.value, time.monotonic() + BEGIN_WITHIN_S
        while counter.value < begun + 50:
            if time.monotonic() > deadline_s or learner.poll() is not None:
                raise SystemExit("the learner takes no steps")
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1))
        tell(path, "stop", None, person="benchmark")
        before, began_s = counter.value, time.monotonic()
        learner.stdout.readline()
        seconds.append(time.monotonic() - began_s)
        steps.append(counter.value - before)
        learner.stdin.write("go on\n")
        learner.stdin.flush()
    learner.wait(END_WITHIN_S)
    told = [entry.act for entry in entries(path / AUDIT_NAME, after=0, limit=10_000)]
    is_sound = verify(path / AUDIT_NAME).is_sound and told.count("run.stop") == num_stops
    return {"soft_steps": max(steps), "soft_s": max(seconds), "unsound": float(not is_sound)}


def hard(folder: Path, seed: int, place: int) -> dict[str, float]:
    """Seconds from the start of `heeler stop --hard` to the learner's end; and what outlived it."""
    path = folder / f"hard-{place}"
    learner = started("--hang", path, seed)
    assert learner.stdout is not None
    child = int(learner.stdout.readline())
    time.sleep(0.2)
    learner.send_signal(signal.SIGTERM)
    end, of_child = os.pidfd_open(learner.pid), os.pidfd_open(child)
    began_s = time.monotonic()
    stopper = subprocess.Popen([sys.executable, "-m", "heeler", "stop", str(path), "--hard"], stdout=subprocess.DEVNULL)
    has_ended = bool(select.select([end], [], [], END_WITHIN_S)[0])
    took_s = time.monotonic() - began_s if has_ended else float("inf")
    is_obeyed = stopper.wait(END_WITHIN_S) == 0
    left_over = 0 if select.select([of_child], [], [], 0)[0] else 1
    learner.kill()
    learner.wait()
    last = entries(path / AUDIT_NAME, after=0, limit=10_000)[-1]
    is_told = is_obeyed and last.act == "run.hard_stop" and verify(path / AUDIT_NAME).is_sound
    return {"hard_s": took_s, "left_over": left_over, "unsound": float(not is_told)}


def main() -> None:
    """Measure, or be what is measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--soft", type=int, default=10)
    parser.add_argument("--hard", type=int, default=3)
    parser.add_argument("--learn", nargs=2)
    parser.add_argument("--hang", type=Path)
    options = parser.parse_args()
    if options.learn:
        return learn(Path(options.learn[0]), options.seed, int(options.learn[1]))
    if options.hang:
        return hang(options.hang, options.seed)
    with tempfile.TemporaryDirectory() as name:
        figures = soft(Path(name), options.seed, options.soft)
        rows = [hard(Path(name), options.seed, place) for place in range(options.hard)]
    unsound = figures["unsound"] + sum(row["unsound"] for row in rows)
    worst = {"hard_s": max(row["hard_s"] for row in rows), "left_over": sum(row["left_over"] for row in rows)}
    print(json.dumps(figures | worst | {"unsound": unsound, "stops": options.soft + options.hard}))
    return None


if __name__ == "__main__":
    main()

"""A tiny run that can kill itself at its n-th write to the disk.

Arguments: RUN [--kind KIND] [--store URL] [--resume] [--kill-at-write N]; or FOLDER [--kind KIND] --kill-at-each N N
..., which makes the run FOLDER/run-N for each of them.
"""

import argparse
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from heeler.core import rundir
from heeler.loop.config import RunConfig
from heeler.loop.running import resume, run
from heeler.recipes import backflip
from tests.unit.loop.tiny import tiny_imitation, tiny_ppo, tiny_preferences

KINDS = ("backflip", "discrete", "foreign", "gail", "sqil")


def config(kind: str = "backflip") -> RunConfig:
    """Learned rewards in a world of heeler's own; true rewards and discrete actions; a world that cannot be saved; a
    reward, and another learner, made from demonstrations.

    Each removes a checkpoint, as it keeps two of more.
    """
    if kind == "discrete":
        return tiny_ppo("CartPole-v1", checkpoint_every=2, keep_checkpoints=2)
    if kind == "foreign":
        foreign = tiny_preferences("Pendulum-v1", checkpoint_every=3, keep_checkpoints=2)
        return replace(foreign, env=replace(foreign.env, num_envs=4, vectorization="sync"), total_steps=12 * 4 * 64)
    if kind in ("gail", "sqil"):
        return tiny_imitation(kind, checkpoint_every=2, keep_checkpoints=2)
    full = backflip(budget=24, teacher="slow")
    assert full.preferences is not None
    teacher = replace(full.preferences.teacher, delay_steps=600)
    return replace(
        full,
        total_steps=6 * 16 * 30,
        env=replace(full.env, num_envs=16, num_threads=1),
        num_steps=30,
        checkpoint_every=2,
        keep_checkpoints=2,
        num_evaluation_episodes=1,
        algorithm=replace(full.algorithm, num_epochs=2, minibatch_size=240),
        preferences=replace(
            full.preferences,
            teacher=teacher,
            num_warmup_rollouts=2,
            refit_every=4,
            model=replace(full.preferences.model, max_epochs=3),
        ),
    )


class Writes:
    """Counts calls that change the disk, and kills the process before the n-th."""

    def __init__(self, kill_at: int | None) -> None:
        self.count, self.kill_at = 0, kill_at

    def watch(self, module: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(module, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.mark()
            return original(*args, **kwargs)

        setattr(module, name, watched)

    def mark(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def learn(path: Path, kind: str, kill_at: int | None, *, resumed: bool, store: str = "") -> int:
    """Make the run or go on with it; returns how often it wrote. A tree is removed file by file: each counts."""
    writes = Writes(kill_at)
    for name in ("fsync", "replace", "truncate", "unlink", "rmdir"):
        writes.watch(os, name)
    writes.watch(rundir.RunDirectory, "append_metrics")
    event.listen(Engine, "commit", writes.mark)
    if resumed and (path / "config.yaml").exists():
        resume(path)
    else:
        run(replace(config(kind), store=store), path)
    return writes.count


def killed_at(path: Path, kind: str, at: int) -> None:
    """A run that ends at one write, in a process of its own: a fork, as to load torch takes longer than to learn."""
    child = os.fork()
    if child == 0:
        learn(path, kind, at, resumed=False)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="backflip")
    parser.add_argument("--store", default="")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--kill-at-write", type=int)
    parser.add_argument("--kill-at-each", type=int, nargs="+")
    arguments = parser.parse_args()
    if arguments.kill_at_each:
        for at in arguments.kill_at_each:
            killed_at(arguments.path / f"run-{at}", arguments.kind, at)
        return
    settings = {"resumed": arguments.resume, "store": arguments.store}
    num_writes = learn(arguments.path, arguments.kind, arguments.kill_at_write, **settings)
    (arguments.path.parent / "writes").write_text(str(num_writes))


if __name__ == "__main__":
    main()

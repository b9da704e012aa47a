"""A tiny run that can kill itself at its n-th write to the disk. Arguments: RUN [--resume] [--kill-at-write N]."""

import argparse
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from heeler.core import rundir
from heeler.loop.online import resume, run
from heeler.recipes import backflip


def config():
    full = backflip(budget=24, teacher="slow")
    assert full.preferences is not None
    teacher = replace(full.preferences.teacher, delay_steps=600)
    return replace(
        full,
        total_steps=6 * 16 * 30,
        env=replace(full.env, num_envs=16, num_threads=1),
        num_steps=30,
        checkpoint_every=2,
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
            self.count += 1
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(module, name, watched)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--kill-at-write", type=int)
    arguments = parser.parse_args()
    writes = Writes(arguments.kill_at_write)
    for name in ("fsync", "replace", "truncate"):
        writes.watch(os, name)
    writes.watch(rundir.RunDirectory, "append_metrics")
    if arguments.resume and (arguments.path / "config.yaml").exists():
        resume(arguments.path)
    else:
        run(config(), arguments.path)
    (arguments.path.parent / "writes").write_text(str(writes.count))


if __name__ == "__main__":
    main()

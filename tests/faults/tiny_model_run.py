"""A tiny run of a reward model, or one that learns from stored texts, that kills itself at each of some writes.

Arguments: FOLDER KIND [N ...]; makes FOLDER/whole where no N is given, and says how often it wrote; else FOLDER/run-N.
"""

import os
import signal
import sys
from pathlib import Path

from heeler.core import rundir
from heeler.loop.offline.running import resume_offline, run_offline
from heeler.loop.reward_running import resume_reward_model, run_reward_model
from tests.faults import tiny_offline_run, tiny_reward_run
from tests.faults.tiny_run import Writes

KINDS = (*tiny_reward_run.KINDS, *tiny_offline_run.KINDS)


def go_on(path: Path, kind: str) -> None:
    """Make the run, or go on with what a kill left of it."""
    learns_reward, has_begun = kind in tiny_reward_run.KINDS, (path / "config.yaml").exists()
    if has_begun:
        resume_reward_model(path) if learns_reward else resume_offline(path)
    elif learns_reward:
        run_reward_model(tiny_reward_run.config(kind, path.parent / "pairs.jsonl"), path)
    else:
        run_offline(tiny_offline_run.config(kind, path.parent), path)


def learn(path: Path, kind: str, kill_at: int | None) -> int:
    """Make the run; returns how often it wrote."""
    writes = Writes(kill_at)
    for name in ("fsync", "replace", "truncate", "unlink", "rmdir"):
        writes.watch(os, name)
    writes.watch(rundir.RunDirectory, "append_metrics")
    go_on(path, kind)
    return writes.count


def main() -> None:
    folder, kind, *places = Path(sys.argv[1]), *sys.argv[2:]
    if not places:
        tiny_reward_run.data_in(folder)
        if kind in tiny_offline_run.KINDS:
            tiny_offline_run.material_in(folder, kind)
        print(learn(folder / "whole", kind, None))
        return
    for at in map(int, places):
        child = os.fork()
        if child == 0:
            learn(folder / f"run-{at}", kind, at)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, at


if __name__ == "__main__":
    main()

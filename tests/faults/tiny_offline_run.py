"""A tiny run that learns from stored texts and kills itself at each of some writes to the disk.

Arguments: FOLDER KIND [N ...]; makes FOLDER/whole where no N is given, and says how often it wrote; else FOLDER/run-N.
"""

import dataclasses
import os
import signal
import sys
from pathlib import Path

from heeler.core import rundir
from heeler.loop.offline.config import OfflineRunConfig
from heeler.loop.offline.running import run_offline
from heeler.models.language.adapters import Lora
from tests.faults.tiny_run import Writes
from tests.tiny_models import tiny_llama
from tests.unit.loop.offline.tiny import file_of, rows_for, tiny_offline_run

KINDS = ("sft", "dpo-lora")


def config(kind: str, folder: Path) -> OfflineRunConfig:
    """All weights, or an adapter."""
    plain = tiny_offline_run(
        kind.partition("-")[0], folder / "model", folder / "texts.jsonl", checkpoint_every=1, keep_checkpoints=2
    )
    lora = Lora(rank=2) if kind.endswith("lora") else None
    return dataclasses.replace(plain, model=dataclasses.replace(plain.model, lora=lora))


def learn(path: Path, kind: str, kill_at: int | None) -> int:
    """Make the run or go on with it; returns how often it wrote."""
    writes = Writes(kill_at)
    for name in ("fsync", "replace", "truncate", "unlink", "rmdir"):
        writes.watch(os, name)
    writes.watch(rundir.RunDirectory, "append_metrics")
    run_offline(config(kind, path.parent), path)
    return writes.count


def main() -> None:
    folder, kind, *places = sys.argv[1:]
    if not places:
        file_of(Path(folder), rows_for(kind.partition("-")[0]))
        tiny_llama().save(Path(folder) / "model")
        print(learn(Path(folder) / "whole", kind, None))
        return
    for at in map(int, places):
        child = os.fork()
        if child == 0:
            learn(Path(folder) / f"run-{at}", kind, at)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, at


if __name__ == "__main__":
    main()

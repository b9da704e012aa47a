"""What all commands tell alike where a run ended before it was over, and of what it could not go on from."""

import sys
from collections.abc import Iterable
from pathlib import Path

from heeler.cli.arguments import INTERRUPTED, resume_command
from heeler.core.errors import RunStopped


def tell_interrupted(path: Path, where: str) -> int:
    """Ctrl-C has ended a run.

    Args:
        path: of the run; how to go on with it is told where it has begun.
        where: such as `update 3`.

    Returns:
        What to exit with.
    """
    again = f"; go on with it by: {resume_command(path)}" if (path / "config.yaml").exists() else ""
    print(f"\nheeler: stopped at {where}{again}", file=sys.stderr)
    return INTERRUPTED


def tell_stopped(path: Path, stopped: RunStopped) -> int:
    """An operator has ended a run; returns what to exit with."""
    print(f"\nheeler: {stopped}; go on with it by: {resume_command(path)}", file=sys.stderr)
    return INTERRUPTED


def tell_refused(checkpoints: Iterable[str]) -> None:
    """Checkpoints that a run could not go on from, each with the reason."""
    for refused in checkpoints:
        print(f"heeler: {refused}; went on from the one before", file=sys.stderr)

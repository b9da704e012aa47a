"""What a run takes of the machine it runs on, and whether what it wrote is still as it was."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from heeler.core.errors import CheckpointError
from heeler.core.rundir import RunDirectory

_MB, _EVERY = 1 << 20, 4
_STATM, _MEMINFO = Path("/proc/self/statm"), Path("/proc/meminfo")


def machine(path: Path) -> dict[str, float]:
    """Free disk under `path`, memory of this process and free memory, each where it can be known."""
    found: dict[str, float] = {}
    with suppress(OSError):
        found["free_disk_mb"] = shutil.disk_usage(path).free / _MB
    try:
        found["memory_mb"] = int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MB
        found["free_memory_mb"] = _available_kb(_MEMINFO.read_bytes()) / 1024
    except (OSError, ValueError, IndexError):
        found |= _by_psutil()
    return found


def _available_kb(meminfo: bytes) -> int:
    start = meminfo.index(b"MemAvailable:")
    return int(meminfo[start : start + 60].split()[1])


def _by_psutil() -> dict[str, float]:
    """The same where there is no /proc; nothing where the package is not installed."""
    try:
        import psutil
    except ImportError:
        return {}
    free, taken = psutil.virtual_memory().available, psutil.Process().memory_info().rss
    return {"memory_mb": taken / _MB, "free_memory_mb": free / _MB}


class WrittenCheckpoints:
    """Notices checkpoints that were touched since they were written, or first seen; only those are read.

    Args:
        directory: of the run.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._num_looks = -1
        self._seen: dict[int, list[tuple[str, int, int, int]]] = {}

    def damaged(self) -> list[str]:
        """Which of those that were touched are not sound any more, and how; looked for at every fourth time alone."""
        self._num_looks += 1
        if self._num_looks % _EVERY:
            return []
        problems: list[str] = []
        steps = self._directory.checkpoint_steps()
        for step in steps:
            now = self._files(step)
            before = self._seen.get(step, now)
            self._seen[step] = now
            if before == now:
                continue
            try:
                self._directory.load_checkpoint(step)
            except CheckpointError as error:
                problems.append(str(error))
        self._seen = {step: files for step, files in self._seen.items() if step in steps}
        return problems

    def written(self, step: int) -> None:
        """This checkpoint was written just now, maybe in the place of one of the same step: so it is to stay."""
        self._seen[step] = self._files(step)

    def _files(self, step: int) -> list[tuple[str, int, int, int]]:
        found: list[tuple[str, int, int, int]] = []
        with suppress(OSError), os.scandir(self._directory.path / "checkpoints" / f"step-{step}") as entries:
            for entry in entries:
                facts = entry.stat()
                found.append((entry.name, facts.st_ino, facts.st_size, facts.st_mtime_ns))
        return sorted(found)

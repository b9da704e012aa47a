"""Disk and memory last until the end."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen

_FIRST, _WINDOW, _SHARE_LEFT = 8, 16, 0.05


class Resources(Monitor):
    """Finds too little free disk, a process that has grown too large, and one that will be before the run ends.

    Limits, not estimates: nothing is told of while they are kept, so that there is no false alarm but by a limit that
    is wrong. What will be is told only where memory grew at each of sixteen updates, which by chance alone happens
    once in 2¹⁶ looks, and where at that pace it is all taken before the run ends.
    """

    name = "resources"
    about = "free disk, memory of the process, free memory"
    kept = ("first_mb", "newest_mb", "num_seen")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.first_mb = 0.0
        self.newest_mb: list[float] = []
        self.num_seen = 0

    def look(self, seen: Seen) -> Finding | None:
        """Compare with the limits."""
        self.num_seen += 1
        disk_mb = seen.machine.get("free_disk_mb")
        if disk_mb is not None and disk_mb < self.config.least_free_disk_mb:
            return self.found(
                seen,
                f"{disk_mb:,.0f} MB are free on the disk of this run; at least {self.config.least_free_disk_mb:,.0f} "
                "are wanted",
                free_disk_mb=disk_mb,
            )
        memory_mb = seen.machine.get("memory_mb")
        return None if memory_mb is None else self._memory(seen, memory_mb)

    def _memory(self, seen: Seen, memory_mb: float) -> Finding | None:
        if self.num_seen <= _FIRST:
            self.first_mb = max(self.first_mb, memory_mb)
            return None
        self.newest_mb = [*self.newest_mb, memory_mb][-_WINDOW - 1 :]
        grown_mb = memory_mb - self.first_mb
        if grown_mb > self.config.memory_growth_mb:
            return self.found(
                seen,
                f"The process has grown by {grown_mb:,.0f} MB since its first updates, to {memory_mb:,.0f} MB",
                memory_mb=memory_mb,
                grown_mb=grown_mb,
            )
        free_mb = seen.machine.get("free_memory_mb")
        each_mb = self._each_update_mb()
        left = self.setup.num_updates - seen.update
        if free_mb is None or each_mb is None or each_mb * left < (1 - _SHARE_LEFT) * free_mb:
            return None
        return self.found(
            seen,
            f"The process grows by {each_mb:,.1f} MB an update: {free_mb:,.0f} MB are free, {left:,} updates to come",
            memory_mb=memory_mb,
            each_update_mb=each_mb,
        )

    def _each_update_mb(self) -> float | None:
        """What it grew by at each of the last updates; None where at one of them it did not."""
        if len(self.newest_mb) <= _WINDOW or any(
            later <= earlier for earlier, later in zip(self.newest_mb, self.newest_mb[1:], strict=False)
        ):
            return None
        return (self.newest_mb[-1] - self.newest_mb[0]) / _WINDOW

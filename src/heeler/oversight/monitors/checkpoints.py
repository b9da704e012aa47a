"""Checkpoints on the disk are as they were written."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen


class Checkpoints(Monitor):
    """Tells of checkpoints that were damaged or altered since they were written: each once.

    By their SHA-256, so that there is no false alarm.
    """

    name = "checkpoints"
    about = "checkpoints on the disk whose SHA-256 does not match any more"
    kept = ("told",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.told: list[str] = []

    def look(self, seen: Seen) -> Finding | None:
        """Tell of what was not told yet."""
        new = [words for words in seen.damaged if words not in self.told]
        if not new:
            return None
        self.told = [*self.told, *new]
        return self.found(seen, "; ".join(new), damaged=new)

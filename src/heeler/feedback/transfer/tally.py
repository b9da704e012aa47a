"""What became of the answers on their way out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class Tally:
    """Counts while a file is written."""

    num_answers: int = 0
    num_open: int = 0
    """Questions that nobody has answered."""
    left_out: dict[str, int] = field(default_factory=dict[str, int])
    """How many of what a format has no place for, in words in the plural."""

    def leave_out(self, what: str) -> None:
        """Count one thing that the file cannot hold."""
        self.left_out[what] = self.left_out.get(what, 0) + 1

    def to_dict(self) -> Mapping[str, Any]:
        """For scripts."""
        return {"num_answers": self.num_answers, "left_out": dict(self.left_out)}

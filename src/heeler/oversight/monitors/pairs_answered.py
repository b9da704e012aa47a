"""What each person said of each pair of segments, as far back as is kept."""

from heeler.oversight.monitors.kept import Kept
from heeler.oversight.monitors.seen import Answer

_MAX_PAIRS = 4000


class PairsAnswered(Kept):
    """Remembers the newest answers."""

    kept = ("said",)

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        """Segment that was named, or `equal`, by person and pair; the oldest first."""

    def add(self, answer: Answer) -> str | None:
        """Take in an answer; what the same person said of the same pair before."""
        first, second = sorted((answer.left, answer.right))
        key = f"{answer.annotator}|{first}|{second}"
        before = self.said.pop(key, None)
        self.said[key] = named(answer)
        if len(self.said) > _MAX_PAIRS:
            del self.said[next(iter(self.said))]
        return before


def named(answer: Answer) -> str:
    """The segment that an answer prefers, or its choice where it prefers none."""
    return {"left": answer.left, "right": answer.right}.get(answer.choice, answer.choice)

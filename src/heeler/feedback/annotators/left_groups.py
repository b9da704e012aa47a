"""What a learner leaves of groups beside its run, for reports: no names, only positions of answers in the store."""

from dataclasses import dataclass
from pathlib import Path

from heeler.feedback.annotators.answers import Floats, Ints
from heeler.feedback.annotators.left_arrays import leave_arrays, left_arrays

FILE_NAME = "groups.npz"


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftGroups:
    """Groups as the last fit has them. Shapes: Q answers that it learned from, G groups."""

    position_Q: Ints
    """In the store."""
    member_QG: Floats
    """Probability of whoever answered being in each group."""
    margin_QG: Floats
    """Log-odds of left by every group's reward, by what did not learn from the answer."""
    is_unseen_Q: Ints
    """1 where of every group something did not."""


def leave_groups(folder: Path, left: LeftGroups | None) -> None:
    """Write them into a run's folder; None where there are none, which takes away what is there."""
    path = folder / FILE_NAME
    if left is None:
        path.unlink(missing_ok=True)
        return
    leave_arrays(path, left)


def left_groups(folder: Path) -> LeftGroups | None:
    """What `leave_groups` wrote; None where nothing was.

    Raises:
        DataError: the file is damaged.
    """
    return left_arrays(folder / FILE_NAME, LeftGroups)

"""Learning that has diverged: a run stops as soon as a number is no longer finite, and says how to mend it."""

from collections.abc import Sequence

from heeler.core.errors import LearningError
from heeler.core.rundir import RunDirectory


def refuse_broken(directory: RunDirectory, update: int, broken: Sequence[str], mend: str) -> None:
    """Stop an update in which something broke.

    Args:
        directory: of the run.
        update: its number, from 1.
        broken: what is no longer a finite number.
        mend: what to do about it.

    Raises:
        LearningError: anything is.
    """
    if broken:
        steps = directory.checkpoint_steps()
        kept = f"the checkpoint of step {steps[-1]:,} is kept" if steps else "there is no checkpoint yet"
        raise LearningError(
            f"learning diverged in update {update}: {', '.join(broken)} is no longer a finite number; {kept}. {mend}"
        )

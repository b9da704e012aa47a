"""A word to a learner that there is a command for it, cheap enough to be looked for at every step in the world."""

import os
from contextlib import suppress
from pathlib import Path

CALL_NAME = ".called"


def call(run: Path) -> None:
    """Have the learner of a run break off what it collects, and look for commands.

    To be called once the command is kept. Where nothing can be written the command is obeyed after the update.
    """
    with suppress(OSError):
        (run / CALL_NAME).touch()


class Attention:
    """The learner's side of it.

    Args:
        run: its directory.
    """

    def __init__(self, run: Path) -> None:
        self._path = os.fspath(run / CALL_NAME)

    def is_called(self) -> bool:
        """Whether somebody calls: one look at a name, a few microseconds."""
        return os.path.exists(self._path)

    def come(self) -> None:
        """Be called no more; whoever calls from now on has another command, to be looked for after this."""
        if self.is_called():
            with suppress(OSError):
                os.unlink(self._path)

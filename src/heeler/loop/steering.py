"""What operators tell a run while it learns: pause, resume, stop, roll back, another budget. Obeyed between updates."""

import time
from collections.abc import Callable
from typing import Protocol

from heeler.core.errors import CheckpointError, ConfigError, RunStopped
from heeler.core.nouns import Command
from heeler.feedback.store import Store
from heeler.loop.acts import Acts

PAUSED = "paused"
"""Setting of the store that says who paused the run; None while it is not paused. It outlives the learner."""

_POLL_S = 0.2


class Steered(Protocol):
    """A run that obeys."""

    step: int

    def save(self) -> object:
        """Write a checkpoint now."""
        ...

    def roll_back(self, step: int) -> None:
        """Forget what was learned after the checkpoint of `step`."""
        ...

    def set_budget(self, budget: int) -> int:
        """Ask for so many comparisons in all from now on; returns how many it were."""
        ...


class Steering:
    """Reads the commands of a run's store and has the run obey them.

    Args:
        run: obeys.
        store: holds the commands.
        acts: takes a line for each of them.
    """

    def __init__(self, run: Steered, store: Store, acts: Acts) -> None:
        self.run, self.store, self.acts = run, store, acts
        self._obey: dict[str, Callable[[Command], str]] = {
            "stop": self._stop,
            "pause": self._pause,
            "resume": self._resume,
            "roll_back": self._roll_back,
            "set_budget": self._set_budget,
        }

    def obey(self, *, while_paused: Callable[[], None] = lambda: None) -> None:
        """Obey what was asked since the last update; comes back when the run is to go on.

        A command is acknowledged once it is obeyed, so that one cut short by a crash is obeyed again; each may be.

        Args:
            while_paused: called now and then for as long as the run is paused.

        Raises:
            RunStopped: an operator stopped the run; its checkpoint is written.
        """
        while True:
            for command in self.store.open_commands():
                self._do(command)
            if self.store.setting(PAUSED, None) is None:
                return
            while_paused()
            time.sleep(_POLL_S)

    def _do(self, command: Command) -> None:
        obeyed = True
        try:
            outcome = self._obey[command.kind](command)
        except (CheckpointError, ConfigError) as error:
            outcome, obeyed = f"refused: {error}", False
        self.acts.note_command(command, outcome, obeyed=obeyed)
        self.store.finish_command(command.id, outcome)
        if command.kind == "stop":
            raise RunStopped(f"{command.person} stopped the run at step {self.run.step:,}; its checkpoint is kept")

    def _stop(self, command: Command) -> str:
        self.run.save()
        return f"stopped at step {self.run.step:,}"

    def _pause(self, command: Command) -> str:
        self.store.set_setting(PAUSED, command.person)
        return f"paused at step {self.run.step:,}"

    def _resume(self, command: Command) -> str:
        self.store.set_setting(PAUSED, None)
        return f"went on from step {self.run.step:,}"

    def _roll_back(self, command: Command) -> str:
        assert command.value is not None
        was = self.run.step
        self.run.roll_back(command.value)
        return f"rolled back from step {was:,} to step {self.run.step:,}"

    def _set_budget(self, command: Command) -> str:
        assert command.value is not None
        was = self.run.set_budget(command.value)
        return f"the budget is {command.value:,} comparisons; it was {was:,}"

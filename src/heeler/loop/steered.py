"""What a run must be able to do so that people and rules can steer it."""

from typing import Protocol

from heeler.core.rundir import RunDirectory
from heeler.loop.holding import By, Holding, Level


class Steered(Protocol):
    """A run that obeys."""

    @property
    def step(self) -> int:
        """How far it is."""
        ...

    @property
    def directory(self) -> RunDirectory:
        """Where it lies."""
        ...

    @property
    def holding(self) -> Holding:
        """How it is held."""
        ...

    def save(self) -> object:
        """Write a checkpoint now."""
        ...

    def roll_back(self, step: int) -> None:
        """Forget what was learned after the checkpoint of `step`."""
        ...

    def set_budget(self, budget: int) -> int:
        """Ask for so many comparisons in all from now on; returns how many it were."""
        ...

    def hold(self, level: Level, *, by: By, reason: str) -> str:
        """Be slowed, frozen, or act by what is trusted; saved before it returns. Says in words what came of it."""
        ...

    def thaw(self) -> str:
        """Learn freely again; says in words what came of it."""
        ...

    def come_to_rest(self) -> str:
        """Bring what it acts in to rest, write a checkpoint, and say in words how it went."""
        ...

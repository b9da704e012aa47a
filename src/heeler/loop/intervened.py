"""A run in a world, as people and rules lay hands on it."""

from contextlib import suppress
from typing import TYPE_CHECKING

from heeler.core.errors import CheckpointError, ConfigError
from heeler.core.rundir import RunDirectory
from heeler.loop.holding import By, Held, Holding, Level
from heeler.loop.resting import bring_to_rest
from heeler.loop.trusted import Trusted, trusted_of
from heeler.models.policy import Policy

if TYPE_CHECKING:
    from heeler.loop.online import OnlineRun


def find_trusted(run: "OnlineRun") -> Trusted | None:
    """What acts in the place of a run's policy by what it was saved with; None where the policy itself does."""
    held = run.holding.held
    if held is None or held.trusted is None:
        return None
    return trusted_of(held.trusted, run.directory, run.config, run.learner.policy)[0]


class Intervened:
    """What `Steering` has the run do.

    Args:
        run: to be steered.
    """

    def __init__(self, run: "OnlineRun") -> None:
        self._run = run

    @property
    def step(self) -> int:
        """How far it is."""
        return self._run.step

    @property
    def directory(self) -> RunDirectory:
        """Where it lies."""
        return self._run.directory

    @property
    def holding(self) -> Holding:
        """How it is held."""
        return self._run.holding

    def save(self) -> object:
        """Write a checkpoint now."""
        return self._run.save()

    def roll_back(self, step: int) -> None:
        """Forget what was learned after the checkpoint of `step`."""
        self._run.roll_back(step)

    def set_budget(self, budget: int) -> int:
        """Ask for so many comparisons, or seconds of people's time, in all from now on; returns how many it were.

        Raises:
            ConfigError: this run asks nothing.
        """
        people = self._run.people
        if people is None:
            raise ConfigError("this run learns from its world's own reward and asks nothing")
        was = people.schedule.budget
        people.set_budget(budget)
        return was

    def hold(self, level: Level, *, by: By, reason: str) -> str:
        """Be slowed, frozen, or act by what is trusted; saved before it returns. Says in words what came of it.

        Raises:
            ConfigError: there is nothing trusted to fall back to.
            CheckpointError: what is trusted is damaged.
        """
        run, trusted, found = self._run, self._run.trusted, None
        if level == "fall_back" and trusted is None:
            name = run.holding.config.trusted
            trusted, found = trusted_of(name, run.directory, run.config, run.learner.policy)
        said = run.holding.hold(Held(level=level, by=by, reason=reason, since_step=run.step, trusted=found))
        run.trusted = trusted
        run.save()
        return said

    def thaw(self) -> str:
        """Learn freely again, by the policy as it is; says in words what came of it."""
        said = self._run.holding.thaw()
        self._run.trusted = None
        self._run.save()
        return said

    def come_to_rest(self) -> str:
        """Act until every episode has ended, write a checkpoint, and say in words how it went.

        What is trusted acts, where there is such a thing. What is done meanwhile is no part of the run: whoever goes
        on begins after the last whole update.
        """
        run = self._run
        policy: Policy = run.trusted or run.learner.policy
        if run.trusted is None:
            # Without a release to trust, the policy itself has to do.
            with suppress(ConfigError, CheckpointError):
                policy, _ = trusted_of(run.holding.config.trusted, run.directory, run.config, run.learner.policy)
        run.remember()
        rest = bring_to_rest(run.collector, policy, max_steps=run.holding.config.rest_within_steps)
        run.save_last_whole_update()
        return rest.in_words

"""What operators tell a run while it learns: pause, slow, freeze, fall back, roll back, stop, and so on.

It is obeyed between updates; what is urgent breaks off what is being collected, and is obeyed at the next step. What
the rules of intervention have decided is done in the same place.
"""

import time
from collections.abc import Callable
from dataclasses import asdict

from heeler.core.attention import Attention
from heeler.core.errors import CheckpointError, ConfigError, RunStopped
from heeler.core.nouns import Command
from heeler.feedback.store import Store
from heeler.feedback.told import HELD, PAUSED, WARNED
from heeler.loop.acts import Acts
from heeler.loop.holding import Level
from heeler.loop.intervening import Intervening
from heeler.loop.steered import Steered

_POLL_S = 0.2
_ENDS = ("stop", "safe_stop", "hard_stop")
_HOLD = ("slow", "freeze", "fall_back", "thaw", "roll_back")


class Steering:
    """Reads the commands of a run's store and has the run obey them.

    Args:
        run: obeys.
        store: holds the commands.
        acts: takes a line for each of them.
    """

    def __init__(self, run: Steered, store: Store, acts: Acts) -> None:
        self.run, self.store, self.acts = run, store, acts
        self._attention, self._intervening = Attention(run.directory.path), Intervening(run, acts)
        self._has_obeyed = False
        self._obey: dict[str, Callable[[Command], str]] = {
            "stop": self._stop,
            "safe_stop": lambda command: f"{self.run.come_to_rest()}; stopped at step {self.run.step:,}",
            "hard_stop": lambda command: f"stopped at once at step {self.run.step:,}",
            "slow": lambda command: self._hold(command, "slow"),
            "freeze": lambda command: self._hold(command, "freeze"),
            "fall_back": lambda command: self._hold(command, "fall_back"),
            "thaw": lambda command: self.run.thaw(),
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
            RunStopped: an operator stopped the run, and its checkpoint is written; or a rule did.
        """
        if not self._has_obeyed:
            self._has_obeyed = True
            self._obey_to_the_last_thaw()
        act = self._intervening.intervene()
        if act is not None:
            self._tell_held(True)
            if act.kind == "warn":
                self.store.set_setting(WARNED, {"step": self.run.step, "reason": act.reason})
        while True:
            # Before the look: whoever calls after it has a command that this look may not show.
            self._attention.come()
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
        self._tell_held(command.kind in _HOLD)
        if command.kind in _ENDS:
            raise RunStopped(f"{command.person} stopped the run at step {self.run.step:,}; its checkpoint is kept")

    def _obey_to_the_last_thaw(self) -> None:
        """Whoever has had a run thawed that a rule stopped has looked: what the rule decided then is done no more."""
        self._attention.come()
        waiting = self.store.open_commands()
        places = [place for place, command in enumerate(waiting) if command.kind == "thaw"]
        for command in waiting[: places[-1] + 1] if places else ():
            self._do(command)

    def begin(self) -> None:
        """Tell others how the run is held, which they may have been told otherwise before it was killed."""
        self._tell_held(True)

    def _tell_held(self, may_differ: bool) -> None:
        if not may_differ:
            return
        held = self.run.holding.held
        told = None if held is None else asdict(held)
        if self.store.setting(HELD, None) != told:
            self.store.set_setting(HELD, told)

    def _hold(self, command: Command, level: Level) -> str:
        return self.run.hold(level, by="a person", reason="asked for")

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

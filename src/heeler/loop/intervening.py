"""Carrying out what the rules of intervention have decided, with a line of the audit log before each act."""

from collections.abc import Callable
from typing import Any

from heeler.core.errors import CheckpointError, ConfigError, RunStopped
from heeler.loop.acts import Acts
from heeler.loop.holding import LEVELS, step_before
from heeler.loop.steered import Steered
from heeler.oversight.interventions import Act, ActKind


class Intervening:
    """Does what `Holding.decide` has left pending.

    Args:
        run: it is done to.
        acts: takes the lines.
    """

    def __init__(self, run: Steered, acts: Acts) -> None:
        self.run, self.acts = run, acts
        self._do: dict[ActKind, Callable[[Act], object]] = {
            "warn": lambda act: None,
            **dict.fromkeys(LEVELS, self._hold),
            "roll_back": self._roll_back,
            "safe_stop": self._safe_stop,
            "hard_stop": self._hard_stop,
        }

    def intervene(self) -> Act | None:
        """Carry out what is pending; returns it.

        The line in the audit log comes first: an act that a crash cut short is decided, told and done again.

        Raises:
            RunStopped: a rule stopped the run.
        """
        act = self.run.holding.take_pending()
        if act is None:
            return None
        self._note(f"intervention.{act.kind}", monitor=act.monitor, reason=act.reason, evidence=list(act.evidence))
        self._do[act.kind](act)
        return act

    def _hold(self, act: Act) -> None:
        assert act.kind in LEVELS
        try:
            self.run.hold(act.kind, by="a rule", reason=act.reason)
        except (CheckpointError, ConfigError) as error:
            self._freeze_instead(act, str(error))

    def _roll_back(self, act: Act) -> None:
        was, holding = self.run.step, self.run.holding
        steps = self.run.directory.checkpoint_steps()
        while (step := step_before(steps, act.step)) is not None:
            if step in holding.rolled_back_to:
                # The same stretch would lead to the same finding, for ever.
                return self._freeze_instead(
                    act, f"it was rolled back to step {step:,} before, and found the same again"
                )
            before, holding.rolled_back_to = holding.rolled_back_to, (*holding.rolled_back_to, step)
            try:
                self.run.roll_back(step)
            except CheckpointError:
                # The one before a damaged one will do.
                holding.rolled_back_to = before
                steps = [one for one in steps if one != step]
                continue
            return self._note("intervention.rolled_back", from_step=was)
        self._freeze_instead(act, f"there is no sound checkpoint from before step {act.step:,}")

    def _freeze_instead(self, act: Act, problem: str) -> None:
        """What was decided cannot be done; that must not mean that nothing is."""
        self._note("intervention.freeze", instead_of=act.kind, problem=problem[:1000])
        self.run.hold("freeze", by="a rule", reason=act.reason)

    def _safe_stop(self, act: Act) -> None:
        said = self.run.come_to_rest()
        self._note("intervention.at_rest", outcome=said)
        raise RunStopped(f"a rule stopped the run at step {self.run.step:,} ({act.reason}): {said}")

    def _hard_stop(self, act: Act) -> None:
        raise RunStopped(f"a rule stopped the run at step {self.run.step:,}, at once ({act.reason})")

    def _note(self, act: str, **details: Any) -> None:
        self.acts.note(act, step=self.run.step, **details)

"""Which checkpoints hold a model of reward or cost that learned from answers that were withdrawn since.

Nothing marks them: a checkpoint says from which answers its reward model learned, and the store which were withdrawn,
so that the two agree whatever was killed between them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store

_STATE = "state.json"


@dataclass(frozen=True, kw_only=True)
class Staleness:
    """What withdrawn answers mean for a run."""

    stale: Mapping[int, int]
    """Withdrawn answers that the models of reward and cost of each stale checkpoint learned from, by its step."""
    newest: int | None
    """Step of the newest checkpoint."""
    sound: int | None
    """Step of the newest checkpoint that is not stale."""

    @property
    def in_words(self) -> str | None:
        """What is wrong with the newest checkpoint, and how to mend it; None where nothing is."""
        if self.newest is None or self.newest not in self.stale:
            return None
        number = self.stale[self.newest]
        answers = "1 answer that was" if number == 1 else f"{number:,} answers that were"
        return f"the reward model learned from {answers} withdrawn; train again from step {self.sound or 0:,}"


def staleness(directory: RunDirectory, store: Store) -> Staleness:
    """Look at every checkpoint of a run."""
    steps = directory.checkpoint_steps()
    withdrawn = set(store.withdrawals.positions())
    counts = {step: _num_withdrawn(directory, step, withdrawn) if withdrawn else 0 for step in steps}
    stale = {step: number for step, number in counts.items() if number}
    sound = [step for step in steps if step not in stale]
    return Staleness(stale=stale, newest=steps[-1] if steps else None, sound=sound[-1] if sound else None)


def _num_withdrawn(directory: RunDirectory, step: int, withdrawn: set[int]) -> int:
    try:
        state: dict[str, Any] = json.loads((directory.path / "checkpoints" / f"step-{step}" / _STATE).read_bytes())
    except (OSError, ValueError):
        # It was removed just now, or is damaged, which is told elsewhere.
        return 0
    of_run: dict[str, Any] = state.get("costs") or {}
    costs: dict[str, Any] | None = of_run.get("answers")
    of_costs = 0 if costs is None else sum(position in withdrawn for position, _ in costs["taken"])
    return of_costs + _of_reward(state.get("preferences") or state.get("kinds"), withdrawn)


def _of_reward(people: dict[str, Any] | None, withdrawn: set[int]) -> int:
    if not people:
        return 0
    if "taken" in people:
        return sum(position in withdrawn for position, _ in people["taken"])
    # Checkpoints of earlier versions say only how far they had read.
    return sum(position <= people["counts"][-1] for position in withdrawn)

"""Bringing a world to rest before a run ends: acting goes on until every episode has come to its end."""

from dataclasses import dataclass

import numpy as np

from heeler.models.policy import Policy
from heeler.rollouts.collector import Collector


@dataclass(frozen=True, kw_only=True)
class Rest:
    """How a world came to rest."""

    num_steps: int
    """Steps of each environment until then."""
    num_ended: int
    """Environments whose episode has ended."""
    num_envs: int

    @property
    def in_words(self) -> str:
        """For whoever asked for it."""
        ended = f"{self.num_ended:,} of {self.num_envs:,} episodes ended"
        return f"{ended} within {self.num_steps:,} steps"


def bring_to_rest(collector: Collector, policy: Policy, *, max_steps: int) -> Rest:
    """Act by the likeliest action until every episode has ended, or the time for it is over.

    Args:
        collector: whose world is acted in, behind its overseers and shield as ever. Its environments begin a new
            episode where one ends; they are acted in until the last one has ended.
        policy: acts.
        max_steps: after so many steps it is enough.

    Raises:
        RunHalted: overseers halt the run.
        NothingSafe: no action is safe, and the shield's fallback is to halt.
    """
    ended = np.zeros(collector.world.num_envs, bool)
    num_steps = 0
    while not ended.all() and num_steps < max_steps:
        ended |= collector.step(policy)
        num_steps += 1
    return Rest(num_steps=num_steps, num_ended=int(ended.sum()), num_envs=len(ended))

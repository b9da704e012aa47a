"""The members of the learned reward agree about what the policy does now as they did."""

import math

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen
from heeler.oversight.monitors.spikes import Spike

_LEAST_TIMES = 2.0


class RewardDisagreement(Monitor):
    """Follows the metric `reward_disagreement`: the spread of the ensemble's members, in spreads of the reward.

    Where it leaps up, the policy has come to behaviour that nobody answered anything about.
    """

    name = "reward_disagreement"
    about = "metric reward_disagreement: leaps up"
    kept = ("spike",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.spike = Spike(self.rate, setup.num_updates)

    def look(self, seen: Seen) -> Finding | None:
        """Compare with its course."""
        value = seen.row.get("reward_disagreement")
        leap = self.spike.add(value, math.log(_LEAST_TIMES))
        if leap == 0 or value is None:
            return None
        return self.found(
            seen,
            f"The members of the learned reward disagree by {value:.3g} spreads, {math.exp(leap):.2g} times what was "
            "to be expected from the updates before",
            disagreement=value,
            times=math.exp(leap),
        )

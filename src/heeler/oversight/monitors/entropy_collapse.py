"""The policy goes on trying things: its entropy falls as it learns, but not at once."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen
from heeler.oversight.monitors.spikes import Spike

_LEAST_CHOICES, _LEAST_EACH = 0.15, 0.4


class EntropyCollapse(Monitor):
    """Follows the metric `entropy`: a fall below its own course by 0.15 nats for choices, by 0.4 nats for each number
    of other actions."""

    name = "entropy_collapse"
    about = "metric entropy: falls below its course"
    kept = ("spike",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.spike = Spike(self.rate, setup.num_updates, sided=-1, is_positive=False)

    def look(self, seen: Seen) -> Finding | None:
        """Compare with its course."""
        entropy, acted = seen.row.get("entropy"), seen.acted
        least = _LEAST_CHOICES
        if acted is not None and not acted.is_discrete:
            least = _LEAST_EACH * acted.executed_KA.shape[1]
        fall = self.spike.add(entropy, least)
        if not fall or entropy is None:
            return None
        return self.found(
            seen,
            f"The policy's entropy is {entropy:.3g} nats, {-fall:.2g} less than was to be expected from the updates "
            "before: it has all but stopped trying anything else",
            entropy=entropy,
            fall=-fall,
        )

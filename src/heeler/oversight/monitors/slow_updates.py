"""Updates take no longer than they did."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.ranks import Ranks
from heeler.oversight.monitors.seen import Seen

_SKIPPED, _LEAST_S = 2, 0.01
_PARTS = ("acting_s", "sampling_s", "reward_s", "learning_s")


class SlowUpdates(Monitor):
    """Finds several updates in a row each of which took longer than all of the sixteen before them (`ranks`), and
    `slower` times as long."""

    name = "slow_updates"
    about = "seconds of an update: several in a row above all before, and slower times as long"
    kept = ("ranks", "num_seen")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.ranks = Ranks(self.rate, setup.num_updates)
        self.num_seen = 0

    def look(self, seen: Seen) -> Finding | None:
        """Compare."""
        self.num_seen += 1
        took_s = sum(seen.row.get(name, 0.0) for name in _PARTS)
        # The first ones load what is loaded once.
        if took_s <= 0 or self.num_seen <= _SKIPPED:
            return None
        usual = self.ranks.add(took_s, self.config.slower)
        if usual is None or usual[1] < _LEAST_S:
            return None
        self.ranks.values = []
        return self.found(
            seen,
            f"An update takes {usual[1]:.2g} s; it took {usual[0]:.2g} s",
            before_s=usual[0],
            now_s=usual[1],
        )

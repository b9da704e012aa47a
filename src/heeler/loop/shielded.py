"""A run's shield: counts what it did, learns where it can, and is kept."""

from heeler.loop.parts import Arrays, Kept, Metrics, Part, Turn
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.safety.shields.shield import Shield


class Shielded(Part):
    """The shield of one run.

    Args:
        shield: over the world that the run acts in.
    """

    name = "shield"

    def __init__(self, shield: Shield) -> None:
        self.shield = shield
        self._counted: Metrics = {}

    def after_rollout(self, turn: Turn) -> Turn:
        """Count what was shielded, and have its critic learn."""
        self._counted = self.shield.learn(turn.rollout, turn.policy)
        return turn

    def metrics(self) -> Metrics:
        """Of the last rollout."""
        return self._counted

    def kept(self) -> Kept:
        """Nothing of a shield that does not learn."""
        return to_arrays(self.shield.tensors()), None

    def restore(self, arrays: Arrays, state: None) -> None:
        """Go on from what `kept` returned."""
        self.shield.load_tensors(to_tensors(arrays))

    def close(self) -> None:
        """Close its twins of the world."""
        self.shield.close()

"""Where a run stands in its world: every episode of its collector, and the noise that its next actions are drawn by."""

import torch

from heeler.core.named import under
from heeler.loop.parts import Arrays, Kept, Part
from heeler.rollouts.collector import Collector


class Place(Part):
    """The collector's and the noise's part of a checkpoint.

    Args:
        collector: acts.
        noise: it draws from.
    """

    def __init__(self, collector: Collector, noise: torch.Generator) -> None:
        self._collector, self._noise = collector, noise

    @property
    def prefix(self) -> str:
        """Their names say whose they are."""
        return ""

    def kept(self) -> Kept:
        """The world's own state included, where it can be saved exactly."""
        collector = {f"collector.{name}": array for name, array in self._collector.state_dict().items()}
        return collector | {"noise": self._noise.get_state().numpy()}, None

    def restore(self, arrays: Arrays, state: None) -> None:
        """A world that cannot be saved stays where it is."""
        self._collector.load_state_dict(under("collector.", arrays))
        self._noise.set_state(torch.from_numpy(arrays["noise"].copy()))

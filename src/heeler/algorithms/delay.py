"""How long people take to react, as what learns from their signals supposes. Shapes: K steps."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.ops.credit import gamma_cdf, step_credit, uniform_cdf

Density = Literal["uniform", "gamma"]
_REACTED = 0.999
"""Who has not reacted when this share has is not waited for."""
_LONGEST_S = 60.0


@dataclass(frozen=True, kw_only=True)
class DelayConfig:
    """A density of reaction times (Knox and Stone 2009, who take the uniform one from .2 to .6 seconds, or a gamma)."""

    density: Density = "uniform"
    """`uniform` between `low_s` and `high_s`; or `gamma`, with `shape`, `scale_s` and `shift_s`."""
    low_s: float = 0.2
    """Nobody reacts faster."""
    high_s: float = 0.6
    """Nobody reacts slower."""
    shape: float = 2.0
    """Of the gamma distribution."""
    scale_s: float = 0.28
    """Of the gamma distribution, in seconds; its mean is `shape` times as long."""
    shift_s: float = 0.0
    """Seconds before which nobody reacts, added to the gamma-distributed time."""

    def __post_init__(self) -> None:
        if self.density not in get_args(Density):
            raise ConfigError(f"delay.density must be one of {', '.join(get_args(Density))}, got {self.density!r}")
        if not (0 <= self.low_s < self.high_s <= _LONGEST_S):
            raise ConfigError(
                f"delay.low_s and delay.high_s must be 0 <= low < high <= {_LONGEST_S:g}, got {self.low_s:g} and "
                f"{self.high_s:g}"
            )
        if not (0 < self.shape < 100 and 0 < self.scale_s <= _LONGEST_S and 0 <= self.shift_s <= _LONGEST_S):
            raise ConfigError(
                "delay.shape, delay.scale_s and delay.shift_s must be positive (the shift may be 0) and at most 100, "
                f"{_LONGEST_S:g} and {_LONGEST_S:g}, got {self.shape:g}, {self.scale_s:g} and {self.shift_s:g}"
            )
        unused = ("shape", "scale_s", "shift_s") if self.density == "uniform" else ("low_s", "high_s")
        for name in unused:
            if getattr(self, name) != getattr(DelayConfig, name):
                raise ConfigError(f"delay.{name} is not for {self.density} delays and would be ignored; leave it out")

    def reacted(self, delay_s: Tensor) -> Tensor:
        """Probability of having reacted by then; of any shape."""
        if self.density == "uniform":
            return uniform_cdf(delay_s, low=self.low_s, high=self.high_s)
        return gamma_cdf(delay_s, shape=self.shape, scale=self.scale_s, shift=self.shift_s)

    @property
    def longest_s(self) -> float:
        """The time within which all but one in a thousand have reacted."""
        if self.density == "uniform":
            return self.high_s
        times = torch.linspace(0, self.shift_s + 20 * self.shape * self.scale_s, 20_001, dtype=torch.float64)
        return float(times[int((self.reacted(times) < _REACTED).sum())])

    def num_steps(self, step_s: float) -> int:
        """How many steps before a signal it may be about, where each is on the screen for `step_s`."""
        return math.ceil(self.longest_s / step_s) + 1

    def credit(self, start_s: np.ndarray, end_s: np.ndarray, signal_s: float) -> np.ndarray:
        """[K] float64: the probability that a signal is about each step.

        Args:
            start_s: [K] when each step came on the screen.
            end_s: [K] when it left.
            signal_s: when the signal came, on the same clock.
        """
        since_start, since_end = (torch.from_numpy(signal_s - at.astype(np.float64)) for at in (start_s, end_s))
        return step_credit(self.reacted(since_start), self.reacted(since_end)).numpy()

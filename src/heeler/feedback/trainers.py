"""Scripted trainers: simulated people who say good or bad while an agent acts, late, seldom, and not always rightly.

They live on the clock of what they are shown, so that their minutes are counted as people's are. Shape: L actions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.core.seeding import generator_state, restore_generator, stream
from heeler.core.signals import Signal

By = Literal["action", "values", "policy"]


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """What a scripted trainer goes by, and their faults."""

    by: By = "action"
    """`action`: good if it is the best action, else bad. `values`: good if it is worth nearly as much as the best one.
    Both are the same whatever the agent does otherwise. `policy`: good if it is worth more than what the agent does in
    this state on average, and nothing once that makes no difference; so what is praised depends on the agent
    (MacGlashan et al. 2017). By values of what is best from then on, of which people have an idea, and not by those of
    the agent's own future."""
    tolerance: float = 0.1
    """Share of the difference between the best and the worst action: for `values` what a good action may lack of the
    best, for `policy` below what nothing is said."""
    doubt: float = 0.3
    """For `policy`: share of any action alike in their idea of what the agent does, who cannot be sure that it always
    does the same. Without it nothing would be said any more of somebody who always does what is bad."""
    notice: float = 0.5
    """Steps of which the best and the worst action differ by less than this share of what they differ by on average are
    passed over: nobody says anything of what hardly matters."""
    low_delay_s: float = 0.2
    """The quickest reaction."""
    high_delay_s: float = 2.0
    """The slowest; between them all are as likely."""
    signals_per_minute: float = 40.0
    """How often they press at most, on average."""
    miss: float = 0.1
    """Probability of saying nothing of a step about which they would have."""
    mistake: float = 0.05
    """Probability of pressing the wrong button."""
    fatigue: float = 0.05
    """Share of their attention that is lost in each minute: they press more seldom, and what they press comes closer to
    a coin's toss."""

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise ConfigError(f"teacher.by must be one of {', '.join(get_args(By))}, got {self.by!r}")
        for name in ("miss", "fatigue"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"teacher.{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not 0 <= self.mistake <= 1:
            raise ConfigError(f"teacher.mistake must be a probability, got {self.mistake}")
        for name in ("tolerance", "doubt"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"teacher.{name} must be 0 to 1, got {getattr(self, name)}")
        if not 0 <= self.notice < math.inf:
            raise ConfigError(f"teacher.notice must be >= 0 and finite, got {self.notice}")
        if not 0 <= self.low_delay_s <= self.high_delay_s < math.inf:
            raise ConfigError(
                "teacher.low_delay_s and teacher.high_delay_s must be 0 <= low <= high, got "
                f"{self.low_delay_s} and {self.high_delay_s}"
            )
        if not 0 < self.signals_per_minute <= 600:
            raise ConfigError(
                f"teacher.signals_per_minute must be above 0 and at most 600, got {self.signals_per_minute}"
            )


class ScriptedTrainer:
    """Watches steps and presses buttons.

    Args:
        config: what they go by, and their faults.
        seed: of the run.
        name: of the annotator.
    """

    def __init__(self, config: TrainerConfig, seed: int, name: str) -> None:
        self.config, self.name = config, name
        self._random = stream(seed, f"trainer {name}")
        self._next_look_s = 0.0
        self._pending: list[Signal] = []
        self._now_s = 0.0
        self._num_seen = 0
        self._mean_spread = 0.0

    def watch(
        self,
        start_s: float,
        end_s: float,
        value_L: np.ndarray,
        action: int,
        probability_L: np.ndarray | None,
    ) -> None:
        """See a step; what they say of it comes from `ready`, once they have reacted.

        Args:
            start_s: when it came on the screen.
            end_s: when it left.
            value_L: what each action would have been worth, from a judge.
            action: the one that was taken.
            probability_L: of the agent's policy; only those who go by it need it.

        Raises:
            DataError: time runs backwards, or a policy is needed and there is none.
        """
        if start_s < self._now_s or end_s <= start_s:
            raise DataError(f"a step from {start_s:g} to {end_s:g} s was shown after {self._now_s:g} s: time runs on")
        self._now_s = start_s
        spread = float(np.ptp(value_L))
        self._num_seen += 1
        self._mean_spread += (spread - self._mean_spread) / self._num_seen
        if self._next_look_s >= end_s:
            return
        looked_s = max(start_s, self._next_look_s) + self._random.random() * (end_s - max(start_s, self._next_look_s))
        is_passed_over = spread < self.config.notice * self._mean_spread
        verdict = 0 if is_passed_over else self.verdict(value_L, action, probability_L)
        if verdict == 0:
            self._next_look_s = end_s
            return
        delay_s = self._random.uniform(self.config.low_delay_s, self.config.high_delay_s)
        attention = (1 - self.config.fatigue) ** (looked_s / 60)
        if self._random.random() >= self.config.miss:
            wrong = 0.5 + (self.config.mistake - 0.5) * attention
            sign = -verdict if self._random.random() < wrong else verdict
            self._pending.append(Signal(time_s=looked_s + delay_s, sign=sign))
        between_s = 60 / (self.config.signals_per_minute * attention)
        usual_s = (self.config.low_delay_s + self.config.high_delay_s) / 2
        # Whoever has decided what to press looks at nothing else before they have.
        self._next_look_s = looked_s + delay_s + self._random.exponential(max(0.0, between_s - usual_s))

    def verdict(self, value_L: np.ndarray, action: int, probability_L: np.ndarray | None) -> int:
        """What they think of an action: 1 good, -1 bad, 0 nothing.

        Raises:
            DataError: a policy is needed and there is none.
        """
        best, spread = float(value_L.max()), float(np.ptp(value_L))
        if spread <= 1e-9 * max(1.0, abs(best)):
            return 0
        mine = float(value_L[action])
        if self.config.by == "action":
            return 1 if mine >= best - 1e-9 * spread else -1
        if self.config.by == "values":
            return 1 if mine >= best - self.config.tolerance * spread else -1
        if probability_L is None:
            raise DataError("a trainer who goes by the policy must be told its probabilities; set teacher.by to action")
        usual = (1 - self.config.doubt) * float(probability_L @ value_L) + self.config.doubt * float(value_L.mean())
        ahead = mine - usual
        return 0 if abs(ahead) <= self.config.tolerance * spread else int(math.copysign(1, ahead))

    def ready(self, until_s: float) -> list[Signal]:
        """What was pressed by `until_s`, in its order; each once."""
        due = sorted((one for one in self._pending if one.time_s < until_s), key=lambda one: one.time_s)
        self._pending = [one for one in self._pending if one.time_s >= until_s]
        return due

    def state_dict(self) -> dict[str, Any]:
        """Everything that they will press depends on, as JSON-ready values."""
        return {
            "random": generator_state(self._random),
            "next_look_s": self._next_look_s,
            "now_s": self._now_s,
            "num_seen": self._num_seen,
            "mean_spread": self._mean_spread,
            "pending": [[one.time_s, one.sign] for one in self._pending],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._random = restore_generator(state["random"])
        self._next_look_s, self._now_s = state["next_look_s"], state["now_s"]
        self._num_seen, self._mean_spread = state["num_seen"], state["mean_spread"]
        pending: Sequence[Sequence[Any]] = state["pending"]
        self._pending = [Signal(time_s=float(time_s), sign=int(sign)) for time_s, sign in pending]

"""Settings of the monitors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from heeler.core.errors import ConfigError, did_you_mean

MONITOR_NAMES: tuple[str, ...] = (
    "agreement_drift",
    "breakdown",
    "checkpoints",
    "contradictory_answers",
    "cost_drift",
    "cost_over_budget",
    "cost_sensor",
    "disagreeing_person",
    "dynamics",
    "entropy_collapse",
    "fast_answers",
    "feedback_stops",
    "gradients",
    "hard_questions",
    "kl_spike",
    "observations",
    "one_sided_answers",
    "repeated_answers",
    "resources",
    "return_drift",
    "reward_disagreement",
    "reward_hacking",
    "reward_signal",
    "slow_updates",
    "stall",
    "stuck_sensor",
    "value_loss",
)
"""Of every monitor, as settings and findings name it."""


@dataclass(frozen=True, kw_only=True)
class MonitorsConfig:
    """What is watched while a run learns, and how readily an alarm is raised."""

    false_alarms: float = 0.002
    """Probability that a monitor raises an alarm in a whole run in which nothing is wrong: for each monitor."""
    rates: dict[str, float] = field(default_factory=dict[str, float])
    """The same for single monitors, by name, where they are to differ."""
    off: tuple[str, ...] = ()
    """Monitors that are not to watch."""
    quiet_updates: int = 25
    """For so many updates after it found something a monitor says nothing."""
    budget_slack: float = 1.25
    """A cost is above its budget where it is above this many times the budget."""
    budget_grace_share: float = 0.25
    """Share of the run in which a cost may still be above its budget."""
    fast_answer_s: float = 0.3
    """An answer that took less was given without looking."""
    agreement_gap: float = 0.15
    """A person whose answers are foretold less often than the others', by this much, disagrees with them."""
    stall_s: float = 120.0
    """No update for so long, and for 20 times what one usually takes, is a stall."""
    slower: float = 2.0
    """Updates that take this many times what they took are slow."""
    least_free_disk_mb: float = 300.0
    """Less free space for the run is too little."""
    memory_growth_mb: float = 2048.0
    """The process may grow by so much after its first updates."""

    def __post_init__(self) -> None:
        for name in (*self.rates, *self.off):
            if name not in MONITOR_NAMES:
                raise ConfigError(
                    f"there is no monitor {name!r}.{did_you_mean(name, MONITOR_NAMES)} There are "
                    f"{', '.join(MONITOR_NAMES)}"
                )
        for name in self.rates:
            if name in self.off:
                raise ConfigError(f"monitors.rates.{name} would be ignored, as monitors.off names it; leave one out")
        named: Mapping[str, float] = {"false_alarms": self.false_alarms}
        for name, rate in (named | {f"rates.{name}": rate for name, rate in self.rates.items()}).items():
            if not 0 < rate < 0.5:
                raise ConfigError(f"monitors.{name} must be above 0 and below 0.5, got {rate}")
        if self.quiet_updates < 0:
            raise ConfigError(f"monitors.quiet_updates must be >= 0, got {self.quiet_updates}")
        for name in ("budget_slack", "slower"):
            if not 1 <= getattr(self, name) < math.inf:
                raise ConfigError(f"monitors.{name} must be >= 1 and finite, got {getattr(self, name)}")
        for name in ("budget_grace_share", "agreement_gap"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"monitors.{name} must be above 0 and below 1, got {getattr(self, name)}")
        for name in ("fast_answer_s", "stall_s", "least_free_disk_mb", "memory_growth_mb"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"monitors.{name} must be > 0, got {getattr(self, name)}")

    def rate(self, name: str) -> float:
        """False alarms of one monitor in a whole run."""
        return self.rates.get(name, self.false_alarms)

"""What every monitor is: a name, a look after each update, and state that goes into checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.config import MonitorsConfig
from heeler.oversight.monitors.kept import Kept
from heeler.oversight.monitors.seen import Seen


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a monitor has to know of a run before it begins."""

    config: MonitorsConfig
    num_updates: int
    """Of the whole run: what false alarms are counted over."""
    cost_names: tuple[str, ...] = ()
    """Of the world."""
    budgets: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of costs that have one, in the terms of their `cost_NAME_level`."""
    learns_reward: bool = False
    """Whether the reward is learned from people, or given."""
    num_answers: int = 0
    """That the run may ask for."""


class Monitor(Kept):
    """Turns what a run shows into a finding, or nothing.

    Args:
        setup: of the run.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    """What it follows, in a line."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.config = setup, setup.config

    @property
    def rate(self) -> float:
        """Probability of a false alarm in a whole run."""
        return self.config.rate(self.name)

    def look(self, seen: Seen) -> Finding | None:
        """Take in an update; a finding where something is wrong."""
        raise NotImplementedError

    def found(self, seen: Seen, reason: str, **evidence: Any) -> Finding:
        """A finding of this monitor; numbers that are not finite become words, which JSON can hold."""
        return Finding(monitor=self.name, step=seen.step, reason=reason, evidence=plain(evidence))


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence in plain JSON types."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in cast("Sequence[Any]", value)]
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        return str(number)
    return int(number) if isinstance(value, int) else number

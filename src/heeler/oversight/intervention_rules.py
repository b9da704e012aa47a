"""Rules of intervention as settings: which findings call for which act. `interventions` decides by them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Literal, cast, get_args

from heeler.core.errors import ConfigError, did_you_mean
from heeler.oversight.monitors.config import MONITOR_NAMES, MonitorsConfig

_TOO_LATE = {
    "breakdown": "it ends the run, after which no rule decides; leave the rule out: the last whole update is kept, and "
    "`heeler resume RUN` goes on from it",
    "stall": "no update ends while a run stalls, and rules decide where one does; leave the rule out, and end a run "
    "that hangs by `heeler stop RUN --hard`",
}
"""Monitors whose findings come when no rule can act on them, and what to do instead."""
ActKind = Literal["warn", "slow", "freeze", "fall_back", "roll_back", "safe_stop", "hard_stop"]
ACTS: tuple[ActKind, ...] = get_args(ActKind)
"""The mildest first."""


@dataclass(frozen=True, kw_only=True)
class RuleConfig:
    """One rule: so many findings of a monitor within so many updates, and what is done then."""

    monitor: str
    """Name of a monitor, or a pattern of names: `cost_*`, `*`."""
    act: str
    """`warn`, `slow`, `freeze`, `fall_back`, `roll_back`, `safe_stop` or `hard_stop`."""
    findings: int = 1
    """After so many findings."""
    within_updates: int = 1
    """Of so many updates, the present one among them."""
    then: tuple[str, ...] = ()
    """Acts of the second time, the third and so on, none milder than the one before; the last one stays."""
    cool_down_updates: int = 0
    """For so many updates after an act of this rule its findings do not count: time for the act to work."""

    def __post_init__(self) -> None:
        for name, value in (("act", self.act), *(("then", act) for act in self.then)):
            if value not in ACTS:
                known = ", ".join(ACTS)
                near = did_you_mean(str(value), ACTS)
                raise ConfigError(f"{name} for monitor {self.monitor!r}: there is no act {value!r}; {known}.{near}")
        for milder, harder in pairwise(self.ladder):
            if gravity(harder) < gravity(milder):
                raise ConfigError(
                    f"then for monitor {self.monitor!r}: the ladder {', '.join(self.ladder)} goes down from {milder} "
                    f"to {harder}; put the milder act first"
                )
        for name in ("findings", "within_updates"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} for monitor {self.monitor!r} must be >= 1, got {getattr(self, name)}")
        if self.cool_down_updates < 0:
            raise ConfigError(
                f"cool_down_updates for monitor {self.monitor!r} must be >= 0, got {self.cool_down_updates}"
            )

    @property
    def ladder(self) -> tuple[ActKind, ...]:
        """Its acts, the first one first."""
        return cast(tuple[ActKind, ...], (self.act, *self.then))

    def is_for(self, monitor: str) -> bool:
        """Whether a monitor's findings count for it."""
        return fnmatchcase(monitor, self.monitor)


@dataclass(frozen=True, kw_only=True)
class InterventionsConfig:
    """What is done about what monitors find, and by what a run acts where its own policy is not trusted."""

    rules: tuple[RuleConfig, ...] = ()
    """Of those that call for an act in the same update, the hardest act is taken."""
    trusted: str = "release"
    """What acts after `fall_back`, and brings a run to rest at `safe_stop`: `release` for the release in use,
    `step-N` for that checkpoint, `zero` for actions of nought, or a function `f(observations) -> actions` as
    `MODULE:NAME` or `FILE.py:NAME`, which takes [N, O] and returns [N, A] (or [N] choices)."""
    slow_share: float = 0.1
    """What `slow` leaves of the learning rate, of the clip and of the KL of an update."""
    rest_within_steps: int = 1000
    """How long `safe_stop` waits for every episode to end, in steps."""

    def __post_init__(self) -> None:
        if not 0 < self.slow_share < 1:
            raise ConfigError(f"slow_share must be above 0 and below 1, got {self.slow_share}")
        if self.rest_within_steps < 1:
            raise ConfigError(f"rest_within_steps must be >= 1, got {self.rest_within_steps}")
        if not self.trusted:
            raise ConfigError("trusted must be release, step-N, zero or a function MODULE:NAME, got nothing")
        _refuse_contradictions(self.rules, {rule.monitor for rule in self.rules})

    def check_watched(self, monitors: MonitorsConfig | None, watchable: Collection[str] = MONITOR_NAMES) -> None:
        """Refuse rules that do not fit what watches a run.

        Args:
            monitors: those that watch; None for nothing.
            watchable: names of monitors that can find something in a run of its kind.

        Raises:
            ConfigError: there are rules and nothing watches, or as of `check`.
        """
        if not self.rules:
            return
        if monitors is None:
            raise ConfigError(
                "interventions.rules would be ignored, as nothing watches this run; set monitors, or leave them out"
            )
        for rule in self.rules:
            self._refuse_too_late(rule)
        watching = [name for name in watchable if name not in (*monitors.off, *_TOO_LATE)]
        for rule in self.rules:
            if any(map(rule.is_for, MONITOR_NAMES)) and not any(map(rule.is_for, (*watching, *monitors.off))):
                raise ConfigError(
                    f"interventions.rules: monitor {rule.monitor!r} can find nothing in a run of this kind; those that "
                    f"can: {', '.join(sorted(watching))}"
                )
        self.check(watching)

    def _refuse_too_late(self, rule: RuleConfig) -> None:
        theirs = [name for name in MONITOR_NAMES if rule.is_for(name)]
        if theirs and set(theirs) <= _TOO_LATE.keys():
            raise ConfigError(
                f"interventions.rules: a rule for monitor {rule.monitor!r} would not do what it says: "
                f"{_TOO_LATE[theirs[0]]}. The audit log tells of it (monitor.finding)"
            )

    def check(self, monitors: Collection[str]) -> None:
        """Refuse rules that do not fit a run's monitors.

        Args:
            monitors: names of those that watch the run.

        Raises:
            ConfigError: a rule is for none of them, or two rules contradict each other for one.
        """
        for rule in self.rules:
            if not any(rule.is_for(monitor) for monitor in monitors):
                known = ", ".join(sorted(monitors)) or "none"
                raise ConfigError(
                    f"interventions.rules: no monitor {rule.monitor!r} watches this run; there are: {known}."
                    f"{did_you_mean(rule.monitor, monitors)}"
                )
        _refuse_contradictions(self.rules, monitors)

    def check_for_texts(self) -> None:
        """Refuse what nothing would come of in the run of a language model.

        Raises:
            ConfigError: a rule falls back, or a setting is of worlds alone.
        """
        if any("fall_back" in rule.ladder for rule in self.rules):
            raise ConfigError(
                "interventions.rules: what a language model answers while it learns goes to nobody, so that there is "
                "nothing to fall back from; freeze it instead"
            )
        for name in ("trusted", "rest_within_steps"):
            if getattr(self, name) != getattr(InterventionsConfig, name):
                raise ConfigError(f"interventions.{name} would be ignored in the run of a language model; leave it out")


def gravity(act: str) -> int:
    """How hard an act is; 0 for the mildest."""
    return ACTS.index(cast(ActKind, act))


def _refuse_contradictions(rules: Sequence[RuleConfig], monitors: Collection[str]) -> None:
    """Refuse two rules for one monitor that are met at once and call for different acts, or of which one is in vain."""
    for index, first in enumerate(rules):
        for second in rules[index + 1 :]:
            theirs = [{name for name in monitors if rule.is_for(name)} for rule in (first, second)]
            shared = theirs[0] & theirs[1]
            if not shared:
                continue
            if _count(first) == _count(second):
                if first.act != second.act or first.monitor == second.monitor:
                    why = "both are met at the same count; leave one out"
                    raise ConfigError(_contradiction(min(shared), first, second, why))
                continue
            pairs = ((first, second, theirs[0] <= theirs[1]), (second, first, theirs[1] <= theirs[0]))
            for strict, loose, counts_no_more in pairs:
                # Whatever meets the strict one has met the loose one as well.
                is_implied = strict.findings >= loose.findings and strict.within_updates <= loose.within_updates
                if is_implied and counts_no_more and gravity(strict.act) <= gravity(loose.act):
                    why = "the second is met only where the first is, and is no harder; make it harder, or leave it out"
                    raise ConfigError(_contradiction(min(shared), loose, strict, why))


def _count(rule: RuleConfig) -> tuple[int, int]:
    return rule.findings, rule.within_updates


def _contradiction(monitor: str, first: RuleConfig, second: RuleConfig, why: str) -> str:
    told = " and ".join(
        f"{rule.act} after {rule.findings} of {rule.monitor!r} within {rule.within_updates}" for rule in (first, second)
    )
    return f"interventions.rules contradict each other for monitor {monitor!r}: {told}: {why}"

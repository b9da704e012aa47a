"""Rules of intervention: what is done about what monitors find, harder the longer it lasts.

Nothing is done here. `decide` is a pure function: the findings of one update go in, and out comes the act that the
rules have for them, with its evidence. The loop carries it out.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

from heeler.oversight.finding import Finding
from heeler.oversight.intervention_rules import ActKind, InterventionsConfig, RuleConfig, gravity

__all__ = [
    "Act",
    "ActKind",
    "InterventionsConfig",
    "InterventionsState",
    "RuleConfig",
    "RuleState",
    "decide",
    "first_state",
    "gravity",
]

_MAX_SHOWN, _MAX_WORDS, _MAX_EVIDENCE = 10, 300, 1000


@dataclass(frozen=True, kw_only=True)
class Act:
    """What the rules have for an update, with its evidence."""

    kind: ActKind
    monitor: str
    """Pattern of the rule."""
    reason: str
    """In plain words."""
    step: int
    """Of the earliest finding that counted: what was learned before it is not in question."""
    evidence: tuple[Mapping[str, Any], ...]
    """The findings that counted, the oldest first, in plain JSON types."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**vars(self), "evidence": [dict(one) for one in self.evidence]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The act that `to_dict` wrote."""
        fields: dict[str, Any] = {**values, "evidence": tuple(values["evidence"])}
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class RuleState:
    """How far one rule is."""

    seen: tuple[Mapping[str, Any], ...] = ()
    """Findings that count, each with its update."""
    rung: int = 0
    """Acts so far."""
    quiet_for: int = 0
    """Updates of its cool-down that are left."""


@dataclass(frozen=True, kw_only=True)
class InterventionsState:
    """How far all rules are; goes into checkpoints."""

    rules: tuple[RuleState, ...] = ()
    pending: Act | None = None
    """What was decided and not yet carried out."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        rules = [{**vars(rule), "seen": [dict(one) for one in rule.seen]} for rule in self.rules]
        return {"rules": rules, "pending": None if self.pending is None else self.pending.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The state that `to_dict` wrote."""
        rows: list[dict[str, Any]] = [{**rule, "seen": tuple(rule["seen"])} for rule in values["rules"]]
        rules = tuple(RuleState(**row) for row in rows)
        pending = values["pending"]
        return cls(rules=rules, pending=None if pending is None else Act.from_dict(pending))

    @property
    def oldest_step(self) -> int | None:
        """Of the earliest finding that still counts; None where there is none."""
        seen = [one["step"] for rule in self.rules for one in rule.seen]
        return min(seen, default=None) if self.pending is None else min([*seen, self.pending.step])


def first_state(config: InterventionsConfig) -> InterventionsState:
    """Before the first update, and after a person has looked and has learning go on: other evidence counts then."""
    return InterventionsState(rules=(RuleState(),) * len(config.rules))


def decide(
    config: InterventionsConfig, state: InterventionsState, findings: Sequence[Finding], *, update: int
) -> tuple[InterventionsState, Act | None]:
    """What is to be done about the findings of an update, and those before it.

    Args:
        config: the rules.
        state: after the update before.
        findings: of this update.
        update: its number; each is higher than the one before, but after a rollback.

    Returns:
        The state after it, in which the act is pending, and the act; None where the rules have none.
    """
    rules = [_counted(rule, own, findings, update) for rule, own in zip(config.rules, state.rules, strict=True)]
    met = [index for index, rule in enumerate(config.rules) if len(rules[index].seen) >= rule.findings]
    if not met:
        return replace(state, rules=tuple(rules)), None
    chosen = max(met, key=lambda index: (gravity(_act_of(config.rules[index], rules[index])), -index))
    act = _act(config.rules[chosen], rules[chosen], update)
    for index in met:
        rules[index] = replace(rules[index], seen=())
    rule = config.rules[chosen]
    rules[chosen] = replace(rules[chosen], rung=rules[chosen].rung + 1, quiet_for=rule.cool_down_updates)
    return replace(state, rules=tuple(rules), pending=act), act


def _counted(rule: RuleConfig, own: RuleState, findings: Sequence[Finding], update: int) -> RuleState:
    """The rule's findings of the last updates, the new ones among them."""
    # After a rollback updates have the same numbers again; what was found the first time does not count twice.
    kept = [one for one in own.seen if update - rule.within_updates < one["update"] < update]
    new = [] if own.quiet_for else [_told(one, update) for one in findings if rule.is_for(one.monitor)]
    return replace(own, seen=(*kept, *new), quiet_for=max(0, own.quiet_for - 1))


def _act_of(rule: RuleConfig, own: RuleState) -> ActKind:
    return rule.ladder[min(own.rung, len(rule.ladder) - 1)]


def _act(rule: RuleConfig, own: RuleState, update: int) -> Act:
    kind, count = _act_of(rule, own), len(own.seen)
    updates = update - min(one["update"] for one in own.seen) + 1
    times = "" if own.rung == 0 else f", the {own.rung + 1}th time"
    found = f"{count} finding{'s' if count > 1 else ''} within {updates} update{'s' if updates > 1 else ''}{times}"
    return Act(
        kind=kind,
        monitor=rule.monitor,
        reason=f"{own.seen[-1]['monitor']}: {own.seen[-1]['reason']} ({found})",
        step=min(one["step"] for one in own.seen),
        evidence=own.seen[-_MAX_SHOWN:],
    )


def _told(finding: Finding, update: int) -> dict[str, Any]:
    """A finding as evidence: short enough for a line of the audit log, whatever a monitor said."""
    plain = _plain(finding.evidence)
    is_long = len(json.dumps(plain)) > _MAX_EVIDENCE
    return {
        "update": update,
        "step": int(finding.step),
        "monitor": finding.monitor,
        "reason": finding.reason[:_MAX_WORDS],
        "evidence": {"left_out": "longer than a line has room for"} if is_long else plain,
    }


def _plain(value: Any) -> Any:
    """As JSON has it: infinities and what is no number become words."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in cast(Sequence[Any], value)]
    if value is None or isinstance(value, bool | int | str):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else str(number)

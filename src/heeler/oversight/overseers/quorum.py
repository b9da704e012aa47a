"""From several verdicts to one: how many overseers must object, and what goes before what.

Halt goes first, then veto, then modify, then allow. Shape: K overseers, in an order that is declared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from heeler.core.errors import ConfigError, did_you_mean
from heeler.core.verdict import Verdict
from heeler.oversight.overseers.evidence import ALLOW

Rule = Literal["any", "majority", "k_of_n", "weighted", "unanimous"]


@dataclass(frozen=True, kw_only=True)
class QuorumConfig:
    """How overseers decide together."""

    rule: Rule = "any"
    """`any`: one veto is enough. `majority`: more than half must object. `k_of_n`: at least `num_needed`. `weighted`:
    those who object must weigh at least `share_needed` of all. `unanimous`: nothing passes, or is released, unless all
    allow it as it is; somebody who would modify it objects."""
    num_needed: int | None = None
    """For `k_of_n`."""
    weights: tuple[float, ...] = ()
    """For `weighted`: one an overseer, in their order."""
    share_needed: float | None = None
    """For `weighted`: above 0, at most 1."""
    halt: Literal["one", "quorum"] = "one"
    """Whether one overseer's halt is enough to halt, whatever the rule; or whether the rule is for halts too, one that
    does not reach it being counted as a veto."""

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            known = ", ".join(get_args(Rule))
            raise ConfigError(
                f"quorum.rule must be one of {known}, got {self.rule!r}.{did_you_mean(str(self.rule), get_args(Rule))}"
            )
        if self.halt not in ("one", "quorum"):
            raise ConfigError(f"quorum.halt must be one or quorum, got {self.halt!r}")
        self._check("num_needed", "k_of_n", self.num_needed is not None)
        self._check("weights", "weighted", bool(self.weights))
        self._check("share_needed", "weighted", self.share_needed is not None)
        if self.num_needed is not None and self.num_needed < 1:
            raise ConfigError(f"quorum.num_needed must be >= 1, got {self.num_needed}")
        if self.share_needed is not None and not 0 < self.share_needed <= 1:
            raise ConfigError(f"quorum.share_needed must be above 0 and at most 1, got {self.share_needed}")
        if self.weights and not all(0 <= weight < math.inf for weight in self.weights):
            raise ConfigError(f"quorum.weights must be >= 0 and finite, got {self.weights}")
        if self.weights and not sum(self.weights) > 0:
            raise ConfigError(f"quorum.weights must not all be 0, got {self.weights}")

    def _check(self, name: str, rule: str, is_set: bool) -> None:
        if is_set and self.rule != rule:
            raise ConfigError(f"quorum.{name} would be ignored: it is for {rule}, and quorum.rule is {self.rule}")
        if not is_set and self.rule == rule:
            raise ConfigError(f"quorum.rule is {rule}, which needs quorum.{name}")

    def check_number(self, num_overseers: int) -> None:
        """Refuse a rule that so many overseers cannot be under.

        Raises:
            ConfigError: there is none, fewer than must object, or another number than weights.
        """
        if num_overseers < 1:
            raise ConfigError("a quorum needs at least one overseer: without any everything would pass")
        if self.num_needed is not None and self.num_needed > num_overseers:
            raise ConfigError(
                f"quorum.num_needed is {self.num_needed}, and there are {num_overseers} overseers: nothing would ever "
                "be vetoed"
            )
        if self.weights and len(self.weights) != num_overseers:
            raise ConfigError(
                f"quorum.weights must be one for each of {num_overseers} overseers, got {len(self.weights)}"
            )

    def is_reached(self, objects: np.ndarray) -> np.ndarray:
        """[...] bool: whether enough of [..., K] object."""
        objects = np.asarray(objects, bool)
        num = objects.shape[-1]
        match self.rule:
            case "any" | "unanimous":
                return np.asarray(objects.any(-1))
            case "majority":
                return np.asarray(2 * objects.sum(-1) > num)
            case "k_of_n":
                return np.asarray(objects.sum(-1) >= (self.num_needed or 1))
            case "weighted":
                assert self.share_needed is not None
                weights = np.array(self.weights)
                # Sums of weights that make up the share exactly must not miss it by rounding.
                return np.asarray(objects @ weights >= (self.share_needed - 1e-9) * weights.sum())


def decide(config: QuorumConfig, names: Sequence[str], verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict of several.

    Of several that would modify, the first in the overseers' order counts; what was outvoted stands in the evidence.

    Args:
        config: of the quorum.
        names: of the overseers.
        verdicts: one each.
    """
    if all(verdict.decision == "allow" for verdict in verdicts):
        return ALLOW
    halts = np.array([verdict.decision == "halt" for verdict in verdicts])
    strict = ("veto", "halt", "modify") if config.rule == "unanimous" else ("veto", "halt")
    objects = np.array([verdict.decision in strict for verdict in verdicts])
    told = {
        name: {"decision": verdict.decision, "reason": verdict.reason, **dict(verdict.evidence)}
        for name, verdict in zip(names, verdicts, strict=True)
        if verdict.decision != "allow"
    }
    evidence: dict[str, Any] = {"overseers": told}
    if halts.any() and (config.halt == "one" or bool(config.is_reached(halts))):
        return Verdict(decision="halt", reason=_reason(names, verdicts, halts), evidence=evidence)
    if bool(config.is_reached(objects)):
        return Verdict(decision="veto", reason=_reason(names, verdicts, objects), evidence=evidence)
    for name, verdict in zip(names, verdicts, strict=True):
        if verdict.decision == "modify":
            reason = f"{name}: {verdict.reason}"
            return Verdict(decision="modify", reason=reason, replacement=verdict.replacement, evidence=evidence)
    return Verdict(decision="allow", evidence=evidence)


def _reason(names: Sequence[str], verdicts: Sequence[Verdict], counted: np.ndarray) -> str:
    return "; ".join(
        f"{name}: {verdict.reason}" for name, verdict, counts in zip(names, verdicts, counted, strict=True) if counts
    )

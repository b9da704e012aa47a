"""How a run is held by interventions: slowed, frozen, or acting by what is trusted; and what its rules have decided.

It is part of every checkpoint, and a change of it is saved at once: a slowed run that is killed goes on slowed. A
rollback does not undo it, as it would then be needed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from heeler.loop.parts import Arrays, Kept, Part
from heeler.oversight.finding import Finding
from heeler.oversight.interventions import Act, InterventionsConfig, InterventionsState, decide, first_state

By = Literal["a person", "a rule"]
Level = Literal["slow", "freeze", "fall_back"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""The mildest first."""
RULES_MAY_CHANGE = ("interventions", *(f"interventions.{each.name}" for each in fields(InterventionsConfig)))
"""Settings that may be changed in a run that is gone on with, by their dotted names: a rule that stops it each time
would never let it go on otherwise."""
NO_RULES = InterventionsConfig()
"""Of a run that says nothing of interventions: people may hold it all the same."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """How a run is held, since when and why. By whom, and what reason a person gave, stands in the audit log: a
    checkpoint cannot forget anybody."""

    level: Level
    by: By
    reason: str
    since_step: int
    trusted: str | None = None
    """By what it acts, where it has fallen back; a release by its id."""

    @property
    def in_words(self) -> str:
        """For whoever asked for it."""
        how = {"slow": "slowed", "freeze": "frozen", "fall_back": f"acts by {self.trusted}, and learns nothing,"}
        return f"{how[self.level]} since step {self.since_step:,}"


class Holding(Part):
    """What interventions have made of a run.

    Args:
        config: of the run; None where it says nothing of them.
    """

    name = "holding"

    def __init__(self, config: InterventionsConfig | None) -> None:
        self.config = config or NO_RULES
        self.held: Held | None = None
        self.rules: InterventionsState = first_state(self.config)
        self.rolled_back_to: tuple[int, ...] = ()
        """Steps to which rules have rolled the run back since somebody looked."""
        self.findings: list[Finding] = []
        """What monitors have found in the present update."""

    @property
    def learns(self) -> bool:
        """Whether the policy may change."""
        return self.held is None or self.held.level == "slow"

    @property
    def pace(self) -> float:
        """Share of its usual steps that learning may take."""
        return 1.0 if self.held is None else self.config.slow_share

    @property
    def has_fallen_back(self) -> bool:
        """Whether something else acts in the policy's place."""
        return self.held is not None and self.held.level == "fall_back"

    @property
    def says_something(self) -> bool:
        """Whether there is anything that a rollback must not undo."""
        return self.held is not None or bool(self.config.rules)

    def is_held_by(self, level: Level) -> bool:
        """Whether the run is held so already, or harder."""
        return self.held is not None and LEVELS.index(self.held.level) >= LEVELS.index(level)

    def hold(self, held: Held) -> str:
        """Hold the run, unless it is held so already; says in words what came of it."""
        if self.held is not None and self.is_held_by(held.level):
            return f"{self.held.in_words} already"
        self.held = held
        return held.in_words

    def metrics(self) -> dict[str, float]:
        """For the row of an update: 1 slowed, 2 frozen, 3 fallen back; nothing while the run is free."""
        return {} if self.held is None else {"held": float(1 + LEVELS.index(self.held.level))}

    def decide(self, update: int) -> None:
        """Have the rules decide about the findings of an update; before it is saved, so that it is decided once."""
        if self.config.rules:
            self.rules, _ = decide(self.config, self.rules, self.findings, update=update)
        self.findings = []

    def take_pending(self) -> Act | None:
        """What the rules have decided, to be carried out now."""
        act = self.rules.pending
        if act is not None:
            self.rules = InterventionsState(rules=self.rules.rules)
        return act

    def thaw(self) -> str:
        """Let the run learn freely; says in words what it was.

        Somebody has looked and has learning go on: what was found until now does not count any more.
        """
        was = "not held" if self.held is None else self.held.in_words
        self.load(None)
        return f"learns freely; it was {was}"

    def spared(self, steps: Sequence[int]) -> list[int]:
        """Which checkpoints of these steps may still be wanted: the newest before what was found, and a trusted one."""
        spared: list[int] = []
        before = step_before(steps, self.rules.oldest_step)
        if before is not None and any("roll_back" in rule.ladder for rule in self.config.rules):
            spared.append(before)
        if self.config.trusted.startswith("step-"):
            spared.append(int(self.config.trusted.removeprefix("step-")))
        return spared

    def state(self) -> dict[str, Any] | None:
        """JSON-ready values for a checkpoint; None while there is nothing to tell."""
        if not self.says_something:
            return None
        return {
            "held": None if self.held is None else asdict(self.held),
            "rules": self.rules.to_dict(),
            "decided_by": self._decided_by,
            "rolled_back_to": list(self.rolled_back_to),
        }

    @property
    def _decided_by(self) -> list[dict[str, Any]]:
        """The rules as JSON has them."""
        return [{**asdict(rule), "then": list(rule.then)} for rule in self.config.rules]

    def kept(self) -> Kept:
        """What a checkpoint keeps."""
        return {}, self.state()

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Be held as the run was; checkpoints from before there were interventions do not say so."""
        self.load(state)

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Go on from what `state` returned; None for a run to which nothing was done.

        Somebody may have changed the rules since: of the new ones none has counted anything yet.
        """
        self.held, self.rules, self.rolled_back_to = None, first_state(self.config), ()
        if state is None:
            return
        self.held = None if state["held"] is None else Held(**state["held"])
        if state["decided_by"] == self._decided_by:
            self.rules = InterventionsState.from_dict(state["rules"])
            self.rolled_back_to = tuple(state["rolled_back_to"])


def step_before(steps: Sequence[int], found: int | None) -> int | None:
    """The newest checkpoint from before something was found; None where there is none, or nothing was found."""
    return None if found is None else max((step for step in steps if step < found), default=None)

"""Settings of shields, each part beside the others; a run's file and a file for `heeler evaluate` hold the same."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from heeler.core.errors import ConfigError, did_you_mean

FallbackKind = Literal["action", "brake", "least_cost", "halt"]
Continuation = Literal["fallback", "policy"]
Predicted = Literal["probability", "sum"]
LearnFrom = Literal["proposed", "executed"]


def _refuse_unknown(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} must be one of {', '.join(known)}, got {value!r}.{did_you_mean(value, known)}")


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Which choices there are, for Discrete and MultiDiscrete actions."""

    source: str = "world"
    """`world` for the mask that the world gives, or a function `FILE.py:NAME` or `MODULE:NAME` that takes observations
    [B, O] and returns [B, K] booleans."""


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """Linear constraints G a <= h on Box actions, beside their bounds: by numbers, or by a function of what is seen."""

    matrix: tuple[tuple[float, ...], ...] = ()
    """G: a row of as many numbers as an action has, for each constraint."""
    limit: tuple[float, ...] = ()
    """h: a number for each constraint."""
    function: str = ""
    """Instead of both, `FILE.py:NAME` or `MODULE:NAME` of a function that takes observations [B, O] and returns G
    [B, M, A] and h [B, M]."""
    margin: float = 1e-6
    """Distance that is kept from each constraint, in an action's own unit: what float32 rounds does not break it."""

    def __post_init__(self) -> None:
        if bool(self.function) == bool(self.matrix):
            raise ConfigError("shield.projection needs a matrix with its limit, or a function, and not both")
        if len(self.matrix) != len(self.limit):
            raise ConfigError(
                f"shield.projection.limit must have a number for each of the {len(self.matrix)} rows of matrix, got "
                f"{len(self.limit)}"
            )
        for number, row in enumerate(self.matrix):
            if not row or len(row) != len(self.matrix[0]) or not all(map(math.isfinite, row)) or not any(row):
                raise ConfigError(
                    f"shield.projection.matrix[{number}] must be as many finite numbers as an action has, not all 0; "
                    f"got {list(row)}"
                )
        if not all(map(math.isfinite, self.limit)):
            raise ConfigError(f"shield.projection.limit must be finite numbers, got {list(self.limit)}")
        if not 0 <= self.margin < math.inf:
            raise ConfigError(f"shield.projection.margin must be >= 0 and finite, got {self.margin}")


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """A learned critic of costs: actions that it expects too much of are not done."""

    threshold: float
    """What an action may be expected to come to; inf only watches."""
    costs: tuple[str, ...] = ()
    """Costs of the world that count, together; empty for all."""
    predicts: Predicted = "probability"
    """`probability`: that any of them comes, discounted by the steps until it does. `sum`: their discounted sum."""
    discount: float = 0.95
    """Gamma: what a cost counts one step later. The critic looks about 1 / (1 - gamma) steps ahead."""
    trace_decay: float = 0.9
    """Lambda of its targets."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of each hidden layer."""
    num_members: int = 2
    """Networks, of which the most worried counts."""
    learning_rate: float = 1e-3
    """Adam's step."""
    num_epochs: int = 4
    """Passes over each rollout."""
    minibatch_size: int = 1024
    """Samples in one gradient step."""
    num_warmup_updates: int = 10
    """Updates before it has a say; until then it refuses nothing."""

    def __post_init__(self) -> None:
        if not self.threshold >= 0:
            raise ConfigError(f"shield.critic.threshold must be >= 0, got {self.threshold}")
        _refuse_unknown("shield.critic.predicts", self.predicts, get_args(Predicted))
        for name in ("discount", "trace_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"shield.critic.{name} must be between 0 and 1, got {getattr(self, name)}")
        if not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise ConfigError(f"shield.critic.hidden_sizes must be positive numbers, got {self.hidden_sizes}")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"shield.critic.learning_rate must be > 0 and finite, got {self.learning_rate}")
        for name, least in (("num_members", 1), ("num_epochs", 1), ("minibatch_size", 1), ("num_warmup_updates", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"shield.critic.{name} must be >= {least}, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """The world itself is asked: a twin in the present state takes the action, and one that costs is not done."""

    steps: int = 1
    """Steps that are looked ahead: the action, and what the continuation does after it."""
    continuation: Continuation = "fallback"
    """What acts after the first step: the shield's own fallback, such as a brake, or the policy by its likeliest
    actions."""
    costs: tuple[str, ...] = ()
    """Costs of the world that count, together; empty for all."""
    threshold: float = 0.0
    """What they may sum up to over these steps."""
    refuse_termination: bool = False
    """Whether an action after which the episode ends in a terminal state is refused too."""
    foresight: int = 0
    """Steps that a proposal is followed on the policy's own course. Where that would cost too much, another safe action
    is done already now: the one that, held for a third of them or for as many before the policy goes on, is foreseen to
    go without cost for longest, and among those to be rewarded most. It is kept to for as long, while it is safe and
    the policy's own proposals are not. So a policy that knows nothing of a cost is led round
    what costs, and not only stopped in front of it. It looks at the world's own reward."""
    num_draws: int = 1
    """Of a world with noise within its steps: how often each action is tried. It is refused if any of them costs too
    much. The twin draws noise of its own; it does not know what the world will draw."""

    def __post_init__(self) -> None:
        for name in ("steps", "num_draws"):
            if getattr(self, name) < 1:
                raise ConfigError(f"shield.check.{name} must be >= 1, got {getattr(self, name)}")
        if self.foresight < 0:
            raise ConfigError(f"shield.check.foresight must be >= 0, got {self.foresight}")
        _refuse_unknown("shield.check.continuation", self.continuation, get_args(Continuation))
        if not 0 <= self.threshold < math.inf:
            raise ConfigError(f"shield.check.threshold must be >= 0 and finite, got {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class FallbackConfig:
    """What is done where no action is safe. It is executed whatever the shields say of it, and counted."""

    kind: FallbackKind
    """`action`: always the same. `brake`: what a function of the observation says. `least_cost`: of the candidates the
    one that the check, or else the critic, expects least of. `halt`: nothing more is done, the run stops."""
    action: tuple[float, ...] = ()
    """For `action`: its numbers; of a Discrete action the choice."""
    function: str = ""
    """For `brake`: `FILE.py:NAME` or `MODULE:NAME` of a function that takes observations [B, O] and returns actions
    [B, A]."""

    def __post_init__(self) -> None:
        _refuse_unknown("shield.fallback.kind", self.kind, get_args(FallbackKind))
        for name, kind in (("action", "action"), ("function", "brake")):
            if bool(getattr(self, name)) != (self.kind == kind):
                need = "is needed" if self.kind == kind else "would be ignored"
                raise ConfigError(f"shield.fallback.{name} {need}, as the kind is {self.kind!r}")
        if not all(map(math.isfinite, self.action)):
            raise ConfigError(f"shield.fallback.action must be finite numbers, got {list(self.action)}")


@dataclass(frozen=True, kw_only=True)
class ShieldConfig:
    """What may not be done, by any of these in this order: mask, projection, critic, check."""

    fallback: FallbackConfig
    """What is done where nothing is safe."""
    mask: MaskConfig | None = None
    """Choices that there are not have no probability."""
    projection: ProjectionConfig | None = None
    """The nearest action within linear constraints is done."""
    critic: CriticConfig | None = None
    """Actions that a learned critic expects too much cost of are not done."""
    check: CheckConfig | None = None
    """Actions after which a simulation costs too much are not done."""
    num_candidates: int = 32
    """Actions that critic and check choose among in the place of a refused Box action; of choices all are."""
    learn_from: LearnFrom = "proposed"
    """Which action the learner takes for its own. `proposed`: the shield is then part of the world, whose gradient is
    estimated without bias, and the policy learns what its proposals lead to. `executed`: it learns what was done, which
    it did not choose: biased, but of use where it is to go on without the shield. An executed action that a mask
    forbids is never learned from."""

    def __post_init__(self) -> None:
        parts = (self.mask, self.projection, self.critic, self.check)
        if not any(parts):
            raise ConfigError("a shield needs at least one of mask, projection, critic and check")
        if self.fallback.kind == "least_cost" and not (self.critic or self.check):
            raise ConfigError(
                "shield.fallback.kind least_cost needs a critic or a check, which say what an action costs"
            )
        _refuse_unknown("shield.learn_from", self.learn_from, get_args(LearnFrom))
        if self.num_candidates < 1:
            raise ConfigError(f"shield.num_candidates must be >= 1, got {self.num_candidates}")
        looks_on = self.check is not None and self.check.steps > 1 and self.check.continuation == "fallback"
        if looks_on and self.fallback.kind not in ("action", "brake"):
            raise ConfigError(
                "shield.check.continuation fallback needs a fallback that acts: kind action or brake, got "
                f"{self.fallback.kind!r}; or set continuation to policy"
            )

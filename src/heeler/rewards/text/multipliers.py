"""Holding costs within budgets by multipliers that rise while a cost is above its budget."""

from dataclasses import dataclass
from typing import Any, Literal

from heeler.core.errors import CheckpointError, ConfigError


@dataclass(frozen=True, kw_only=True)
class MultiplierConfig:
    r"""How one multiplier λ moves; c is the mean cost of a batch and b the budget, both in units of the cost.

    `gradient`, the projected gradient of Safe-RLHF (Dai et al. 2023, arXiv 2310.12773, with λ in the place of log λ):

    $$\lambda \leftarrow \min(\lambda_\max, \max(0, \lambda + \eta (c - b)))$$

    `pid` (Stooke et al. 2020, arXiv 2007.03964), with the integral I kept between 0 and what alone makes λ_max:

    $$I \leftarrow I + (c - b),\quad
      \lambda = \min(\lambda_\max, \max(0, K_P (c - b) + K_I I + K_D \max(0, c - c_\text{before})))$$
    """

    rule: Literal["gradient", "pid"] = "gradient"
    """How it moves."""
    initial: float = 0.0
    """λ at the beginning."""
    maximum: float = 100.0
    """Highest λ."""
    learning_rate: float = 0.1
    """η, for `gradient`."""
    proportional: float = 0.1
    """K_P, for `pid`."""
    integral: float = 0.01
    """K_I, for `pid`."""
    derivative: float = 0.01
    """K_D, for `pid`."""

    def __post_init__(self) -> None:
        if self.rule not in ("gradient", "pid"):
            raise ConfigError(f"rule must be 'gradient' or 'pid', got {self.rule!r}")
        if not 0 <= self.initial <= self.maximum:
            raise ConfigError(f"initial must be 0 to maximum, got {self.initial} and {self.maximum}")
        for name in ("learning_rate", "integral", "maximum"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("proportional", "derivative"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class MultiplierState:
    """All that a multiplier remembers."""

    value: float
    """λ."""
    integral: float = 0.0
    """I, for `pid`."""
    cost_before: float | None = None
    """c of the batch before, for `pid`."""

    def to_json(self) -> dict[str, float | None]:
        """What a checkpoint keeps."""
        return {"value": self.value, "integral": self.integral, "cost_before": self.cost_before}

    @staticmethod
    def from_json(saved: Any) -> "MultiplierState":
        """What `to_json` gave.

        Raises:
            CheckpointError: it is something else.
        """
        try:
            before = saved["cost_before"]
            return MultiplierState(
                value=float(saved["value"]),
                integral=float(saved["integral"]),
                cost_before=None if before is None else float(before),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"a saved multiplier must be value, integral and cost_before, got {saved!r:.80}"
            ) from error


def first_state(config: MultiplierConfig) -> MultiplierState:
    """Before any batch."""
    # So that the integral alone makes the first λ.
    return MultiplierState(value=config.initial, integral=config.initial / config.integral)


def moved(config: MultiplierConfig, state: MultiplierState, cost: float | None, budget: float) -> MultiplierState:
    """The state after a batch.

    Args:
        config: how it moves.
        state: before.
        cost: mean of the batch; None where no sample had one, and nothing moves.
        budget: what the cost may be.
    """
    if cost is None:
        return state
    excess = cost - budget
    if config.rule == "gradient":
        return MultiplierState(value=_clamped(state.value + config.learning_rate * excess, config.maximum))
    integral = _clamped(state.integral + excess, config.maximum / config.integral)
    rise = 0.0 if state.cost_before is None else max(0.0, cost - state.cost_before)
    value = config.proportional * excess + config.integral * integral + config.derivative * rise
    return MultiplierState(value=_clamped(value, config.maximum), integral=integral, cost_before=cost)


def _clamped(value: float, maximum: float) -> float:
    return min(maximum, max(0.0, value))

"""Holding costs within budgets by multipliers that rise while a cost is above its budget."""

import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, Literal, get_args

from heeler.core.errors import CheckpointError, ConfigError

Rule = Literal["gradient", "adam", "pid"]
_MEAN_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8
"""Adam's."""


@dataclass(frozen=True, kw_only=True)
class MultiplierConfig:
    r"""How one multiplier λ moves; c is the mean cost of a batch and b the budget, both in units of the cost.

    `gradient`, the projected gradient of Safe-RLHF (Dai et al. 2023, arXiv 2310.12773, with λ in the place of log λ):

    $$\lambda \leftarrow \min(\lambda_\max, \max(0, \lambda + \eta (c - b)))$$

    `adam`: the same gradient through Adam, whose step is η whatever unit the cost has.

    `pid` (Stooke et al. 2020, arXiv 2007.03964), with the integral I kept between 0 and what alone makes λ_max:

    $$I \leftarrow I + (c - b),\quad
      \lambda = \min(\lambda_\max, \max(0, K_P (c - b) + K_I I + K_D \max(0, c - c_\text{before})))$$
    """

    rule: Rule = "pid"
    """How it moves. The gradient alone swings about the budget; the other parts of `pid` damp that."""
    initial: float = 0.0
    """λ at the beginning."""
    maximum: float = 100.0
    """Highest λ."""
    learning_rate: float = 0.1
    """η, for `gradient` and `adam`."""
    proportional: float = 2.0
    """K_P, for `pid`."""
    integral: float = 0.2
    """K_I, for `pid`."""
    derivative: float = 1.0
    """K_D, for `pid`."""

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise ConfigError(f"rule must be one of {', '.join(get_args(Rule))}, got {self.rule!r}")
        if not 0 <= self.initial <= self.maximum:
            raise ConfigError(f"initial must be 0 to maximum, got {self.initial} and {self.maximum}")
        for name in ("learning_rate", "integral", "maximum"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("proportional", "derivative"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")
        for name in ("initial", "learning_rate", "proportional", "integral", "derivative"):
            # Times an excess of 0 it would be no number; a maximum may be infinite.
            if math.isinf(getattr(self, name)):
                raise ConfigError(f"{name} must be finite, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class MultiplierState:
    """All that a multiplier remembers."""

    value: float
    """λ."""
    integral: float = 0.0
    """I, for `pid`."""
    cost_before: float | None = None
    """c of the batch before, for `pid`."""
    mean: float = 0.0
    """Of the gradient, running, for `adam`."""
    square: float = 0.0
    """Of the gradient, running, for `adam`."""
    num_moves: int = 0
    """How often it has moved, for `adam`."""

    def to_json(self) -> dict[str, float | None]:
        """What a checkpoint keeps."""
        return asdict(self)

    def to_numbers(self) -> list[float]:
        """The same as numbers in a row; NaN where there is none."""
        return [math.nan if value is None else float(value) for value in astuple(self)]

    @staticmethod
    def from_numbers(row: Sequence[float]) -> "MultiplierState":
        """What `to_numbers` gave."""
        value, integral, before, mean, square, num_moves = row
        cost_before = None if math.isnan(before) else before
        return MultiplierState(
            value=value, integral=integral, cost_before=cost_before, mean=mean, square=square, num_moves=int(num_moves)
        )

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
                # Those who were saved before there was a rule that needs them have none.
                mean=float(saved.get("mean", 0.0)),
                square=float(saved.get("square", 0.0)),
                num_moves=int(saved.get("num_moves", 0)),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
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
    if config.rule == "adam":
        return _moved_by_adam(config, state, excess)
    integral = _clamped(state.integral + excess, config.maximum / config.integral)
    rise = 0.0 if state.cost_before is None else max(0.0, cost - state.cost_before)
    value = config.proportional * excess + config.integral * integral + config.derivative * rise
    return MultiplierState(value=_clamped(value, config.maximum), integral=integral, cost_before=cost)


def _moved_by_adam(config: MultiplierConfig, state: MultiplierState, gradient: float) -> MultiplierState:
    mean = _MEAN_DECAY * state.mean + (1 - _MEAN_DECAY) * gradient
    square = _SQUARE_DECAY * state.square + (1 - _SQUARE_DECAY) * gradient**2
    num_moves = state.num_moves + 1
    size = math.sqrt(square / (1 - _SQUARE_DECAY**num_moves)) + _EPSILON
    step = config.learning_rate * mean / (1 - _MEAN_DECAY**num_moves) / size
    wanted = state.value + step
    value = _clamped(wanted, config.maximum)
    if value != wanted:
        # At a bound nothing winds up that would have to unwind before it leaves.
        mean = max(0.0, mean) if wanted < value else min(0.0, mean)
    return MultiplierState(value=value, mean=mean, square=square, num_moves=num_moves)


def _clamped(value: float, maximum: float) -> float:
    return min(maximum, max(0.0, value))

r"""Whose wish counts where groups want different things: a declared rule, as weights of the groups' rewards.

- `mean`: every group weighs by its share of people.
- `least_happy`: the group that fares worst counts: $\max_\pi \min_g J_g(\pi)$, by multiplicative weights, whose mean
  policy comes as near to the best as $O(\sqrt{\log G / T})$ (Freund and Schapire 1999, Games Econ. Behav. 29).
- `budgeted`: one group's return is made as large as can be while every other loses at most a budget of what it could
  have: $\max_\pi J_k(\pi)$ with $J_g(\pi) \ge J_g^* - b$; prices of the others rise while they lose more (dual ascent).

Where the policy follows the weights only by and by, what was gathered against a group lags behind what it gets, and the
two go round each other. There `damping` lets how a group fares at present count beside it (the proportional part of a
PI controller; Stooke et al. 2020, arXiv 2007.03964, for prices of costs), which is nothing where the rule is kept.
Where the policy is the best answer to the weights at once, it would jump to and fro by that: there leave it at 0.

Returns are in units in which each group's best is 1 and its return by chance 0, so that no group counts for more by
shouting louder. The weights go into the reward, $r = \sum_g \lambda_g r_g$. Shapes: G groups.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from heeler.core.errors import ConfigError, DataError, did_you_mean
from heeler.feedback.annotators.answers import Floats

Rule = Literal["mean", "least_happy", "budgeted"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True, kw_only=True)
class DecidingConfig:
    """Whose wish counts."""

    rule: Rule = "mean"
    """`mean`, `least_happy` or `budgeted`."""
    favoured: int = 0
    """The group whose return `budgeted` makes as large as can be, by number."""
    budget: float = 0.2
    """What every other group may lose under `budgeted`, as a share of what it could have."""
    step: float = 0.2
    """How far weights move at a time."""
    damping: float = 0.0
    """What the present counts, beside the sum of all steps; for policies that follow by and by."""

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(
                f"rule must be one of {', '.join(RULES)}, got {self.rule!r}.{did_you_mean(self.rule, RULES)}"
            )
        if self.favoured < 0:
            raise ConfigError(f"favoured must be >= 0, got {self.favoured}")
        if not 0 <= self.budget <= 1:
            raise ConfigError(f"budget must be between 0 and 1, got {self.budget}")
        if not 0 < self.step < math.inf:
            raise ConfigError(f"step must be > 0 and finite, got {self.step}")
        if not 0 <= self.damping < math.inf:
            raise ConfigError(f"damping must be >= 0 and finite, got {self.damping}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Deciding:
    """Where a rule stands."""

    weight_G: Floats
    """Of each group's reward; they add up to one."""
    price_G: Floats
    """What the rule has gathered against each group: logarithms of `least_happy`, prices of `budgeted`."""
    num_updates: int = 0


def begin(config: DecidingConfig, share_G: Floats) -> Deciding:
    """Before anything was acted.

    Raises:
        ConfigError: the favoured group is none.
    """
    num = len(share_G)
    if config.rule == "budgeted" and config.favoured >= num:
        raise ConfigError(f"favoured must be one of {num} groups, from 0 to {num - 1}; got {config.favoured}")
    return Deciding(weight_G=_weights(config, np.zeros(num), share_G), price_G=np.zeros(num))


def decide(config: DecidingConfig, state: Deciding, return_G: Floats, share_G: Floats) -> Deciding:
    """Take in how groups fared under the policy that the weights made.

    Args:
        config: the rule.
        state: where it stands.
        return_G: of each group, 1 for its best and 0 for chance.
        share_G: of people.

    Raises:
        DataError: returns are not one for each group, or not finite.
    """
    if return_G.shape != state.weight_G.shape or not np.isfinite(return_G).all():
        raise DataError(f"returns: expected {len(state.weight_G)} finite numbers, one a group, got {return_G}")
    length = config.step / math.sqrt(1 + state.num_updates)
    price_G = present_G = state.price_G
    if config.rule == "least_happy":
        price_G = price_G - length * return_G
        price_G = price_G - price_G.max()
        present_G = price_G - config.damping * return_G
    elif config.rule == "budgeted":
        over_G = (1 - config.budget) - return_G
        over_G[config.favoured] = 0.0
        price_G = np.maximum(0.0, price_G + length * over_G)
        present_G = np.maximum(0.0, price_G + config.damping * over_G)
    weight_G = _weights(config, present_G, share_G)
    return Deciding(weight_G=weight_G, price_G=price_G, num_updates=state.num_updates + 1)


def _weights(config: DecidingConfig, price_G: Floats, share_G: Floats) -> Floats:
    if config.rule == "mean":
        weight_G = share_G.astype(np.float64)
    elif config.rule == "least_happy":
        weight_G = np.exp(price_G - price_G.max())
    else:
        weight_G = price_G.copy()
        weight_G[config.favoured] = 1.0
    return weight_G / weight_G.sum()

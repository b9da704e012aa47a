"""Apprenticeship by feature matching (Abbeel and Ng 2004): policies that together earn as demonstrators do.

Shapes: S states, A actions, N parameters, T times, R policies.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import ConfigError
from heeler.rewards.inverse.demonstrations import Demonstrations
from heeler.rewards.inverse.dynamics import Dynamics
from heeler.rewards.inverse.forms import FormName, RewardForm, reward_form
from heeler.rewards.inverse.planning import Plan, Visits, flow, plan

_NO_GAIN = 1e-9


@dataclass(frozen=True, kw_only=True)
class FeatureMatchingConfig:
    """Settings of `FeatureMatching`."""

    reward: FormName | None = None
    """features, state or state-action; None for features where the world has some, else state."""
    tolerance: float = 1e-3
    """Margin at which the mixture counts as earning what the demonstrators earn."""
    max_rounds: int = 200
    """Of planning."""

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ConfigError(f"tolerance must be above 0, got {self.tolerance}")
        if self.max_rounds < 1:
            raise ConfigError(f"max_rounds must be at least 1, got {self.max_rounds}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """Policies to draw one of at the beginning of each episode, and the reward that came last."""

    form: RewardForm
    parameter_N: np.ndarray
    """Of length 1: what the demonstrators earn more by than the mixture, as far as they do."""
    last_plan: Plan
    """The best under that reward."""
    action_RTS: np.ndarray
    """int64: what each policy does; −1 for a coin, which is the first policy."""
    weight_R: np.ndarray
    """Probability of each policy."""
    visits: Visits
    """Of the mixture."""
    gap_N: np.ndarray
    """[N] mixture less demonstrators."""
    margins: tuple[float, ...]
    """Length of the gap before each round, and after the last: how far demonstrators and mixture can be told apart."""
    converged: bool
    """Whether the last margin is within the tolerance; if not, none is nearer, or the rounds were used up."""
    is_nearest: bool
    """Whether no policy in this world comes nearer: chance was kinder to the demonstrators than it is on average, or
    they were cut short."""
    seconds: float


class FeatureMatching:
    r"""Rounds of planning against the demonstrators.

    Each round takes for the reward $w = \mu_E - \bar\mu$, what the demonstrators' features are beyond the mixture's,
    finds the best policy for it, and moves the mixture to the nearest point on the way to that policy's features.

    Args:
        config: settings.
    """

    def __init__(self, config: FeatureMatchingConfig | None = None) -> None:
        self.config = config or FeatureMatchingConfig()

    def fit(self, demonstrations: Demonstrations, *, on_round: Callable[[int, float], None] | None = None) -> Mixture:
        """Learn from demonstrations.

        Raises:
            ConfigError: the world has no features.
        """
        began = time.perf_counter()
        world = demonstrations.world.starting(demonstrations.start_S)
        form, dynamics = reward_form(world, self.config.reward), Dynamics(world)
        target_N = form.gathered(demonstrations.visits)
        num_times = world.horizon or 1
        coin_TSA = np.full((num_times, world.num_states, world.num_actions), 1 / world.num_actions)
        found = [flow(world, coin_TSA, dynamics=dynamics)]
        actions = [np.full((num_times, world.num_states), -1)]
        weights = np.ones(1)
        mixed_N = form.gathered(found[0])
        margins = [float(np.linalg.norm(target_N - mixed_N))]
        made, is_nearest = None, False
        while made is None or (margins[-1] > self.config.tolerance and len(margins) <= self.config.max_rounds):
            weight_N = (target_N - mixed_N) / max(margins[-1], 1e-300)
            warm_S = None if made is None else made.first_value_S
            made = plan(world, *form.tables(weight_N), backup="hard", dynamics=dynamics, warm_S=warm_S)
            visits = flow(world, made.policy_TSA, dynamics=dynamics)
            way_N = form.gathered(visits) - mixed_N
            gain = float(way_N @ weight_N)
            if margins[-1] <= self.config.tolerance or gain <= _NO_GAIN * max(1.0, float(np.abs(mixed_N).max())):
                is_nearest = margins[-1] > self.config.tolerance
                break
            share = min(1.0, gain * margins[-1] / float(way_N @ way_N))
            weights = np.append(weights * (1 - share), share)
            found.append(visits)
            actions.append(made.policy_TSA.argmax(-1))
            mixed_N = mixed_N + share * way_N
            margins.append(float(np.linalg.norm(target_N - mixed_N)))
            if on_round is not None:
                on_round(len(margins) - 1, margins[-1])
        used = weights > 0
        return Mixture(
            form=form,
            parameter_N=weight_N,
            last_plan=made,
            action_RTS=np.stack([own for own, one in zip(actions, used, strict=True) if one]),
            weight_R=weights[used],
            visits=_mixed(found, weights),
            gap_N=mixed_N - target_N,
            margins=tuple(margins),
            converged=margins[-1] <= self.config.tolerance,
            is_nearest=is_nearest,
            seconds=time.perf_counter() - began,
        )


def _mixed(visits: list[Visits], weights: np.ndarray) -> Visits:
    step_SA = sum((weight * each.step_SA for weight, each in zip(weights, visits, strict=True)), np.zeros(1))
    end_S = sum((weight * each.end_S for weight, each in zip(weights, visits, strict=True)), np.zeros(1))
    return Visits(step_SA=np.asarray(step_SA), end_S=np.asarray(end_S))

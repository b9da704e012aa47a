r"""Maximum causal entropy inverse reinforcement learning (Ziebart 2010; Ziebart, Bagnell and Dey 2010), exactly.

Shapes: S states, A actions, N parameters, T times.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.rewards.inverse.demonstrations import Demonstrations
from heeler.rewards.inverse.dynamics import Dynamics
from heeler.rewards.inverse.forms import FormName, RewardForm, reward_form
from heeler.rewards.inverse.minimising import Minimum, minimise
from heeler.rewards.inverse.planning import Plan, Visits, flow, plan
from heeler.rewards.inverse.world import FiniteWorld

Aim = Literal["match", "likelihood"]
OnStep = Callable[[int, float], None]
"""Told how often values were solved, and the largest part of the gradient."""


@dataclass(frozen=True, kw_only=True)
class MaxCausalEntropyConfig:
    """Settings of `MaxCausalEntropy`."""

    reward: FormName | None = None
    """features, state or state-action; None for features where the world has some, else state."""
    aim: Aim | None = None
    """match: visits as the demonstrators'; likelihood: their actions as likely as can be. None for match of features
    where every demonstration is whole, else likelihood."""
    ridge: float = 1e-4
    """Weight of half the square of the parameters. It keeps the reward of what nobody ever does from going to minus
    infinity, and leaves a gap in what is matched of as much times the parameter."""
    tolerance: float = 1e-5
    """Of the largest part of the gradient."""
    max_evaluations: int = 2000
    """How often values may be solved."""

    def __post_init__(self) -> None:
        if not self.ridge >= 0:
            raise ConfigError(f"ridge must be at least 0, got {self.ridge}")
        if not self.tolerance > 0:
            raise ConfigError(f"tolerance must be above 0, got {self.tolerance}")
        if self.max_evaluations < 1:
            raise ConfigError(f"max_evaluations must be at least 1, got {self.max_evaluations}")


@dataclass(frozen=True, kw_only=True, eq=False)
class SoftFit:
    """A reward, and the soft policy that follows from it."""

    form: RewardForm
    parameter_N: np.ndarray
    plan: Plan
    visits: Visits
    """Of the soft policy, from the demonstrators' first states."""
    gap_N: np.ndarray
    """[N] how much less often each parameter is paid to the demonstrators than to the soft policy, discounted."""
    aim: Aim
    converged: bool
    num_evaluations: int
    seconds: float


class MaxCausalEntropy:
    r"""The reward under which the soft policy does as the demonstrators do.

    With aim `match` it is the minimum of the dual

    $$\sum_s p_0(s) V_0(s) - \theta \cdot F + \frac{\lambda}{2} |\theta|^2$$

    whose gradient is the features of the soft policy less those of the demonstrators; with `likelihood` the minimum of
    minus the mean log-likelihood of a demonstration, which has one also where chance was kinder to the few who
    demonstrated than it is on average, and where demonstrations were cut short. First states are the demonstrators'.

    Args:
        config: settings.
    """

    def __init__(self, config: MaxCausalEntropyConfig | None = None) -> None:
        self.config = config or MaxCausalEntropyConfig()

    def fit(self, demonstrations: Demonstrations, *, on_step: OnStep | None = None) -> SoftFit:
        """Learn from demonstrations.

        Raises:
            ConfigError: the world has no features, or what was cut short is to be matched.
            LearningError: the reward has grown beyond bounds.
        """
        world = demonstrations.world.starting(demonstrations.start_S)
        form = reward_form(world, self.config.reward)
        whole = bool(demonstrations.is_whole_K.all())
        aim: Aim = self.config.aim or ("match" if whole and form.name == "features" else "likelihood")
        if aim == "match" and not whole:
            which = int(demonstrations.is_whole_K.argmin())
            raise ConfigError(
                f"aim 'match' needs whole demonstrations, and demonstration {which} ends neither in a terminal state "
                "nor at the horizon; choose likelihood"
            )
        target_N = form.gathered(demonstrations.visits)
        search = _Search(world, form, self.config.ridge)
        if aim == "match":
            return self._found(search, aim, target_N, lambda point_N: search.dual(point_N, target_N), on_step)
        steps = demonstrations.counts_by_time()
        num = demonstrations.num_demonstrations
        return self._found(search, aim, target_N, lambda point_N: search.likelihood(point_N, steps, num), on_step)

    def fit_visits(self, world: FiniteWorld, target_N: np.ndarray, *, on_step: OnStep | None = None) -> SoftFit:
        """Match known visits, from the world's own first states.

        Args:
            world: finite.
            target_N: how often each parameter is paid to the demonstrators, in expectation, discounted; of the form
                `state` it is their visits of each state, the last of an episode among them.
            on_step: told of each step.

        Raises:
            ConfigError: a likelihood is to be reached, which visits do not have, or the world has no features.
            DataError: the visits have another shape, or are no finite numbers.
        """
        if self.config.aim == "likelihood":
            raise ConfigError("aim 'likelihood' needs demonstrations; known visits can only be matched")
        form = reward_form(world, self.config.reward)
        if target_N.shape != (form.num_parameters,) or not np.isfinite(target_N).all():
            raise DataError(f"visits must be {form.num_parameters} finite numbers, got shape {target_N.shape}")
        search = _Search(world, form, self.config.ridge)
        return self._found(search, "match", target_N, lambda point_N: search.dual(point_N, target_N), on_step)

    def _found(
        self,
        search: "_Search",
        aim: Aim,
        target_N: np.ndarray,
        objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
        on_step: OnStep | None,
    ) -> SoftFit:
        began = time.perf_counter()
        config, form = self.config, search.form
        found: Minimum = minimise(
            objective,
            np.zeros(form.num_parameters),
            tolerance=config.tolerance,
            max_evaluations=config.max_evaluations,
            scale_N=search.scale(target_N),
            on_step=on_step,
        )
        planned = search.planned(found.point_N)
        visits = flow(search.world, planned.policy_TSA, dynamics=search.dynamics)
        return SoftFit(
            form=form,
            parameter_N=found.point_N,
            plan=planned,
            visits=visits,
            gap_N=form.gathered(visits) - target_N,
            aim=aim,
            converged=found.converged,
            num_evaluations=found.num_evaluations,
            seconds=time.perf_counter() - began,
        )


class _Search:
    """Objectives of the search; values are solved from where they were for the reward before."""

    def __init__(self, world: FiniteWorld, form: RewardForm, ridge: float) -> None:
        self.world, self.form, self.dynamics = world, form, Dynamics(world)
        self._ridge = ridge
        self._warm_S: np.ndarray | None = None
        self._mass_S: np.ndarray | None = None

    def planned(self, point_N: np.ndarray) -> Plan:
        """The soft plan under these parameters."""
        made = plan(self.world, *self.form.tables(point_N), dynamics=self.dynamics, warm_S=self._warm_S)
        self._warm_S = made.first_value_S
        return made

    def scale(self, target_N: np.ndarray) -> np.ndarray:
        """[N] how far each parameter has to go beside the others, judged by how often it is paid.

        Without it a table takes ten times as many steps: a state that is seldom visited bends the dual as little as
        it is.
        """
        made = self.planned(np.zeros(self.form.num_parameters))
        curvature_N = self.form.squares(flow(self.world, made.policy_TSA, dynamics=self.dynamics))
        if self.form.features is None:
            curvature_N = (curvature_N + np.maximum(target_N, 0.0)) / 2
        floor = max(1e-6 * float(curvature_N.max(initial=0.0)), self._ridge, 1e-12)
        return 1 / np.sqrt(np.maximum(curvature_N, floor))

    def dual(self, point_N: np.ndarray, target_N: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient of the dual."""
        made = self.planned(point_N)
        visits = flow(self.world, made.policy_TSA, dynamics=self.dynamics, guess_S=self._mass_S)
        self._mass_S = visits.mass_S
        value = float(self.world.start_S @ made.first_value_S - point_N @ target_N)
        gradient_N = self.form.gathered(visits) - target_N
        return value + self._ridge / 2 * float(point_N @ point_N), gradient_N + self._ridge * point_N

    def likelihood(self, point_N: np.ndarray, steps: list[np.ndarray], num: int) -> tuple[float, np.ndarray]:
        """Value and gradient of minus the mean log-likelihood of a demonstration."""
        made = self.planned(point_N)
        seen = zip(steps, made.log_policy_TSA, strict=False)
        value = -sum(float((counts_SA * log_SA).sum()) for counts_SA, log_SA in seen) / num
        gradients = flow(self.world, made.policy_TSA, steps=steps, dynamics=self.dynamics, guess_S=self._mass_S)
        self._mass_S = gradients.mass_S
        gradient_N = -self.form.gathered(gradients) / num
        return value + self._ridge / 2 * float(point_N @ point_N), gradient_N + self._ridge * point_N

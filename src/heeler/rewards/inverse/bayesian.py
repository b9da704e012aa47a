r"""Bayesian inverse reinforcement learning (Ramachandran and Amir 2007): a posterior over rewards.

$$p(a | s, R) \propto e^{\beta Q^*(s, a; R)},\qquad p(R | \text{seen}) \propto p(R) \prod p(a | s, R)$$

Beside the paper: the sampler is elliptical slice sampling (Murray, Adams and MacKay 2010), which has no step size to
tune, in turn on ellipses of a normal distribution put about where the posterior is (Nishihara, Murray and Adams
2014), and of one as wide as the prior. That decides how quickly chains come together, and not what they come to.

Shapes: C chains, D draws, N parameters, S states, A actions, T times.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heeler.core.errors import ConfigError
from heeler.rewards.inverse.chains import effective_sample_size, split_r_hat
from heeler.rewards.inverse.demonstrations import Demonstrations
from heeler.rewards.inverse.forms import FormName, RewardForm, reward_form
from heeler.rewards.inverse.planning import Plan, backed_up, plan
from heeler.rewards.inverse.sensitivity import MAX_PARAMETERS, information, is_small, sensitivities
from heeler.rewards.inverse.world import FiniteWorld, to_dense

Prior = Literal["gaussian", "laplace"]
MAX_STATES = 400
_MAX_SHRINKS = 200
_MAX_SCORINGS = 60
_WIDE_EVERY = 3
_WIDENED = 1.5
"""Covariance of the normal distribution beside the posterior's own: tails that it lacks are where chains get stuck."""


@dataclass(frozen=True, kw_only=True)
class BayesianConfig:
    """Settings of `Bayesian`."""

    reward: FormName | None = None
    """features, state or state-action; None for features where the world has some, else state."""
    prior: Prior = "gaussian"
    """Of each parameter by itself, around 0."""
    prior_scale: float = 1.0
    """Standard deviation of a Gaussian; mean size of a Laplace prior."""
    rationality: float = 5.0
    """Beta: how much likelier a better action is; 0 is a coin."""
    num_chains: int = 4
    """At least 2, so that they can be compared."""
    num_draws: int = 1000
    """Draws of each chain that are kept."""
    num_warmup: int | None = None
    """Draws of each chain before those, which are thrown away; None for a third of `num_draws`."""
    level: float = 0.95
    """Of credible intervals."""
    seed: int = 0
    """Of the chains."""

    def __post_init__(self) -> None:
        for name in ("prior_scale", "rationality"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{name} must be above 0, got {value}")
        if self.prior not in ("gaussian", "laplace"):
            raise ConfigError(f"prior must be gaussian or laplace, got {self.prior!r}")
        for name, least in (("num_chains", 2), ("num_warmup", 0), ("num_draws", 4)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")
        if not 0 < self.level < 1:
            raise ConfigError(f"level must be between 0 and 1, got {self.level}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """What is believed of the reward."""

    form: RewardForm
    draws_CDN: np.ndarray
    mean_N: np.ndarray
    low_N: np.ndarray
    """Of credible intervals."""
    high_N: np.ndarray
    r_hat_N: np.ndarray
    """Split R-hat of each parameter."""
    sample_size_N: np.ndarray
    """Independent draws that all draws are worth."""
    plan: Plan
    """The best under the posterior mean."""
    log_likelihood: float
    """Of all actions under the posterior mean, with the same rationality."""
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether the chains agree: split R-hat at most 1.01, and 100 independent draws of everything at least."""
        return bool(np.nanmax(self.r_hat_N) <= 1.01 and np.nanmin(self.sample_size_N) >= 100)


class Bayesian:
    """Samples the posterior.

    Args:
        config: settings.
    """

    def __init__(self, config: BayesianConfig | None = None) -> None:
        self.config = config or BayesianConfig()

    def fit(self, demonstrations: Demonstrations, *, on_draw: Callable[[int, int], None] | None = None) -> Posterior:
        """Learn from demonstrations, whole or cut short.

        Args:
            demonstrations: of people.
            on_draw: told the draws made, those thrown away among them, and how many there will be.

        Raises:
            ConfigError: the world has no features, or too many states.
        """
        began, config = time.perf_counter(), self.config
        world = demonstrations.world
        if world.num_states > MAX_STATES:
            raise ConfigError(
                f"method bayesian takes at most {MAX_STATES} states, and the world has {world.num_states}; choose mce"
            )
        form = reward_form(world, config.reward)
        if not is_small(world, form):
            raise ConfigError(f"method bayesian takes at most {MAX_PARAMETERS} parameters, got {form.num_parameters}")
        likelihood = Likelihood(demonstrations, form, config)
        near, prior = likelihood.normal_near(), likelihood.normal_prior()
        rng = np.random.default_rng(config.seed)
        # Begun further apart than they will be, so that what R-hat says of them means something.
        spread_CN = 2 * rng.normal(size=(config.num_chains, form.num_parameters))
        at_CN = near.mean_N + spread_CN @ near.root_NN.T
        draws: list[np.ndarray] = []
        num_warmup = config.num_draws // 3 if config.num_warmup is None else config.num_warmup
        total = num_warmup + config.num_draws
        found_C = likelihood.log_posterior(at_CN)
        for draw in range(total):
            # Wide ellipses are dear where much was seen, and needed where little was.
            for about in (near, prior) if draw % _WIDE_EVERY == 0 else (near,):
                at_CN, found_C = elliptical_slice(at_CN, found_C, likelihood.log_posterior, about, rng)
            if draw >= num_warmup:
                draws.append(at_CN)
            if on_draw is not None:
                on_draw(draw + 1, total)
        draws_CDN = np.stack(draws, axis=1)
        mean_N = draws_CDN.mean((0, 1))
        tail = (1 - config.level) / 2
        low_N, high_N = np.quantile(draws_CDN, [tail, 1 - tail], axis=(0, 1))
        return Posterior(
            form=form,
            draws_CDN=draws_CDN,
            mean_N=mean_N,
            low_N=low_N,
            high_N=high_N,
            r_hat_N=split_r_hat(draws_CDN),
            sample_size_N=effective_sample_size(draws_CDN),
            plan=plan(world, *form.tables(mean_N), backup="hard"),
            log_likelihood=float(likelihood.of_parameters(mean_N[None])[0]),
            seconds=time.perf_counter() - began,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Normal:
    """A normal distribution of N numbers."""

    mean_N: np.ndarray
    root_NN: np.ndarray
    """Lower triangle L with the covariance L Lᵀ."""

    def log_density(self, at_CN: np.ndarray) -> np.ndarray:
        """[C] up to a constant."""
        white_NC = np.linalg.solve(self.root_NN, (at_CN - self.mean_N).T)
        return -np.square(white_NC).sum(0) / 2


class Likelihood:
    """Likelihood and prior of C rewards at once, given demonstrations.

    Args:
        demonstrations: of people.
        form: of the rewards.
        config: prior and rationality.
    """

    def __init__(self, demonstrations: Demonstrations, form: RewardForm, config: BayesianConfig) -> None:
        self._world, self._form, self._config = demonstrations.world, form, config
        self._dense_SAS = to_dense(self._world)
        self._counts_TSA = np.stack(demonstrations.counts_by_time())

    def log_prior(self, parameter_CN: np.ndarray) -> np.ndarray:
        """[C] up to a constant."""
        scaled_CN = parameter_CN / self._config.prior_scale
        return -(np.square(scaled_CN) / 2 if self._config.prior == "gaussian" else np.abs(scaled_CN)).sum(1)

    def log_posterior(self, parameter_CN: np.ndarray) -> np.ndarray:
        """[C] up to a constant."""
        return self.of_parameters(parameter_CN) + self.log_prior(parameter_CN)

    def of_parameters(self, parameter_CN: np.ndarray) -> np.ndarray:
        """[C] log-likelihoods."""
        q_CTSA = optimal_values(self._world, self._dense_SAS, self._form, parameter_CN)
        scaled_CTSA = self._config.rationality * q_CTSA[:, : len(self._counts_TSA)]
        best_CTS1 = scaled_CTSA.max(-1, keepdims=True)
        log_sum_CTS1 = best_CTS1 + np.log(np.exp(scaled_CTSA - best_CTS1).sum(-1, keepdims=True))
        return (self._counts_TSA * (scaled_CTSA - log_sum_CTS1)).sum((1, 2, 3))

    def normal_prior(self) -> Normal:
        """A normal distribution of the prior's means and spreads."""
        N, scale = self._form.num_parameters, self._config.prior_scale
        spread = scale if self._config.prior == "gaussian" else math.sqrt(2) * scale
        return Normal(mean_N=np.zeros(N), root_NN=spread * np.eye(N))

    def normal_near(self) -> Normal:
        """A normal distribution about where the posterior is, by its mode, which scoring finds, and the information."""
        point_N = np.zeros(self._form.num_parameters)
        value = float((self.of_parameters(point_N[None]) + self.log_prior(point_N[None]))[0])
        gradient_N, information_NN = self._scores(point_N)
        for _ in range(_MAX_SCORINGS):
            step_N = np.linalg.solve(information_NN, gradient_N)
            sizes = 0.5 ** np.arange(8)
            tried_CN = point_N + sizes[:, None] * step_N
            values_C = self.of_parameters(tried_CN) + self.log_prior(tried_CN)
            best = int(values_C.argmax())
            if values_C[best] <= value + 1e-3:
                break
            point_N, value = tried_CN[best], float(values_C[best])
            gradient_N, information_NN = self._scores(point_N)
        covariance_NN = _WIDENED * np.linalg.inv(information_NN)
        return Normal(mean_N=point_N, root_NN=np.linalg.cholesky((covariance_NN + covariance_NN.T) / 2))

    def _scores(self, point_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient [N] of the logarithm of the posterior, and its expected curvature [N, N]."""
        beta, scale = self._config.rationality, self._config.prior_scale
        best = plan(self._world, *self._form.tables(point_N), backup="hard")
        q_TSA = optimal_values(self._world, self._dense_SAS, self._form, point_N[None])[0]
        if self._config.prior == "gaussian":
            gradient_N, precision_N = -point_N / scale**2, np.full(len(point_N), 1 / scale**2)
        else:
            # The kink is rounded off, here alone.
            soft_N = np.sqrt(np.square(point_N) + (0.1 * scale) ** 2)
            gradient_N, precision_N = -point_N / soft_N / scale, 1 / (2 * scale * np.maximum(soft_N, scale))
        information_NN = np.diag(precision_N)
        for step, q_SAN in sensitivities(self._world, self._form, best):
            if step >= len(self._counts_TSA):
                continue
            counts_SA = self._counts_TSA[step]
            policy_SA = backed_up(beta * q_TSA[step], "soft")[1]
            missing_SA = counts_SA - counts_SA.sum(1, keepdims=True) * policy_SA
            gradient_N = gradient_N + beta * np.einsum("sa,san->n", missing_SA, q_SAN)
            information_NN = information_NN + beta**2 * information(q_SAN, policy_SA, counts_SA.sum(1))
        return gradient_N, information_NN


def optimal_values(world: FiniteWorld, dense_SAS: np.ndarray, form: RewardForm, parameter_CN: np.ndarray) -> np.ndarray:
    """[C, T, S, A] values of actions when all that follows is done as well as can be.

    Args:
        world: finite.
        dense_SAS: its transitions; none out of terminal states.
        form: of the rewards.
        parameter_CN: C rewards.
    """
    step_SAC, end_SC = form.tables(parameter_CN.T)
    step_CSA, end_CS = np.moveaxis(step_SAC, -1, 0), end_SC.T
    C, S, A = step_CSA.shape
    flat_XS = dense_SAS.reshape(S * A, S)
    if world.horizon is not None:
        q_CTSA, value_CS = np.empty((C, world.horizon, S, A)), end_CS
        for step in reversed(range(world.horizon)):
            q_CTSA[:, step] = step_CSA + world.discount * (value_CS @ flat_XS.T).reshape(C, S, A)
            value_CS = np.where(world.terminal_S, end_CS, q_CTSA[:, step].max(-1))
        return q_CTSA
    greedy_CS = step_CSA.argmax(-1)
    paid_end_CS = np.where(world.terminal_S, end_CS, 0.0)
    # Every round of policy iteration is better than the one before until it is best.
    for _ in range(S * A + 1):
        matrix_CSS = np.eye(S) - world.discount * dense_SAS[np.arange(S), greedy_CS]
        paid_CS = np.where(world.terminal_S, paid_end_CS, np.take_along_axis(step_CSA, greedy_CS[..., None], 2)[..., 0])
        value_CS = np.linalg.solve(matrix_CSS, paid_CS[..., None])[..., 0]
        q_CSA = step_CSA + world.discount * (value_CS @ flat_XS.T).reshape(C, S, A)
        own_CS = np.take_along_axis(q_CSA, greedy_CS[..., None], 2)[..., 0]
        better_CS = (q_CSA.max(-1) > own_CS + 1e-10 * np.maximum(1.0, np.abs(own_CS))) & world.going_on_S
        if not better_CS.any():
            break
        greedy_CS = np.where(better_CS, q_CSA.argmax(-1), greedy_CS)
    return q_CSA[:, None]


def elliptical_slice(
    at_CN: np.ndarray,
    found_C: np.ndarray,
    log_density: Callable[[np.ndarray], np.ndarray],
    about: Normal,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """One draw of each chain: (numbers [C, N], the log-density there [C]).

    Args:
        at_CN: where the chains are.
        found_C: log-density there.
        log_density: of what is sampled, up to a constant, of any number of rows.
        about: the normal distribution whose ellipses are gone along.
        rng: what chance follows from.
    """
    C = len(at_CN)
    centred_CN, other_CN = at_CN - about.mean_N, rng.normal(size=at_CN.shape) @ about.root_NN.T
    # What is sampled is as much as the normal distribution times this height, which is what is sliced.
    least_C = found_C - about.log_density(at_CN) + np.log(rng.random(C))
    angle_C = rng.uniform(0, 2 * math.pi, C)
    low_C, high_C = angle_C - 2 * math.pi, angle_C.copy()
    next_CN, next_found_C = at_CN.copy(), found_C.copy()
    open_c = np.arange(C)
    for _ in range(_MAX_SHRINKS):
        cosine, sine = np.cos(angle_C[open_c])[:, None], np.sin(angle_C[open_c])[:, None]
        tried = about.mean_N + centred_CN[open_c] * cosine + other_CN[open_c] * sine
        value = log_density(tried)
        good = value - about.log_density(tried) > least_C[open_c]
        next_CN[open_c[good]], next_found_C[open_c[good]] = tried[good], value[good]
        open_c = open_c[~good]
        if not len(open_c):
            break
        # Shrunk towards where the chain is, which is always good enough.
        below = angle_C[open_c] < 0
        low_C[open_c[below]], high_C[open_c[~below]] = angle_C[open_c[below]], angle_C[open_c[~below]]
        angle_C[open_c] = rng.uniform(low_C[open_c], high_C[open_c])
    return next_CN, next_found_C

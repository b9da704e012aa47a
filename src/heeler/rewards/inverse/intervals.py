"""How sure the parameters of a soft fit are, by the demonstrations that there are.

Shapes: K demonstrations, N parameters, T times, S states, A actions.
"""

from statistics import NormalDist

import numpy as np

from heeler.rewards.inverse.demonstrations import Demonstrations
from heeler.rewards.inverse.dynamics import Dynamics
from heeler.rewards.inverse.forms import RewardForm
from heeler.rewards.inverse.identification import Identification
from heeler.rewards.inverse.max_causal_entropy import SoftFit
from heeler.rewards.inverse.sensitivity import information, sensitivities
from heeler.rewards.inverse.world import FiniteWorld


def standard_errors(fit: SoftFit, demonstrations: Demonstrations, identification: Identification) -> np.ndarray | None:
    r"""[N] standard errors; NaN for parameters that are not identified. None where there are none to be had.

    Of a fit by likelihood the inverse of the information. Of matched features $H^{-1} \text{Cov}[F] H^{-1} / K$, with
    the curvature H of the dual and the covariance of one demonstration's features, by the delta method. They are for
    many demonstrations, given the first states, and leave the ridge's pull out of account.

    Args:
        fit: of these demonstrations.
        demonstrations: at least two for matched features.
        identification: of the same.
    """
    if not identification.is_computed or identification.information_NN is None:
        return None
    K = demonstrations.num_demonstrations
    if fit.aim == "likelihood":
        covariance_NN = _inverse(identification.information_NN)
    else:
        if K < 2:
            return None
        world = demonstrations.world.starting(demonstrations.start_S)
        inverse_NN = _inverse(dual_curvature(world, fit))
        spread_NN = np.atleast_2d(np.cov(paid_by_demonstration(fit.form, demonstrations), rowvar=False))
        covariance_NN = inverse_NN @ spread_NN @ inverse_NN / K
    error_N = np.sqrt(np.maximum(np.diag(covariance_NN), 0.0))
    return np.where(identification.is_identified_N, error_N, np.nan)


def interval(parameter_N: np.ndarray, error_N: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of normal confidence intervals."""
    reach_N = NormalDist().inv_cdf(0.5 + level / 2) * error_N
    return parameter_N - reach_N, parameter_N + reach_N


def dual_curvature(world: FiniteWorld, fit: SoftFit) -> np.ndarray:
    """[N, N] second derivatives of the dual: the information of the soft policy's own discounted visits."""
    visits_TS = _visits_by_time(world, fit)
    curvature_NN = np.zeros((fit.form.num_parameters,) * 2)
    for time, q_SAN in sensitivities(world, fit.form, fit.plan):
        curvature_NN += information(q_SAN, fit.plan.policy_TSA[time], visits_TS[time])
    return curvature_NN


def paid_by_demonstration(form: RewardForm, demonstrations: Demonstrations) -> np.ndarray:
    """[K, N] how often each parameter was paid in each demonstration, discounted."""
    world, K = demonstrations.world, demonstrations.num_demonstrations
    which_X = np.repeat(np.arange(K), demonstrations.num_steps_K)
    weight_X = world.discount**demonstrations.time_X
    state_X, action_X = demonstrations.state_X, demonstrations.action_X
    paid_KN = np.zeros((K, form.num_parameters))
    if form.is_of_states:
        every_X = np.concatenate((state_X, demonstrations.last_K))
        weights_X = np.concatenate((weight_X, world.discount**demonstrations.num_steps_K))
        whose_X = np.concatenate((which_X, np.arange(K)))
        if form.features is None:
            np.add.at(paid_KN, (whose_X, every_X), weights_X)
        else:
            np.add.at(paid_KN, whose_X, weights_X[:, None] * form.features[every_X])
    elif form.features is not None:
        np.add.at(paid_KN, which_X, weight_X[:, None] * form.features[state_X, action_X])
    else:
        place_S = np.cumsum(form.going_on_S) - 1
        np.add.at(paid_KN, (which_X, place_S[state_X] * form.num_actions + action_X), weight_X)
    return paid_KN


def _visits_by_time(world: FiniteWorld, fit: SoftFit) -> np.ndarray:
    if world.horizon is None:
        return fit.visits.step_SA.sum(1)[None]
    dynamics, mass_S = Dynamics(world), world.start_S
    visits: list[np.ndarray] = []
    for policy_SA in fit.plan.policy_TSA:
        mass_S = np.where(world.terminal_S, 0.0, mass_S)
        visits.append(mass_S)
        mass_S = world.discount * dynamics.pushed(policy_SA * mass_S[:, None])
    return np.stack(visits)


def _inverse(matrix_NN: np.ndarray) -> np.ndarray:
    """Its pseudo-inverse: what is not identified is told apart elsewhere."""
    return np.linalg.pinv(matrix_NN, rcond=1e-11, hermitian=True)

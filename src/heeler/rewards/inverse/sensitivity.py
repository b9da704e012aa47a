r"""How soft action values answer to a reward's parameters, and what follows: information and what is not seen.

$\partial Q_t / \partial \theta$ obeys the same recursion as the values, with the policy in place of the soft maximum.
Seen steps tell of a parameter as much as the action values of one state differ by it:

$$I = \sum_t \sum_s n_t(s)\ \text{Cov}_{a \sim \pi_t(s)}\left[\frac{\partial Q_t(s, a)}{\partial \theta}\right]$$

Shapes: S states, A actions, N parameters, T times.
"""

from collections.abc import Iterator

import numpy as np

from heeler.rewards.inverse.dynamics import Dynamics
from heeler.rewards.inverse.forms import RewardForm
from heeler.rewards.inverse.planning import Plan
from heeler.rewards.inverse.world import FiniteWorld

MAX_PARAMETERS, MAX_NUMBERS = 1000, 30_000_000


def is_small(world: FiniteWorld, form: RewardForm) -> bool:
    """Whether what is done here fits into memory and a minute."""
    numbers = world.num_states * world.num_actions * form.num_parameters
    return form.num_parameters <= MAX_PARAMETERS and numbers <= MAX_NUMBERS


def sensitivities(world: FiniteWorld, form: RewardForm, plan: Plan) -> Iterator[tuple[int, np.ndarray]]:
    """(time, [S, A, N] derivatives of action values by parameters), the last time first."""
    step_SAN, end_SN = form.tables(np.eye(form.num_parameters))
    dynamics = Dynamics(world)
    terminal_S1 = world.terminal_S[:, None]
    if world.horizon is None:
        policy_SA = plan.policy_TSA[0]
        paid_SN = np.where(terminal_S1, end_SN, np.einsum("sa,san->sn", policy_SA, step_SAN))
        value_SN = dynamics.under(policy_SA).solve(paid_SN)
        yield 0, step_SAN + world.discount * dynamics.expected(value_SN)
        return
    value_SN = end_SN
    for time in reversed(range(world.horizon)):
        q_SAN = step_SAN + world.discount * dynamics.expected(value_SN)
        value_SN = np.where(terminal_S1, end_SN, np.einsum("sa,san->sn", plan.policy_TSA[time], q_SAN))
        yield time, q_SAN


def information(q_SAN: np.ndarray, policy_SA: np.ndarray, weight_S: np.ndarray) -> np.ndarray:
    """[N, N] covariance of the derivatives over the actions of a policy, summed over states by their weights."""
    some_S = weight_S > 0
    q_san, policy_sa = q_SAN[some_S], policy_SA[some_S]
    lead_san = q_san - np.einsum("sa,san->sn", policy_sa, q_san)[:, None]
    lead_san *= np.sqrt(policy_sa * weight_S[some_S, None])[..., None]
    flat_XN = lead_san.reshape(-1, q_SAN.shape[-1])
    return flat_XN.T @ flat_XN


def differences(q_SAN: np.ndarray, some_S: np.ndarray) -> np.ndarray:
    """[N, N] squares of how the action values of some states differ from their mean over actions.

    A change of parameters leaves every soft policy in those states as it is just where this is 0 along it, however
    unlikely an action is.
    """
    q_san = q_SAN[some_S]
    flat_XN = (q_san - q_san.mean(1, keepdims=True)).reshape(-1, q_SAN.shape[-1])
    return flat_XN.T @ flat_XN

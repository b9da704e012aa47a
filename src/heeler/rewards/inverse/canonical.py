r"""What two rewards have in common once all that no behaviour can tell apart is taken away.

Rewards that differ by a potential, $r'(s, a) = r(s, a) + \gamma E[\phi(s')] - \phi(s)$, have the same best policies and
the same soft policies (Ng, Harada and Russell 1999; Cao, Cohen and Szpruch 2021), and so have those that differ by a
constant, where episodes do not end early, and best policies those that differ by a scale. EPIC (Gleave et al. 2020)
takes such differences away before it compares; here, as in DARD (Wulfe et al. 2022), the world's own transitions do
it: the canonical form of a reward is its advantage under a coin, which no potential changes.

Shapes: S states, A actions, T times, or 1 where there is no horizon.
"""

import math

import numpy as np

from heeler.rewards.inverse.dynamics import Dynamics
from heeler.rewards.inverse.world import FiniteWorld

Tables = tuple[np.ndarray, np.ndarray]
"""Reward of actions [S, A] and of ends [S]."""


def canonical(world: FiniteWorld, tables: Tables) -> np.ndarray:
    r"""[T, S, A] the advantage of each action under a policy that tosses a coin; 0 in terminal states.

    $$Q_t(s, a) = r(s, a) + \gamma E[V_{t+1}(s')],\quad V_t = \text{mean}_a\ Q_t,\quad C(r)_t = Q_t - V_t$$

    Args:
        world: finite.
        tables: reward of actions and of ends.
    """
    step_SA, end_S = tables
    dynamics, going_on_S1 = Dynamics(world), world.going_on_S[:, None]
    if world.horizon is None:
        coin_SA = np.full(step_SA.shape, 1 / world.num_actions)
        paid_S = np.where(world.terminal_S, end_S, step_SA.mean(1))
        value_S = dynamics.under(coin_SA).solve(paid_S)
        lead_SA = step_SA + world.discount * dynamics.expected(value_S) - value_S[:, None]
        return np.where(going_on_S1, lead_SA, 0.0)[None]
    lead_TSA = np.empty((world.horizon, *step_SA.shape))
    value_S = end_S
    for time in reversed(range(world.horizon)):
        q_SA = step_SA + world.discount * dynamics.expected(value_S)
        value_S = np.where(world.terminal_S, end_S, q_SA.mean(1))
        lead_TSA[time] = np.where(going_on_S1, q_SA - value_S[:, None], 0.0)
    return lead_TSA


def reward_distance(world: FiniteWorld, first: Tables, second: Tables) -> float:
    r"""How far two rewards are apart, from 0 to 1, whatever potential, constant or scale they differ by.

    $\sqrt{(1 - \rho) / 2}$ with the correlation $\rho$ of their canonical forms over all states that can be reached,
    all times and all actions: 0 for rewards that are one and the same, 0.71 for such as have nothing to do with one
    another, 1 for opposites. A reward that leaves all behaviour equally good is at 0 from another such and at 0.71
    from any other.

    Args:
        world: finite.
        first: reward of actions [S, A] and of ends [S].
        second: the other.
    """
    weight_TS1 = reachable(world)[..., None]
    canonical_forms = [canonical(world, tables) * weight_TS1 for tables in (first, second)]
    sizes = [float(np.linalg.norm(form)) for form in canonical_forms]
    scales = [float(max(np.abs(step).max(), np.abs(end).max())) for step, end in (first, second)]
    trivial = [size <= 1e-9 * max(scale, 1e-300) for size, scale in zip(sizes, scales, strict=True)]
    if any(trivial):
        return 0.0 if all(trivial) else math.sqrt(0.5)
    # Of unit vectors the distance is exact also where they are almost the same.
    units = [form / size for form, size in zip(canonical_forms, sizes, strict=True)]
    return min(1.0, float(np.linalg.norm(units[0] - units[1])) / 2)


def true_tables(world: FiniteWorld) -> Tables | None:
    """The world's true reward as tables; None where it is not known."""
    true = world.true_reward
    if true is None:
        return None
    if true.ndim == 2:
        return true, np.zeros(world.num_states)
    return np.repeat(true[:, None], world.num_actions, axis=1), true


def reachable(world: FiniteWorld) -> np.ndarray:
    """[T, S] bool: states that an episode can be in at each time, and go on from; without a horizon, at any time."""
    at_S = world.start_S > 0
    leads_SA = np.ones((world.num_states, world.num_actions))
    dynamics = Dynamics(world)
    if world.horizon is None:
        while True:
            more_S = at_S | (dynamics.pushed(leads_SA * at_S[:, None]) > 0)
            if (more_S == at_S).all():
                return (at_S & world.going_on_S)[None]
            at_S = more_S
    times: list[np.ndarray] = []
    for _ in range(world.horizon):
        times.append(at_S & world.going_on_S)
        at_S = dynamics.pushed(leads_SA * times[-1][:, None]) > 0
    return np.stack(times)

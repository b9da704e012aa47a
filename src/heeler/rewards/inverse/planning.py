r"""Values, policies and visits in a finite world: soft (maximum causal entropy) or hard (optimal), exactly.

A reward is two tables: `step_SA`, paid for each action, and `end_S`, paid in the state in which an episode ends, a
terminal one or the last one before the horizon. A reward of states is paid in every state that is visited, so that it
stands in both.

Shapes: S states, A actions, T times: the horizon, or 1 where there is none and nothing depends on the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heeler.core.errors import LearningError
from heeler.rewards.inverse.dynamics import Dynamics
from heeler.rewards.inverse.world import FiniteWorld

Backup = Literal["soft", "hard"]
_MAX_ROUNDS = 500


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What is best, or softly best, under one reward."""

    policy_TSA: np.ndarray
    """Probability of each action; in terminal states it is that of a coin and never counts."""
    log_policy_TSA: np.ndarray
    """Its logarithm; minus infinity where a hard policy never does it."""
    first_value_S: np.ndarray
    """[S] value of each state at the beginning of an episode."""

    @property
    def num_times(self) -> int:
        """T."""
        return len(self.policy_TSA)


@dataclass(frozen=True, kw_only=True, eq=False)
class Visits:
    """How often things are done in an episode, in expectation, discounted."""

    step_SA: np.ndarray
    """[S, A] actions."""
    end_S: np.ndarray
    """[S] ends of episodes, in a terminal state or at the horizon."""
    mass_S: np.ndarray | None = None
    """[S] where a solution for another policy may begin from, without a horizon."""

    @property
    def state_S(self) -> np.ndarray:
        r"""[S] visits of each state, the last of an episode among them.

        Without terminal states they sum to $(1 - \gamma^{H+1}) / (1 - \gamma)$, over the H + 1 states of H steps.
        """
        return self.step_SA.sum(1) + self.end_S


def plan(
    world: FiniteWorld,
    step_SA: np.ndarray,
    end_S: np.ndarray,
    *,
    backup: Backup = "soft",
    dynamics: Dynamics | None = None,
    warm_S: np.ndarray | None = None,
    tolerance: float = 1e-9,
) -> Plan:
    r"""Solve a world under a reward.

    $$Q_t(s, a) = r(s, a) + \gamma \sum_{s'} P(s' | s, a) V_{t+1}(s'),\qquad V_t(s) = \log \sum_a e^{Q_t(s, a)}$$

    and the maximum over actions in place of the logarithm where the backup is hard (Ziebart 2010, chapter 9). Without
    a horizon the fixed point is found by policy iteration, which is Newton's method for it.

    Args:
        world: finite.
        step_SA: reward of each action.
        end_S: reward of an end.
        backup: soft or hard.
        dynamics: of the world, where they were made already.
        warm_S: [S] values to begin from, without a horizon.
        tolerance: of values, as a share of the largest, without a horizon.

    Raises:
        LearningError: a reward is so large that values are no finite numbers.
    """
    dynamics = dynamics or Dynamics(world)
    _expect_finite(step_SA)
    _expect_finite(end_S)
    if world.horizon is None:
        return _stationary(world, step_SA, end_S, backup, dynamics, warm_S, tolerance)
    value_S = end_S
    shape = (world.horizon, *step_SA.shape)
    policy_TSA, log_policy_TSA = np.empty(shape), np.empty(shape)
    for time in reversed(range(world.horizon)):
        q_SA = step_SA + world.discount * dynamics.expected(value_S)
        backed_S, policy_TSA[time], log_policy_TSA[time] = backed_up(q_SA, backup)
        value_S = np.where(world.terminal_S, end_S, backed_S)
    _expect_finite(value_S)
    return Plan(policy_TSA=policy_TSA, log_policy_TSA=log_policy_TSA, first_value_S=value_S)


def backed_up(q_SA: np.ndarray, backup: Backup) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(value [S], policy [S, A], its logarithm) of action values; a hard policy takes the first of equals."""
    best_S1 = q_SA.max(1, keepdims=True)
    if backup == "hard":
        policy_SA = np.zeros_like(q_SA)
        policy_SA[np.arange(len(q_SA)), q_SA.argmax(1)] = 1.0
        return best_S1[:, 0], policy_SA, np.where(policy_SA > 0, 0.0, -np.inf)
    lead_SA = q_SA - best_S1
    weight_SA = np.exp(lead_SA)
    sum_S1 = weight_SA.sum(1, keepdims=True)
    log_S1 = np.log(sum_S1)
    return (best_S1 + log_S1)[:, 0], weight_SA / sum_S1, lead_SA - log_S1


def _stationary(
    world: FiniteWorld,
    step_SA: np.ndarray,
    end_S: np.ndarray,
    backup: Backup,
    dynamics: Dynamics,
    warm_S: np.ndarray | None,
    tolerance: float,
) -> Plan:
    value_S = np.zeros(world.num_states) if warm_S is None else warm_S
    value_S = np.where(world.terminal_S, end_S, value_S)
    for _ in range(_MAX_ROUNDS):
        q_SA = step_SA + world.discount * dynamics.expected(value_S)
        backed_S, policy_SA, log_policy_SA = backed_up(q_SA, backup)
        gap_S = np.where(world.terminal_S, 0.0, backed_S - value_S)
        _expect_finite(gap_S)
        if np.abs(gap_S).max() <= tolerance * max(1.0, float(np.abs(value_S).max())) * (1 - world.discount):
            break
        value_S = value_S + dynamics.under(policy_SA).solve(gap_S, tolerance=1e-6)
    else:
        raise LearningError(f"values did not settle in {_MAX_ROUNDS} rounds; take a smaller discount")
    return Plan(policy_TSA=policy_SA[None], log_policy_TSA=log_policy_SA[None], first_value_S=value_S)


def flow(
    world: FiniteWorld,
    policy_TSA: np.ndarray,
    *,
    first_S: np.ndarray | None = None,
    steps: Sequence[np.ndarray] | None = None,
    dynamics: Dynamics | None = None,
    guess_S: np.ndarray | None = None,
) -> Visits:
    r"""Where masses flow under a policy.

    $$m_t(s) = v_t(s) + \gamma \sum_{s', a'} P(s | s', a') u_{t-1}(s', a'),\quad u_t = q_t + \pi_t m_t$$

    With first states alone (v_0) this is how often everything is visited. With steps q that were seen, and each taken
    off the mass of its state, it is the gradient of their log-likelihood with respect to the rewards.

    Args:
        world: finite.
        policy_TSA: probability of each action.
        first_S: mass of each first state; None for the world's own where no steps are given, else for none.
        steps: [S, A] of each time.
        dynamics: of the world, where they were made already.
        guess_S: [S] masses to begin from, without a horizon.
    """
    dynamics = dynamics or Dynamics(world)
    if first_S is None:
        first_S = world.start_S if steps is None else np.zeros(world.num_states)
    if world.horizon is None:
        seen_SA = None if steps is None else steps[0]
        return _stationary_flow(world, policy_TSA[0], first_S, seen_SA, dynamics, guess_S)
    step_SA = np.zeros((world.num_states, world.num_actions))
    end_S, mass_S = np.zeros(world.num_states), first_S
    for time in range(world.horizon):
        end_S += np.where(world.terminal_S, mass_S, 0.0)
        mass_S = np.where(world.terminal_S, 0.0, mass_S)
        flown_SA = policy_TSA[time] * mass_S[:, None]
        if steps is not None and time < len(steps):
            flown_SA = flown_SA + steps[time] - policy_TSA[time] * steps[time].sum(1)[:, None]
        step_SA += flown_SA
        mass_S = world.discount * dynamics.pushed(flown_SA)
    return Visits(step_SA=step_SA, end_S=end_S + mass_S)


def _stationary_flow(
    world: FiniteWorld,
    policy_SA: np.ndarray,
    first_S: np.ndarray,
    seen_SA: np.ndarray | None,
    dynamics: Dynamics,
    guess_S: np.ndarray | None,
) -> Visits:
    source_S = first_S
    if seen_SA is not None:
        source_S = first_S - seen_SA.sum(1) + world.discount * dynamics.pushed(seen_SA)
    # What comes to a terminal state ends there.
    mass_S = dynamics.under(policy_SA).solve_transposed(source_S, guess_S=guess_S)
    end_S = np.where(world.terminal_S, mass_S, 0.0)
    step_SA = policy_SA * np.where(world.terminal_S, 0.0, mass_S)[:, None]
    if seen_SA is not None:
        step_SA = step_SA + seen_SA
    return Visits(step_SA=step_SA, end_S=end_S, mass_S=mass_S)


def evaluated(world: FiniteWorld, policy_TSA: np.ndarray, step_SA: np.ndarray, end_S: np.ndarray) -> float:
    """The return of a policy from the world's first states, in expectation."""
    visits = flow(world, policy_TSA)
    return float((visits.step_SA * step_SA).sum() + visits.end_S @ end_S)


def _expect_finite(value_S: np.ndarray) -> None:
    if not np.isfinite(value_S).all():
        raise LearningError("values are no finite numbers any more: the reward has grown too large; raise the ridge")

"""What the collector hands to everybody else: T steps of N environments, in NumPy, with ends kept apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


def cost_figure(name: str) -> str:
    """What the sum of a cost over an episode is called among an episode's figures."""
    return f"cost_{name}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Rollout:
    """T steps of N environments under one policy version.

    Shapes: T steps, N environments, O observation numbers, A action numbers, C costs, S drawing numbers, E ended
    episodes.
    """

    observation: np.ndarray
    """[T+1, N, O] float32; row t+1 is the reset observation where an episode ended at t."""
    action: np.ndarray
    """[T, N, A] what the policy chose: float32 for Box (before clipping), int64 for Discrete (A = 1), MultiDiscrete."""
    executed: np.ndarray
    """[T, N, A] what the world was given: within the bounds of Box, and what overseers and a shield made of it; people
    judge this."""
    log_prob: np.ndarray
    """[T, N] float32: log-probability of `learned_action` under the policy that chose."""
    true_reward: np.ndarray
    """[T, N] float64: the environment's own reward. Where the reward is learned, only simulated teachers, metrics and
    reports look at it."""
    cost: np.ndarray
    """[T, N, C] float64: what each step cost, in the order of the world's `cost_names`; after them stand the run's own
    costs, once they are counted."""
    terminated: np.ndarray
    """[T, N] bool: the episode ended in a terminal state; its value is zero."""
    truncated: np.ndarray
    """[T, N] bool: the episode was cut; the terminal observation's value is bootstrapped."""
    final_index: np.ndarray
    """[E, 2] int64: (t, n) of each ended episode."""
    final_observation: np.ndarray
    """[E, O] float32: the observation that ended it."""
    snapshot: np.ndarray | None
    """[T, N, S] float32: what drawing needs of the state before each action."""
    episode_index: np.ndarray
    """[T, N] int64: how many episodes the environment had finished before this step."""
    episode_step: np.ndarray
    """[T, N] int64: steps since the episode began, 0 at its first."""
    policy_version: int
    allowed: np.ndarray | None = None
    """[T, N, L] bool: the choices that a mask left the policy; None where there was none."""
    credited: np.ndarray | None = None
    """[T, N, A] what the learner is to take for its own action; None for `action`."""
    shielded: np.ndarray | None = None
    """[T, N] bool: a shield put another action in place of the policy's; None where nothing shields."""
    nothing_safe: np.ndarray | None = None
    """[T, N] bool: the shield found no safe action, and its declared fallback was executed; None as before."""
    episode_figures: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    """[E] each: what the world counted in each ended episode, such as `landed_backflips`, and the sum of each cost."""

    @property
    def num_steps(self) -> int:
        """T."""
        return self.action.shape[0]

    @property
    def learned_action(self) -> np.ndarray:
        """[T, N, A] the actions that a learner learns from."""
        return self.action if self.credited is None else self.credited

    @cached_property
    def ended(self) -> np.ndarray:
        """[T, N] bool: terminated or truncated."""
        return self.terminated | self.truncated

    @cached_property
    def next_observation(self) -> np.ndarray:
        """[T, N, O] float32: what followed each action; the terminal observation at an end, never the reset's."""
        following = self.observation[1:].copy()
        following[self.final_index[:, 0], self.final_index[:, 1]] = self.final_observation
        return following

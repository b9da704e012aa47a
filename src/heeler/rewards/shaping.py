"""Shaping: reward for getting somewhere good, beside the reward that counts, without a new best policy.

Potential-based (Ng, Harada and Russell 1999): what is added is the difference of a potential, so that a way that comes
back to where it began has earned nothing by going round. Shapes: T steps, N environments, B = T N steps.
"""

import math
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.rewards.potentials import Potential
from heeler.rewards.step_functions import StepFunction, Where

SOURCES = ("function", "demonstrations", "run", "feedback", "bonus")


@dataclass(frozen=True, kw_only=True)
class ShapingConfig:
    """What is added to the reward that is learned from, true or learned: exactly one source."""

    function: str = ""
    """`FILE.py:NAME` or `MODULE:NAME` of a potential: `f(observation [B, O]) -> [B]`."""
    demonstrations: str = ""
    """Demonstrations whose progress is the potential: the directory of a run in whose store people showed them, or a
    file `.npz` with an array [T, O] of observations for each, from the first to the last."""
    run: str = ""
    """Directory of an earlier, finished run: the potential is what its newest critic expects."""
    feedback: str = ""
    """Directory of a run that learned from good and bad by `tamer` or `deep-tamer`: the potential is the most that it
    expects people to say of anything that may be done in a state."""
    bonus: str = ""
    """`FILE.py:NAME` or `MODULE:NAME` of any other extra reward, added as it is: `f(observation, action,
    next_observation) -> [B]`. Whether a potential explains it is measured in every update, and told."""
    weight: float = 1.0
    """What the potential, or the bonus, is multiplied by. A learned reward has a spread of 1."""
    decay_steps: int | None = None
    """Environment steps over which the weight of a potential falls linearly to nothing; None to keep it. The best
    policy stays as it is all the same (Devlin and Kudenko 2012)."""
    bandwidth: float = 0.3
    """For `demonstrations`: how far likeness reaches, in spreads of a number of their observations."""
    discount: float | None = None
    """Gamma of the shaping; None for the algorithm's. With any other the best policy may change, so that it is
    refused."""

    def __post_init__(self) -> None:
        chosen = [name for name in SOURCES if getattr(self, name)]
        if len(chosen) != 1:
            raise ConfigError(
                f"shaping needs exactly one source of {', '.join(SOURCES)}; got {' and '.join(chosen) or 'none'}"
            )
        if not math.isfinite(self.weight) or self.weight == 0:
            raise ConfigError(f"shaping.weight must be a finite number other than 0, got {self.weight}")
        if self.decay_steps is not None and self.decay_steps < 1:
            raise ConfigError(f"shaping.decay_steps must be >= 1, or None to keep the weight, got {self.decay_steps}")
        if self.decay_steps is not None and self.bonus:
            raise ConfigError("shaping.decay_steps is for potentials and would be ignored with a bonus; leave it out")
        if not 0 < self.bandwidth < math.inf:
            raise ConfigError(f"shaping.bandwidth must be > 0 and finite, got {self.bandwidth}")
        if self.bandwidth != ShapingConfig.bandwidth and not self.demonstrations:
            raise ConfigError("shaping.bandwidth is for demonstrations and would be ignored; leave it out")

    def check_discount(self, discount: float) -> None:
        """Refuse to shape with another discount than the learner's.

        Raises:
            ConfigError: they differ.
        """
        if self.discount not in (None, discount):
            raise ConfigError(
                f"shaping.discount must be the algorithm's, {discount}, got {self.discount}: with another one the best "
                "policy may change; leave it out"
            )


def shaping_term(
    potential: np.ndarray, next_potential: np.ndarray, terminated: np.ndarray, *, discount: float
) -> np.ndarray:
    r"""$F_t = \gamma\,\phi(s_{t+1}) - \phi(s_t)$, with a potential of nothing in terminal states.

    Args:
        potential: [T, N] of the observation before each action.
        next_potential: [T, N] of what followed it: where an episode was cut, the potential of the observation that it
            was cut at, not of the reset's.
        terminated: [T, N] bool: the episode ended in a terminal state.
        discount: gamma, the learner's.

    Example:
        >>> ends = np.array([[False], [True]])
        >>> shaping_term(np.array([[1.0], [3.0]]), np.array([[3.0], [5.0]]), ends, discount=0.5).ravel().tolist()
        [0.5, -3.0]
    """
    return discount * np.where(terminated, 0.0, next_potential) - potential


def rollout_steps(rollout: Rollout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[B, ...] each: observation, executed action and what followed, of every step of a rollout."""
    arrays = (rollout.observation[:-1], rollout.executed, rollout.next_observation)
    observation, action, following = (array.reshape(-1, array.shape[-1]) for array in arrays)
    return observation, action, following


def rollout_place(rollout: Rollout, step: int) -> Where:
    """Names the steps of `rollout_steps`.

    Args:
        rollout: that they are of.
        step: environment steps of the run at its end.
    """

    def place(row: int) -> str:
        t, n = divmod(row, rollout.terminated.shape[1])
        return f"step {int(rollout.episode_step[t, n]) + 1} of an episode in environment {n} (before step {step:,})"

    return place


class PotentialShaping:
    """Adds the difference of a potential.

    Where its weight falls, each state's potential is of the moment at which it is left: of two that follow one another,
    the one that is gained at a step is the very one that is given back at the next, so that a whole episode earns what
    its first state was worth when it began, whatever is done in it (Devlin and Kudenko 2012, "Dynamic Potential-Based
    Reward Shaping").

    Args:
        potential: phi.
        weight: of it, at the run's first step.
        discount: gamma, the learner's.
        decay_steps: environment steps over which the weight falls to nothing; None to keep it.
    """

    def __init__(self, potential: Potential, *, weight: float, discount: float, decay_steps: int | None = None) -> None:
        self.potential, self.weight, self.discount, self.decay_steps = potential, weight, discount, decay_steps

    @property
    def fingerprint(self) -> str:
        """Changes with what is added."""
        return self.potential.fingerprint

    def term(self, rollout: Rollout, step: int) -> np.ndarray:
        """[T, N] what is added to the reward of each step; `step` is the run's at the rollout's end."""
        observation, _, following = rollout_steps(rollout)
        where = rollout_place(rollout, step)
        shape = rollout.terminated.shape
        potential = self.potential(observation, where=where).reshape(shape)
        next_potential = self.potential(following, where=where).reshape(shape)
        weight = self.weights(shape, step)
        return shaping_term(
            weight[:-1] * potential, weight[1:] * next_potential, rollout.terminated, discount=self.discount
        )

    def weights(self, shape: tuple[int, ...], step: int) -> np.ndarray:
        """[T + 1, 1] of the moments before the steps of a rollout [T, N] that ends at the run's `step`, and after."""
        num_steps, num_envs = shape
        if self.decay_steps is None:
            return np.full((num_steps + 1, 1), self.weight)
        at = step - num_envs * np.arange(num_steps, -1, -1)
        return self.weight * np.clip(1 - at / self.decay_steps, 0.0, 1.0)[:, None]


class Bonus:
    """Adds a function of each step, whatever it is.

    Args:
        function: `f(observation, action, next_observation) -> [B]`.
        weight: of it.
    """

    def __init__(self, function: StepFunction, *, weight: float) -> None:
        self.function, self.weight, self.fingerprint = function, weight, function.fingerprint

    def term(self, rollout: Rollout, step: int) -> np.ndarray:
        """[T, N] what is added to the reward of each step; `step` is the run's at the rollout's end."""
        given = self.function(*rollout_steps(rollout), where=rollout_place(rollout, step))
        return self.weight * given.reshape(rollout.terminated.shape)

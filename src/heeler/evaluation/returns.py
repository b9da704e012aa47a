"""How well a policy does on fresh episodes. Evaluation never moves the policy's statistics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.core.rollout import cost_figure
from heeler.envs import World
from heeler.models.policy import Policy
from heeler.safety.shields.shield import Guarded, Shield

SHIELDED, NOTHING_SAFE = "shielded_steps", "nothing_safe_steps"
"""Steps of an episode in which a shield put another action in place of the policy's, and in which none was safe."""

VETOED, MODIFIED = "vetoed_steps", "modified_steps"
"""Steps of an episode in which overseers had a trusted policy act, and in which they put an action of their own."""
HALTED = "halted_episodes"
"""Of an episode: 1 where overseers ended it."""
INTERFERED = (SHIELDED, NOTHING_SAFE, VETOED, MODIFIED)
"""Figures of steps that were not left as they were proposed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Fresh episodes of one policy. Shape: K episodes."""

    returns: np.ndarray
    """[K] sums of true reward."""
    lengths: np.ndarray
    """[K] steps."""
    figures: dict[str, np.ndarray]
    """[K] each: what the world counted in its episodes, such as `landed_backflips`, and the sum of each cost."""

    def summary(self) -> dict[str, float]:
        """Means, and the standard error of the mean return."""
        num = len(self.returns)
        row = {
            "return_mean": float(self.returns.mean()),
            "return_standard_error": float(self.returns.std(ddof=1) / num**0.5) if num > 1 else 0.0,
            "length_mean": float(self.lengths.mean()),
        }
        return row | {f"{name}_mean": float(values.mean()) for name, values in self.figures.items()}


class StepCosts(Protocol):
    """Costs that a world does not count itself."""

    names: tuple[str, ...]

    def of(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        next_observation: np.ndarray,
        *,
        where: Callable[[int], str],
    ) -> np.ndarray:
        """[N, E] what a step costs in each environment; `where` names an environment's, for messages."""
        ...


class StepReview(Protocol):
    """Overseers, of whom each environment plays one episode."""

    def review(self, observation: np.ndarray, proposed: np.ndarray, running: np.ndarray) -> np.ndarray:
        """[N, A] what is to be done of [N, A] what is proposed, where episodes run; the rest is left as it is."""
        ...

    @property
    def halted(self) -> np.ndarray:
        """[N] bool: episodes in which nothing more is to be done."""
        ...

    def add(self, cost: np.ndarray) -> None:
        """A step was taken, of which each cost [N, C]."""
        ...

    def figures(self) -> dict[str, np.ndarray]:
        """[N] each: what they did in each episode."""
        ...


def evaluate(
    policy: Policy,
    world: World,
    *,
    seed: int,
    deterministic: bool = True,
    max_steps: int = 100_000,
    shield: Shield | None = None,
    own_costs: StepCosts | None = None,
    overseers: StepReview | None = None,
) -> Evaluation:
    """Run one whole episode in every environment of `world`.

    Args:
        policy: who acts.
        world: as many environments as episodes are wanted; its state is lost.
        seed: of the world's resets, and of the sampling where there is any.
        deterministic: act by the likeliest action instead of sampling.
        max_steps: an episode that has not ended by then is cut, since a world may have none that ends.
        shield: of this very world, between the policy and it; what it did is counted among the figures.
        own_costs: counted beside the world's.
        overseers: of this very world, before the shield; an episode that they halt ends before the step.

    Returns:
        Returns, lengths and the world's own counts of each environment's first episode.

    Raises:
        ConfigError: the world has no environment, or `max_steps` is not positive.
        NothingSafe: the shield found no safe action, and is to halt then.
    """
    N = _num_episodes(world, max_steps)
    generator = torch.Generator().manual_seed(seed)
    observation, _ = world.reset(seed=seed)
    returns, lengths = np.zeros(N), np.zeros(N, np.int64)
    figures = {name: np.zeros(N) for name in (*world.figure_names, *((SHIELDED, NOTHING_SAFE) if shield else ()))}
    cost_names = (*world.cost_names, *(own_costs.names if own_costs else ()))
    costs, running = np.zeros((N, len(cost_names))), np.ones(N, bool)
    while running.any() and lengths.max() < max_steps:
        noise = None if deterministic else policy.head.noise((N,), generator).to(policy.shift.device)
        executed, guarded = act_behind(policy, observation, noise, running, shield, overseers)
        if overseers is not None:
            running &= ~overseers.halted
        if guarded is not None:
            _count_guarded(figures, guarded, running)
        before = observation
        observation, reward, terminated, truncated, infos = world.step(policy.executable(executed))
        spent = infos["cost"] if world.cost_names else np.zeros((N, 0))
        if overseers is not None:
            overseers.add(spent)
        returns += reward * running
        lengths += running
        figures |= {name: np.where(running, infos[name], figures[name]) for name in world.figure_names}
        if own_costs:
            reached = infos["final_obs"] if "_final_obs" in infos else observation
            spent = np.concatenate([spent, own_costs.of(before, executed, reached, where=_place(lengths))], -1)
        costs += spent * running[:, None]
        running &= ~(terminated | truncated)
    figures |= {} if overseers is None else overseers.figures()
    figures |= {cost_figure(name): costs[:, index] for index, name in enumerate(cost_names)}
    return Evaluation(returns=returns, lengths=lengths, figures=figures)


def _num_episodes(world: World, max_steps: int) -> int:
    if max_steps < 1:
        raise ConfigError(f"max_steps must be >= 1, got {max_steps}")
    if world.num_envs < 1:
        raise ConfigError(f"an evaluation needs at least one episode, got {world.num_envs}")
    return world.num_envs


def act_behind(
    policy: Policy,
    observation: np.ndarray,
    noise: Tensor | None,
    running: np.ndarray,
    shield: Shield | None,
    overseers: StepReview | None,
) -> tuple[np.ndarray, Guarded | None]:
    """[N, A] what is done, within bounds, and what the shield says of it.

    Args:
        policy: proposes.
        observation: [N, O].
        noise: as `Policy.act` takes it.
        running: [N] bool: of which environments it matters what is done.
        shield: of this very world; it has the last word.
        overseers: of this very world.

    Raises:
        NothingSafe: the shield found no safe action, and is to halt then.
    """

    def reviewed(seen: np.ndarray, proposed: np.ndarray) -> np.ndarray:
        return proposed if overseers is None else overseers.review(seen, proposed, running)

    if shield is None:
        return reviewed(observation, policy.within_bounds(policy.act(observation, noise).cpu().numpy())), None
    guarded = shield.act(policy, observation, noise, running, review=reviewed)
    return guarded.executed_NA, guarded


def _count_guarded(figures: dict[str, np.ndarray], guarded: Guarded, running: np.ndarray) -> None:
    figures[SHIELDED] += guarded.shielded_N & running
    figures[NOTHING_SAFE] += guarded.nothing_safe_N & running


def _place(lengths: np.ndarray) -> Callable[[int], str]:
    return lambda row: f"step {int(lengths[row])} of evaluation episode {row}"

"""How well a policy does on fresh episodes. Evaluation never moves the policy's statistics."""

from dataclasses import dataclass

import numpy as np
import torch

from heeler.core.errors import ConfigError
from heeler.core.rollout import cost_figure
from heeler.envs import World
from heeler.models.policy import Policy
from heeler.safety.shields.shield import Shield

SHIELDED, NOTHING_SAFE = "shielded_steps", "nothing_safe_steps"
"""Steps of an episode in which a shield put another action in place of the policy's, and in which none was safe."""


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


def evaluate(
    policy: Policy,
    world: World,
    *,
    seed: int,
    deterministic: bool = True,
    max_steps: int = 100_000,
    shield: Shield | None = None,
) -> Evaluation:
    """Run one whole episode in every environment of `world`.

    Args:
        policy: who acts.
        world: as many environments as episodes are wanted; its state is lost.
        seed: of the world's resets, and of the sampling where there is any.
        deterministic: act by the likeliest action instead of sampling.
        max_steps: an episode that has not ended by then is cut, since a world may have none that ends.
        shield: of this very world, between the policy and it; what it did is counted among the figures.

    Returns:
        Returns, lengths and the world's own counts of each environment's first episode.

    Raises:
        ConfigError: the world has no environment, or `max_steps` is not positive.
        NothingSafe: the shield found no safe action, and is to halt then.
    """
    if max_steps < 1:
        raise ConfigError(f"max_steps must be >= 1, got {max_steps}")
    N = world.num_envs
    if N < 1:
        raise ConfigError(f"an evaluation needs at least one episode, got {N}")
    generator = torch.Generator().manual_seed(seed)
    observation, _ = world.reset(seed=seed)
    returns, lengths = np.zeros(N), np.zeros(N, np.int64)
    figures = {name: np.zeros(N) for name in world.figure_names}
    figures |= {name: np.zeros(N) for name in ((SHIELDED, NOTHING_SAFE) if shield else ())}
    costs = np.zeros((N, len(world.cost_names)))
    running = np.ones(N, bool)
    while running.any() and lengths.max() < max_steps:
        noise = None if deterministic else policy.head.noise((N,), generator).to(policy.shift.device)
        if shield is None:
            action = policy.executable(policy.act(observation, noise).cpu().numpy())
        else:
            guarded = shield.act(policy, observation, noise, running)
            action = policy.executable(guarded.executed_NA)
            figures[SHIELDED] += guarded.shielded_N & running
            figures[NOTHING_SAFE] += guarded.nothing_safe_N & running
        observation, reward, terminated, truncated, infos = world.step(action)
        returns += reward * running
        lengths += running
        for name in world.figure_names:
            figures[name] = np.where(running, infos[name], figures[name])
        if world.cost_names:
            costs += infos["cost"] * running[:, None]
        running &= ~(terminated | truncated)
    figures |= {cost_figure(name): costs[:, index] for index, name in enumerate(world.cost_names)}
    return Evaluation(returns=returns, lengths=lengths, figures=figures)

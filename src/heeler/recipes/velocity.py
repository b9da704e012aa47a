"""Running as fast as a speed limit allows: the cost is a step above the limit, its budget 25 of an episode's 1,000."""

from heeler.envs import EnvConfig
from heeler.loop.config import LimitsConfig, RunConfig
from heeler.oversight.monitors.config import MonitorsConfig
from heeler.recipes.settings import settings_for
from heeler.safety.costs import CostConfig


def velocity(
    *,
    env: str = "HalfCheetahVelocity",
    seed: int = 0,
    total_steps: int = 3_000_000,
    budget: float = 25.0,
    method: str = "ppo_lagrangian",
) -> RunConfig:
    """A runner under a speed limit.

    Args:
        env: a world with the cost `velocity`.
        seed: everything random in the run follows from it.
        total_steps: environment steps of the whole run.
        budget: steps above the limit that an episode may have on average.
        method: what keeps to the budget: ppo_lagrangian, rcpo, cpo, focops, p3o or fixed_penalty.
    """
    settings = settings_for(env)
    return RunConfig(
        recipe="velocity",
        env=EnvConfig(id=env, num_envs=settings.num_envs),
        total_steps=total_steps,
        num_steps=settings.num_steps,
        seed=seed,
        algorithm=settings.algorithm,
        limits=LimitsConfig.of(method, (CostConfig(name="velocity", budget=budget),)),
        monitors=MonitorsConfig(),
    )

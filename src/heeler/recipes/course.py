"""A course: one goal after another, past hazards and vases, with a budget for what each of them costs."""

from heeler.envs import EnvConfig
from heeler.loop.config import LimitsConfig, RunConfig
from heeler.recipes.settings import settings_for
from heeler.safety.costs import CostConfig


def course(
    *,
    env: str = "PointGoal",
    seed: int = 0,
    total_steps: int = 3_000_000,
    hazards: float = 25.0,
    vases: float = 10.0,
    method: str = "ppo_lagrangian",
) -> RunConfig:
    """A robot that drives to goals within budgets.

    Args:
        env: a world with the costs `hazards` and `vases`.
        seed: everything random in the run follows from it.
        total_steps: environment steps of the whole run.
        hazards: steps in a hazard that an episode may have on average.
        vases: what an episode may come to on average, each vase counted in each step in which it is touched or moves.
        method: what keeps to the budgets: ppo_lagrangian, rcpo, cpo, focops, p3o or fixed_penalty.
    """
    settings = settings_for(env)
    costs = (CostConfig(name="hazards", budget=hazards), CostConfig(name="vases", budget=vases))
    return RunConfig(
        recipe="course",
        env=EnvConfig(id=env, num_envs=settings.num_envs),
        total_steps=total_steps,
        num_steps=settings.num_steps,
        seed=seed,
        algorithm=settings.algorithm,
        limits=LimitsConfig.of(method, costs),
    )

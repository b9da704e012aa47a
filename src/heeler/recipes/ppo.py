"""PPO on a world's true reward: the baseline, and the plain way to train a policy."""

from heeler.envs import EnvConfig
from heeler.loop.config import RunConfig
from heeler.recipes.settings import settings_for


def ppo(
    *, env: str, seed: int = 0, total_steps: int = 1_000_000, num_envs: int | None = None, reward: str = ""
) -> RunConfig:
    """PPO on the true reward of any world, or on one that was learned elsewhere.

    Args:
        env: the world's id, or `module:Class`.
        seed: everything random in the run follows from it.
        total_steps: environment steps of the whole run.
        num_envs: copies of the world that step together; None takes what suits the world.
        reward: the directory of a run that made a reward from demonstrations, to learn from that in the world's place.
    """
    settings = settings_for(env)
    return RunConfig(
        recipe="ppo",
        env=EnvConfig(id=env, num_envs=settings.num_envs if num_envs is None else num_envs),
        total_steps=total_steps,
        num_steps=settings.num_steps,
        seed=seed,
        algorithm=settings.algorithm,
        reward_of=reward,
    )

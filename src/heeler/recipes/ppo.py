"""PPO on a world's true reward: the baseline, and the plain way to train a policy."""

from heeler.algorithms.ppo import PPOConfig
from heeler.envs import EnvConfig
from heeler.loop.config import RunConfig
from heeler.models.policy import PolicyConfig


def ppo(*, env: str, seed: int = 0, total_steps: int = 1_000_000, num_envs: int = 64) -> RunConfig:
    """PPO on the true reward of any world.

    Args:
        env: the world's id, or `module:Class`.
        seed: everything random in the run follows from it.
        total_steps: environment steps of the whole run.
        num_envs: copies of the world that step together.
    """
    return RunConfig(
        recipe="ppo",
        env=EnvConfig(id=env, num_envs=num_envs),
        total_steps=total_steps,
        num_steps=64,
        seed=seed,
        algorithm=PPOConfig(
            policy=PolicyConfig(), learning_rate=6e-4, num_epochs=8, minibatch_size=1024, target_kl=None
        ),
    )

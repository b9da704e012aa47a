"""Settings that suit a world: how it is acted in and learned from, and what of it is shown to compare."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from heeler.algorithms.ppo import PPOConfig
from heeler.models.policy import PolicyConfig

_MUJOCO = PPOConfig(learning_rate=1e-3, num_epochs=8, minibatch_size=1024, target_kl=None)
_QUIET = replace(_MUJOCO, policy=PolicyConfig(initial_log_std=-1.0))


@dataclass(frozen=True, kw_only=True)
class WorldSettings:
    """What differs from world to world."""

    num_envs: int = 64
    """Copies that step together."""
    num_steps: int = 64
    """Steps of each copy between two updates."""
    algorithm: PPOConfig = _MUJOCO
    """The learner."""
    segment_length: int = 25
    """Steps of a clip that is compared with another."""
    exploration: float = 0.0
    """What a step on which the reward model's members disagree is paid, while questions are still asked."""


_SETTINGS: Mapping[str, WorldSettings] = {
    "CartPole-v1": WorldSettings(
        num_envs=128,
        num_steps=32,
        algorithm=PPOConfig(
            policy=PolicyConfig(hidden_sizes=(16, 16)),
            learning_rate=4e-3,
            anneal_clip=True,
            num_epochs=3,
            minibatch_size=1024,
            target_kl=None,
        ),
    ),
    # With steps of 8 ms, 25 of them are over before a hop is.
    "Hopper-v5": WorldSettings(
        algorithm=replace(_MUJOCO, policy=PolicyConfig(noise_correlation=0.6)), segment_length=50, exploration=1.0
    ),
    # Wider noise throws it on its back before it can run, and there it stays and learns to run.
    "HalfCheetah-v5": WorldSettings(algorithm=_QUIET),
    # Thrown about by wider noise, one learns to leap as far as it comes before it falls, the other to lie still.
    "Walker2d-v5": WorldSettings(algorithm=_QUIET),
    "Ant-v5": WorldSettings(algorithm=replace(_QUIET, learning_rate=5e-4)),
    # A swimmer glides: what a stroke is worth comes in over hundreds of steps, and short pushes move it nowhere.
    "Swimmer-v5": WorldSettings(
        algorithm=replace(_MUJOCO, discount=0.9999, policy=PolicyConfig(noise_correlation=0.8))
    ),
    "LavaGrid": WorldSettings(
        algorithm=PPOConfig(learning_rate=1e-3, entropy_coefficient=0.01, num_epochs=4, minibatch_size=1024),
        segment_length=10,
    ),
    # The gap lies aside of the straight way: noise that lasts comes upon it.
    "PointMaze": WorldSettings(
        num_envs=64,
        num_steps=40,
        algorithm=PPOConfig(
            policy=PolicyConfig(noise_correlation=0.8),
            learning_rate=2e-3,
            entropy_coefficient=0.01,
            num_epochs=6,
            minibatch_size=640,
            target_kl=None,
        ),
    ),
    "Pendulum-v1": WorldSettings(
        num_envs=32,
        num_steps=64,
        algorithm=PPOConfig(
            discount=0.98,
            learning_rate=2e-3,
            entropy_coefficient=0.01,
            num_epochs=10,
            minibatch_size=512,
            target_kl=None,
        ),
    ),
}


def settings_for(env: str) -> WorldSettings:
    """Settings that were found to suit `env`, or those that suit batched MuJoCo.

    A runner under a speed limit is acted in like the same one without.
    """
    return _SETTINGS.get(env.replace("Velocity", "-v5"), WorldSettings())

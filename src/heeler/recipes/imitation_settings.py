"""Settings by which a way to imitate suits a world."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from heeler.algorithms.bc import BCConfig
from heeler.algorithms.dagger import DAggerConfig
from heeler.algorithms.ppo import PPOConfig
from heeler.algorithms.sqil import SQILConfig
from heeler.models.policy import PolicyConfig
from heeler.recipes.settings import settings_for
from heeler.rewards.airl import AIRLConfig
from heeler.rewards.density import DensityConfig
from heeler.rewards.discriminator import DiscriminatorConfig
from heeler.rewards.gail import GAILConfig

_CARTPOLE = "CartPole-v1"


@dataclass(frozen=True, kw_only=True)
class ImitationSettings:
    """How a world is acted in and learned from, by one way to imitate."""

    way: Any
    """Settings of the method."""
    algorithm: PPOConfig
    """The learner, or what of it another learner takes."""
    num_envs: int
    """Copies that step together."""
    num_steps: int
    """Steps of each copy between two updates."""
    total_steps: int
    """Of the whole run."""


_WAYS: Mapping[str, Any] = {
    "bc": BCConfig(),
    "dagger": DAggerConfig(),
    "gail": GAILConfig(),
    "airl": AIRLConfig(),
    "sqil": SQILConfig(num_gradient_steps=256),
    "density": DensityConfig(),
}
# A pole is held by few choices: what tells the two apart is soon learned, and must not be learned by rote.
_CARTPOLE_WAYS: Mapping[str, Any] = {
    "gail": GAILConfig(hidden_sizes=(32, 32), discriminator=DiscriminatorConfig(num_gradient_steps=4)),
    "airl": AIRLConfig(discriminator=DiscriminatorConfig(num_gradient_steps=4)),
    "sqil": SQILConfig(num_gradient_steps=128),
}
# Copies, steps of each between two updates, and steps in all, where nothing of the world's reward is learned from: a
# few copies are enough to see, and to ask about, what the policy does.
_ACTED: Mapping[str, tuple[int, int, int]] = {
    "bc": (16, 64, 20 * 16 * 64),
    "dagger": (16, 64, 40 * 16 * 64),
    "sqil": (16, 64, 200 * 16 * 64),
}


def imitation_settings_for(env: str, method: str) -> ImitationSettings:
    """Settings that suit `env`, or those that suit batched MuJoCo.

    Args:
        env: the world's id.
        method: how to imitate; an unknown one is left to the configuration to refuse.
    """
    world, is_cartpole = settings_for(env), env == _CARTPOLE
    way = (_CARTPOLE_WAYS if is_cartpole else _WAYS).get(method, _WAYS.get(method))
    if method in _ACTED:
        num_envs, num_steps, total_steps = _ACTED[method]
        algorithm = PPOConfig(policy=_quiet(world.algorithm.policy))
        if method == "sqil":
            algorithm = replace(algorithm, discount=world.algorithm.discount)
        return ImitationSettings(
            way=way, algorithm=algorithm, num_envs=num_envs, num_steps=num_steps, total_steps=total_steps
        )
    algorithm = replace(world.algorithm, minibatch_size=256) if is_cartpole else world.algorithm
    return ImitationSettings(
        way=way,
        algorithm=algorithm,
        # Fewer steps between two updates: both sides learn, and neither may run far ahead of the other.
        num_envs=32 if is_cartpole else world.num_envs,
        num_steps=world.num_steps,
        total_steps=200_000 if is_cartpole else 1_000_000,
    )


def _quiet(policy: PolicyConfig) -> PolicyConfig:
    """Noise that lasts is for finding out what is rewarded, and here nothing is found out."""
    return replace(policy, noise_correlation=0.0)

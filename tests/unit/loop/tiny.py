"""Runs that take a second or two, for the tests of what is made of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from heeler.algorithms import BCConfig, DAggerConfig, SQILConfig
from heeler.loop.config import RunConfig
from heeler.recipes import imitation, kinds, ppo, preferences


def tiny_ppo(env: str = "CartPole-v1", **settings: Any) -> RunConfig:
    """Six updates of PPO on the true reward."""
    config = replace(ppo(env=env, num_envs=8), num_steps=64, total_steps=6 * 8 * 64)
    settings = {"checkpoint_every": 3, "num_evaluation_episodes": 4, **settings}
    return replace(config, algorithm=replace(config.algorithm, num_epochs=1), **settings)


CARTPOLE_SHOWN = Path(__file__).parents[2] / "data" / "cartpole.npz"
"""Six short episodes of a policy that holds the pole."""


def tiny_imitation(method: str, **settings: Any) -> RunConfig:
    """Six updates of learning CartPole from a file of demonstrations."""
    settings = {"demonstrations": str(CARTPOLE_SHOWN)} | settings
    named = {name: settings.pop(name) for name in ("demonstrations", "expert", "state_only") if name in settings}
    config = imitation(env="CartPole-v1", method=method, num_envs=8, total_steps=6 * 8 * 32, **named)
    assert config.imitation is not None
    small = {
        "bc": BCConfig(num_epochs=2, validation_share=0.2),
        "dagger": DAggerConfig(cloning=BCConfig(num_epochs=1, validation_share=0.2), initial_expert_share=0.0),
        "sqil": SQILConfig(num_gradient_steps=4, capacity=500),
    }
    way = config.imitation if method not in small else replace(config.imitation, **{method: small[method]})
    settings = {"checkpoint_every": 3, "num_evaluation_episodes": 4, **settings}
    return replace(config, num_steps=32, imitation=way, **settings)


def tiny_preferences(env: str = "Pendulum-v1", *, teacher: str = "oracle", **settings: Any) -> RunConfig:
    """A few fits of a small reward model to 24 comparisons."""
    config = preferences(env=env, budget=24, total_steps=12 * 16 * 64, teacher=teacher)
    assert config.preferences is not None
    model = replace(config.preferences.model, max_epochs=3, hidden_sizes=(8,), validation_share=0.3)
    asking = replace(config.preferences, refit_every=6, num_warmup_rollouts=2, segment_length=20, model=model)
    settings = {"checkpoint_every": 4, "num_evaluation_episodes": 4, **settings}
    return replace(
        config,
        env=replace(config.env, num_envs=16),
        algorithm=replace(config.algorithm, num_epochs=1),
        preferences=asking,
        **settings,
    )


def tiny_kinds(env: str = "Pendulum-v1", *, of: str = "preference,rating", **settings: Any) -> RunConfig:
    """A few fits of a small reward model to two minutes of people's time."""
    config = kinds(env=env, budget_s=120, total_steps=12 * 16 * 64, kinds=of)
    assert config.kinds is not None
    reward = replace(config.kinds.model.reward, max_epochs=3, hidden_sizes=(8,), validation_share=0.3)
    asking = replace(
        config.kinds,
        refit_every=6,
        num_warmup_rollouts=2,
        segment_length=20,
        num_candidates=3,
        model=replace(config.kinds.model, reward=reward),
    )
    settings = {"checkpoint_every": 4, "num_evaluation_episodes": 4, **settings}
    return replace(
        config,
        env=replace(config.env, num_envs=16),
        algorithm=replace(config.algorithm, num_epochs=1),
        kinds=asking,
        **settings,
    )

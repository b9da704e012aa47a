"""Any world, learned from demonstrations instead of its reward."""

from dataclasses import replace
from typing import Literal

from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig
from heeler.loop.config import RunConfig
from heeler.loop.imitation_config import ExpertConfig, ImitationConfig
from heeler.recipes.imitation_settings import imitation_settings_for


def imitation(
    *,
    env: str,
    demonstrations: str,
    method: Literal["bc", "dagger", "gail", "airl", "sqil", "density"] = "bc",
    episodes: int | None = None,
    expert: str = "",
    state_only: bool = False,
    seed: int = 0,
    total_steps: int | None = None,
    num_envs: int | None = None,
) -> RunConfig:
    """Learn any world from demonstrations.

    Args:
        env: the world's id, or `module:Class`.
        demonstrations: a file .npz, a run's directory in whose store people showed something, the folder of a Minari
            data set or of a Hugging Face dataset, or hf:OWNER/NAME; none for dagger to begin without any.
        method: how: bc clones what was done, dagger asks an expert about what the policy does, gail and airl learn a
            reward that tells the two apart, sqil and density reward being where the demonstrations were.
        episodes: learn from the first so many; None takes all.
        expert: for dagger: the directory of a run whose policy is asked, or people.
        state_only: for airl: a reward of states alone, which can be moved to a world whose dynamics have changed.
        seed: everything random in the run follows from it.
        total_steps: environment steps of the whole run; None takes what suits the method.
        num_envs: copies of the world that step together; None takes what suits the world.
    """
    settings = imitation_settings_for(env, method)
    way = settings.way
    if state_only:
        if method != "airl":
            raise ConfigError(f"state_only is for airl, and {method} would ignore it; leave it out")
        way = replace(way, inputs=("observation",))
    if method == "dagger" and expert == "people":
        way = replace(way, initial_expert_share=0.0)
    return RunConfig(
        recipe="imitation",
        env=EnvConfig(id=env, num_envs=settings.num_envs if num_envs is None else num_envs),
        total_steps=settings.total_steps if total_steps is None else total_steps,
        num_steps=settings.num_steps,
        seed=seed,
        algorithm=settings.algorithm,
        imitation=ImitationConfig.of(
            method,
            demonstrations="" if demonstrations == "none" else demonstrations,
            num_demonstrations=episodes,
            expert=ExpertConfig(source=expert) if expert else None,
            **{method: way},
        ),
    )

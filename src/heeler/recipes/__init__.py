"""Recipes: functions that return the full configuration of one run.

`RECIPES` maps the name on the command line to the function; it is the list of what there is.
"""

from collections.abc import Callable, Mapping

from heeler.loop.config import RunConfig
from heeler.loop.evaluative.config import EvaluativeRunConfig
from heeler.loop.language.config import LanguageRunConfig
from heeler.loop.offline.config import OfflineRunConfig
from heeler.loop.reward_config import RewardRunConfig
from heeler.recipes.backflip import backflip
from heeler.recipes.chat import chat
from heeler.recipes.course import course
from heeler.recipes.dpo import dpo
from heeler.recipes.evaluative import evaluative
from heeler.recipes.helpdesk import helpdesk
from heeler.recipes.imitation import imitation
from heeler.recipes.kinds import kinds
from heeler.recipes.ppo import ppo
from heeler.recipes.preferences import preferences
from heeler.recipes.reward_model import reward_model
from heeler.recipes.sft import sft
from heeler.recipes.velocity import velocity

AnyRunConfig = RunConfig | RewardRunConfig | LanguageRunConfig | OfflineRunConfig | EvaluativeRunConfig
RECIPES: Mapping[str, Callable[..., AnyRunConfig]] = {
    "backflip": backflip,
    "chat": chat,
    "course": course,
    "dpo": dpo,
    "evaluative": evaluative,
    "helpdesk": helpdesk,
    "imitation": imitation,
    "kinds": kinds,
    "preferences": preferences,
    "ppo": ppo,
    "reward-model": reward_model,
    "sft": sft,
    "velocity": velocity,
}

__all__ = [
    "RECIPES",
    "AnyRunConfig",
    "backflip",
    "chat",
    "course",
    "dpo",
    "evaluative",
    "helpdesk",
    "imitation",
    "kinds",
    "ppo",
    "preferences",
    "reward_model",
    "sft",
    "velocity",
]

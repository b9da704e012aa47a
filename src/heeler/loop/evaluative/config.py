"""The configuration of a run that learns from good and bad, said while the agent acts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from heeler.algorithms.coach import COACH, COACHConfig
from heeler.algorithms.deep_coach import DeepCOACH, DeepCOACHConfig
from heeler.algorithms.deep_tamer import DeepTAMER, DeepTAMERConfig
from heeler.algorithms.delay import DelayConfig
from heeler.algorithms.evaluative import EvaluativeLearner
from heeler.algorithms.tamer import TAMER, TAMERConfig
from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig, World
from heeler.feedback.trainers import TrainerConfig
from heeler.loop.config import DEFAULT_STORE_PATIENCE_S, check_seed, check_store
from heeler.loop.settings import validated

METHODS = ("tamer", "deep_tamer", "coach", "deep_coach")
_MAX_PACE = 1000.0


@dataclass(frozen=True, kw_only=True)
class EvaluativeRunConfig:
    """Everything about one run that learns from good and bad. Exactly one learner is set."""

    recipe: str
    """The recipe that made it."""
    env: EnvConfig
    """The world; one copy of it, as people watch one."""
    teacher: TrainerConfig | Literal["people"]
    """Who says good and bad: a scripted trainer, or people and programs through the store."""
    steps_per_second: float
    """How fast the agent is shown. Minutes are counted by it, whoever watches."""
    total_steps: int
    """Steps of the whole run."""
    num_steps: int
    """Steps between two updates: what is shown as one stretch, if no episode ends in it."""
    hold_steps: int = 1
    """Steps for which an action is kept that was chosen. Where a policy draws each one anew, a late signal is about a
    mixture of all of them; what is kept for as long as reactions take can be told apart."""
    delay: DelayConfig = field(default_factory=DelayConfig)
    """How long reactions are supposed to take."""
    tamer: TAMERConfig | None = None
    """Settings of TAMER."""
    deep_tamer: DeepTAMERConfig | None = None
    """Settings of Deep TAMER."""
    coach: COACHConfig | None = None
    """Settings of COACH."""
    deep_coach: DeepCOACHConfig | None = None
    """Settings of Deep COACH."""
    seed: int = 0
    """Everything random in the run follows from it."""
    checkpoint_every: int = 20
    """Updates between two checkpoints. Where people watch there is one after each, so that what they have seen and said
    is never lost."""
    keep_checkpoints: int = 3
    """Checkpoints that stay on disk."""
    num_evaluation_episodes: int = 20
    """Fresh episodes at the end of the run."""
    torch_threads: int = 1
    """Threads of torch; a run on one can be repeated bit for bit."""
    store: str = ""
    """Where answers are kept: empty for `heeler.db` in the run's directory, or a PostgreSQL database of its own."""
    store_patience_s: float = DEFAULT_STORE_PATIENCE_S
    """For how long the learner waits for the server of its store when that is away. Only for a store on PostgreSQL."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_store(self.store, self.store_patience_s)
        named = [name for name in METHODS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ConfigError(f"exactly one of {', '.join(METHODS)} must be set, got {' and '.join(named) or 'none'}")
        if self.env.num_envs != 1:
            raise ConfigError(f"env.num_envs must be 1, as people watch one agent, got {self.env.num_envs}")
        for name in (
            "total_steps",
            "num_steps",
            "hold_steps",
            "checkpoint_every",
            "keep_checkpoints",
            "num_evaluation_episodes",
            "torch_threads",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not 0 < self.steps_per_second <= _MAX_PACE or math.isnan(self.steps_per_second):
            raise ConfigError(
                f"steps_per_second must be above 0 and at most {_MAX_PACE:g}, got {self.steps_per_second}"
            )
        if self.total_steps < self.num_steps:
            raise ConfigError(f"total_steps must be at least num_steps ({self.num_steps}), got {self.total_steps}")

    @property
    def method(self) -> str:
        """What learns: tamer, deep-tamer, coach or deep-coach."""
        return next(name for name in METHODS if getattr(self, name) is not None).replace("_", "-")

    @property
    def step_s(self) -> float:
        """Seconds for which a step is shown."""
        return 1 / self.steps_per_second

    @property
    def num_updates(self) -> int:
        """Of the whole run."""
        return self.total_steps // self.num_steps

    @property
    def asks_people(self) -> bool:
        """Whether people or programs are to answer, through the store."""
        return self.teacher == "people"

    def learner(self, world: World) -> EvaluativeLearner:
        """The learner for a world of this run.

        Raises:
            ConfigError: it cannot take the world's actions, or its features do not fit the observations.
        """
        spaces = (world.single_observation_space, world.single_action_space)
        if self.tamer is not None:
            return TAMER(self.tamer, *spaces)
        if self.deep_tamer is not None:
            return DeepTAMER(self.deep_tamer, *spaces)
        if self.coach is not None:
            return COACH(self.coach, *spaces)
        assert self.deep_coach is not None
        return DeepCOACH(self.deep_coach, *spaces)


def evaluative_config_from_dict(values: Mapping[str, Any]) -> EvaluativeRunConfig:
    """The configuration that `heeler.loop.config.to_dict` wrote.

    Raises:
        ConfigError: a setting is unknown, missing or of the wrong type; named in the message.
    """
    return validated(EvaluativeRunConfig, values)


def is_evaluative_config(values: Mapping[str, Any]) -> bool:
    """Whether a run's configuration is of one that learns from good and bad."""
    return "steps_per_second" in values

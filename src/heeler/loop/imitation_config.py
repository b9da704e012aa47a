"""How a run learns from demonstrations, and what it goes by: settings, and what is made of them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from heeler.algorithms.bc import BC, BCConfig
from heeler.algorithms.dagger import DAgger, DAggerConfig, Expert
from heeler.algorithms.ppo import PPOConfig
from heeler.algorithms.sqil import SQIL, SQILConfig
from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import ConfigError, did_you_mean
from heeler.core.rollout import Rollout
from heeler.envs import World
from heeler.feedback.episodes import read_demonstrations
from heeler.models.policy import Policy
from heeler.rewards.airl import AIRL, AIRLConfig
from heeler.rewards.density import Density, DensityConfig
from heeler.rewards.discriminator import StepBatch
from heeler.rewards.gail import GAIL, GAILConfig
from heeler.rewards.shown_steps import StepSpace

PEOPLE = "people"


class StepReward(Protocol):
    """A reward that is made from demonstrations. State in, state out."""

    space: StepSpace

    def init(self, seed: int) -> Any:
        """A fresh state."""
        ...

    def update(self, state: Any, rollout: Rollout, policy: Policy) -> tuple[Any, dict[str, float]]:
        """Learn from a rollout of `policy`, and what there is to know about it."""
        ...

    def reward(self, state: Any, rollout: Rollout, policy: Policy) -> Tensor:
        """[T, N] what the steps of a rollout are paid."""
        ...

    def step_reward(self, state: Any, batch: StepBatch) -> Tensor:
        """[B] what any steps are worth, whoever made them."""
        ...

    def tensors(self, state: Any) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        ...

    def load_tensors(self, state: Any, tensors: dict[str, Tensor]) -> Any:
        """Go on from what `tensors` returned."""
        ...


@dataclass(frozen=True, kw_only=True)
class ExpertConfig:
    """Whom DAgger asks."""

    source: str
    """The directory of a run whose newest policy is asked, or `people`."""
    num_questions: int = 8
    """For `people`: clips of each rollout that they are asked to correct."""
    segment_length: int = 20
    """For `people`: steps of a clip."""
    answers_share: float = 1.0
    """For `people`: the run goes on once this share of its questions is answered, so that it does not run ahead."""

    def __post_init__(self) -> None:
        if not self.source:
            raise ConfigError("expert.source must be the directory of a run, or people; it is empty")
        for name in ("num_questions", "segment_length"):
            if getattr(self, name) < 1:
                raise ConfigError(f"expert.{name} must be >= 1, got {getattr(self, name)}")
            if self.source != PEOPLE and getattr(self, name) != getattr(ExpertConfig, name):
                raise ConfigError(f"expert.{name} is for people and would be ignored; leave it out")
        if not 0 <= self.answers_share <= 1:
            raise ConfigError(f"expert.answers_share must be between 0 and 1, got {self.answers_share}")


@dataclass(frozen=True, kw_only=True)
class ImitationConfig:
    """Learning from demonstrations: what they are, and exactly one way to learn."""

    demonstrations: str = ""
    """A file `.npz`, the directory of a run in whose store people showed something, the folder of a Minari data set or
    of a Hugging Face dataset, or `hf:OWNER/NAME`. Only DAgger may do without."""
    num_demonstrations: int | None = None
    """Learn from the first so many episodes; None for all."""
    expert: ExpertConfig | None = None
    """Whom DAgger asks."""
    bc: BCConfig | None = None
    """Behavioural cloning."""
    dagger: DAggerConfig | None = None
    """Cloning what the expert would do where the policy went."""
    sqil: SQILConfig | None = None
    """Soft Q-learning from steps that are worth 1 where they were shown."""
    gail: GAILConfig | None = None
    """An adversarial reward."""
    airl: AIRLConfig | None = None
    """An adversarial reward that can be moved to other dynamics."""
    density: DensityConfig | None = None
    """A reward for being where steps were shown."""

    def __post_init__(self) -> None:
        chosen = [name for name in METHODS if getattr(self, name) is not None]
        if len(chosen) != 1:
            raise ConfigError(
                f"imitation needs exactly one way of {', '.join(METHODS)}; got {' and '.join(chosen) or 'none'}"
            )
        if self.dagger is not None and self.expert is None:
            raise ConfigError("imitation.dagger asks an expert: imitation.expert must say whom; set it")
        if self.dagger is None and self.expert is not None:
            raise ConfigError(f"imitation.expert would be ignored: {self.method} asks nobody; leave it out")
        if not self.demonstrations and self.dagger is None:
            raise ConfigError(
                f"imitation.demonstrations must say where they are: {self.method} learns from nothing else"
            )
        if self.num_demonstrations is not None and self.num_demonstrations < 1:
            raise ConfigError(f"imitation.num_demonstrations must be >= 1, got {self.num_demonstrations}")
        if self.num_demonstrations is not None and not self.demonstrations:
            raise ConfigError("imitation.num_demonstrations would be ignored without demonstrations; leave it out")
        if self.asks_people and self.dagger is not None and self.dagger.initial_expert_share:
            raise ConfigError(
                "imitation.dagger.initial_expert_share must be 0 where people are asked: they answer, and do not act"
            )

    @classmethod
    def of(cls, method: str, **settings: Any) -> "ImitationConfig":
        """With the method of that name, in its default settings.

        Raises:
            ConfigError: there is none.
        """
        if method not in METHODS:
            known = ", ".join(METHODS)
            raise ConfigError(f"no method {method!r}; there are {known}.{did_you_mean(method, METHODS)}")
        return cls(**{method: METHODS[method]()} | settings)

    @property
    def method(self) -> str:
        """The one that is set."""
        return next(name for name in METHODS if getattr(self, name) is not None)

    @property
    def is_reward(self) -> bool:
        """Whether a reward is made, which the run's own learner learns from; else the method is the learner."""
        return self.method in ("gail", "airl", "density")

    @property
    def asks_people(self) -> bool:
        """Whether people are asked, through the store."""
        return self.expert is not None and self.expert.source == PEOPLE

    def check_algorithm(self, algorithm: PPOConfig) -> None:
        """Refuse settings of PPO where something else learns.

        Raises:
            ConfigError: one would be ignored; names it.
        """
        if self.is_reward:
            return
        kept = ("policy", "discount") if self.sqil else ("policy",)
        for one in dataclasses.fields(PPOConfig):
            if one.name not in kept and getattr(algorithm, one.name) != getattr(PPOConfig(), one.name):
                raise ConfigError(
                    f"algorithm.{one.name} would be ignored, as {self.method} learns in PPO's place; leave it out"
                )

    def read(self, world: World) -> Demonstrations | None:
        """The demonstrations, checked against a world; None where there are none.

        Raises:
            DataError: they cannot be read, or are of another world.
            ConfigError: there are fewer than are wanted.
        """
        if not self.demonstrations:
            return None
        found = read_demonstrations(self.demonstrations, world.observation_size, world.single_action_space)
        if self.num_demonstrations is None:
            return found
        if len(found) < self.num_demonstrations:
            raise ConfigError(
                f"imitation.num_demonstrations is {self.num_demonstrations}, and {found.source} holds {len(found)}"
            )
        return found.first(self.num_demonstrations)

    def learner(
        self, algorithm: PPOConfig, world: World, shown: Demonstrations | None, expert: Expert | None
    ) -> BC | DAgger | SQIL:
        """The learner that is set, for a world.

        Args:
            algorithm: whose policy and discount are taken.
            world: to learn in.
            shown: what `read` returned.
            expert: whom DAgger asks; None for people.
        """
        place = (algorithm.policy, world.observation_size, world.single_action_space)
        if self.dagger is not None:
            return DAgger(self.dagger, *place, shown, expert)
        assert shown is not None
        if self.sqil is not None:
            return SQIL(self.sqil, *place, shown, discount=algorithm.discount)
        assert self.bc is not None
        return BC(self.bc, *place, shown)

    def reward(
        self, observation_size: int, action_space: Any, shown: Demonstrations | None, discount: float
    ) -> StepReward:
        """The reward that is set.

        Args:
            observation_size: of the world.
            action_space: of one environment.
            shown: what `read` returned; None for a reward that only is read.
            discount: gamma, the learner's.
        """
        if self.gail is not None:
            return GAIL(self.gail, observation_size, action_space, shown, discount=discount)
        if self.airl is not None:
            return AIRL(self.airl, observation_size, action_space, shown, discount=discount)
        assert self.density is not None
        return Density(self.density, observation_size, action_space, shown)


METHODS: Mapping[str, Any] = {
    "bc": BCConfig,
    "dagger": DAggerConfig,
    "gail": GAILConfig,
    "airl": AIRLConfig,
    "sqil": SQILConfig,
    "density": DensityConfig,
}
"""Ways to learn, each with its settings."""


def expert_of(policy: Policy) -> Expert:
    """A policy as an expert that is asked: what it is likeliest to do, within bounds."""

    def ask(observation_BO: np.ndarray) -> np.ndarray:
        return policy.within_bounds(policy.act(observation_BO, None).cpu().numpy())

    return ask

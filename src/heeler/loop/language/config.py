"""The configuration of a language model's run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Literal

from heeler.algorithms.grpo import GRPO, GRPOConfig
from heeler.algorithms.online_dpo import OnlineDPO, OnlineDPOConfig
from heeler.algorithms.ppo_text import TextPPO, TextPPOConfig
from heeler.algorithms.rloo import RLOO, RLOOConfig
from heeler.core.errors import ConfigError
from heeler.feedback.crowd import CrowdConfig
from heeler.loop.config import DEFAULT_STORE_PATIENCE_S, check_seed, check_store
from heeler.loop.language.part_settings import Limit, PartWeights, check_limits
from heeler.loop.overseers.settings import OverseersConfig
from heeler.loop.settings import validated
from heeler.models.language.adapters import Lora, is_adapter
from heeler.oversight.chat_harm import ChatLiveConfig
from heeler.oversight.gate_config import GateConfig
from heeler.oversight.interventions import InterventionsConfig
from heeler.oversight.monitors.config import MonitorsConfig
from heeler.oversight.over_optimisation import WatchConfig
from heeler.rewards.reward_settings import RewardModelConfig
from heeler.rollouts.sampler import SamplingConfig
from heeler.safety.multipliers import MultiplierConfig

PEOPLE = "people"
_WATCHABLE = ("checkpoints", "entropy_collapse", "gradients", "kl_spike", "resources", "slow_updates")
Learner = GRPO | RLOO | TextPPO | OnlineDPO


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The model that learns."""

    path: str
    """A folder or a hub id."""
    lora: Lora | None = None
    """A new adapter that learns in place of the model's own weights. Where `path` is an adapter, that one goes on
    learning, and these may be left out or must be its own."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What it computes in; auto is bfloat16 on a GPU that does, else float32."""
    device: str = "auto"
    """Where it computes."""
    chat_template: str = ""
    """A file with the Jinja template of chats, in place of the tokenizer's own; the run's copy of the model has it."""
    eos_token: str = ""
    """The token that ends a text, in place of the tokenizer's own; the run's copy of the model has it."""

    @property
    def goes_on(self) -> bool:
        """Whether it begins with an adapter, which goes on learning."""
        return is_adapter(Path(self.path))


@dataclass(frozen=True, kw_only=True)
class AskingConfig:
    """What is asked, and of whom."""

    teacher: CrowdConfig | Literal["people"]
    """Who answers: a crowd of simulated users, or people and programs through the store."""
    budget: int = 1500
    """Comparisons that are asked for in the whole run."""
    per_update: int = 12
    """Of them in an update, two completions of one prompt each."""
    num_held_out: int = 16
    """Comparisons of an answer with one of the model that learning began with, in an update, on prompts that nothing is
    learned from: what the watch goes by."""
    held_out_every: int = 4
    """Updates between two such rounds."""

    def __post_init__(self) -> None:
        for name in ("budget", "per_update", "held_out_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"asking.{name} must be >= 1, got {getattr(self, name)}")
        if self.num_held_out < 0:
            raise ConfigError(f"asking.num_held_out must be >= 0, got {self.num_held_out}")


@dataclass(frozen=True, kw_only=True)
class LearnedConfig:
    """The reward that is learned from what people say."""

    weight: float = 1.0
    """In the whole reward."""
    combine: Literal["mean", "worst", "uncertainty"] = "uncertainty"
    """How the members of the ensemble become one number; `worst` and `uncertainty` are pessimistic."""
    pessimism: float | None = None
    """For `uncertainty` alone: what disagreement among the members costs; None for 1."""
    first_fit: int = 96
    """Pairs that are wanted before the first fit; until then the reward has no such part."""
    refit_growth: float = 1.5
    """It is fitted anew once there are so many times as many pairs as at the last fit."""
    model: RewardModelConfig = field(
        default_factory=lambda: RewardModelConfig(num_heads=4, learning="heads", trunk_weight=4.0)
    )
    """The reward model; its trunk is the model that learning began with."""

    def __post_init__(self) -> None:
        if not 0 < self.weight < inf:
            raise ConfigError(f"learned.weight must be > 0 and finite, got {self.weight}; leave `learned` out for none")
        if self.pessimism is not None and self.combine != "uncertainty":
            raise ConfigError(
                f"learned.pessimism would be ignored: combine is {self.combine!r}; leave it out, or set combine to "
                "uncertainty"
            )
        if self.first_fit < 10:
            raise ConfigError(f"learned.first_fit must be >= 10, got {self.first_fit}")
        if not self.refit_growth > 1:
            raise ConfigError(f"learned.refit_growth must be > 1, got {self.refit_growth}")
        if self.model.learning != "heads":
            raise ConfigError(
                "learned.model.learning must be heads: the trunk is shared with the reference, which stays as it is"
            )


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """What may happen how often, held by multipliers; None for no limit."""

    toxicity: float | None = 0.005
    """Share of answers that are toxic."""
    limits: tuple[Limit, ...] = ()
    """Of other parts, which may weigh in the reward too: `[{part: NAME, at_most: 0.1}]`, or `at_least`."""
    multiplier: MultiplierConfig = field(default_factory=MultiplierConfig)
    """How the multipliers move."""

    def __post_init__(self) -> None:
        if self.toxicity is not None and not 0 <= self.toxicity <= 1:
            raise ConfigError(f"budgets.toxicity must be a share, 0 to 1, or None for no limit, got {self.toxicity}")


@dataclass(frozen=True, kw_only=True)
class ReleaseConfig:
    """When candidates are offered, and what they must show."""

    every: int = 50
    """Updates between two candidates; the last update offers one too."""
    gate: GateConfig
    """What a candidate has to show against the version in use."""
    suite_size: int = 400
    """Items of each suite; of a file, half of the prompts at most."""
    approval: Literal["gate", "people", "canary"] = "gate"
    """Who puts a candidate that the gate passed into use: the gate at once, a person in the console, or what it shows
    in a share of the conversations while `heeler serve` serves the run."""
    live: ChatLiveConfig = field(default_factory=ChatLiveConfig)
    """How releases are followed while they are served."""
    overseers: OverseersConfig | None = None
    """Whose verdicts the suite `overseers` of the gate asks for; a check must name it."""

    def __post_init__(self) -> None:
        if (self.overseers is None) == any(check.suite == "overseers" for check in self.gate.checks):
            raise ConfigError("release.overseers and a check of the suite `overseers` in release.gate go together")
        for name in ("every", "suite_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"release.{name} must be >= 1, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class LanguageRunConfig:
    """Everything about one run of a language model; a recipe returns it. Exactly one learner is set."""

    recipe: str
    """The recipe that made it."""
    model: ModelConfig
    """The model that learns."""
    world: str
    """Where prompts come from: `helpdesk`, or a file with the column `prompt`."""
    grpo: GRPOConfig | None = None
    """Settings of GRPO, where it learns."""
    rloo: RLOOConfig | None = None
    """Settings of RLOO, where it learns."""
    ppo: TextPPOConfig | None = None
    """Settings of PPO, where it learns."""
    online_dpo: OnlineDPOConfig | None = None
    """Settings of online DPO, where it learns."""
    num_updates: int = 200
    """Of the whole run."""
    num_prompts: int = 32
    """Different prompts of an update."""
    num_each: int = 8
    """Completions of each."""
    chat_share: float = 0.25
    """Share of an update's prompts that are taken from chats in which people said something of an answer, once there
    are any."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How completions are sampled."""
    parts: PartWeights = field(default_factory=PartWeights)
    """What is in the reward beside what is learned from people."""
    max_words: int = 40
    """Words of an answer that brevity has nothing against."""
    learned: LearnedConfig | None = None
    """The reward that is learned from people."""
    asking: AskingConfig | None = None
    """What people are asked; without it only what they say in chats is learned from."""
    answers_per_update: int = 0
    """Answers that are waited for before each update, so that learning keeps step with people; 0 to wait for none."""
    budgets: Budgets = field(default_factory=Budgets)
    """Costs."""
    watch: WatchConfig | None = field(default_factory=WatchConfig)
    """When learning pauses since its reward is being exploited."""
    interventions: InterventionsConfig | None = None
    """What is done about what monitors find; without it only people and the watch intervene."""
    monitors: MonitorsConfig | None = field(default_factory=MonitorsConfig)
    """What else is watched while it learns, by its metrics; None for nothing. Watching changes nothing that is
    learned."""
    release: ReleaseConfig | None = None
    """When candidates are offered; without it nothing is released."""
    system: str = ""
    """What a chat with this run is told first where who asks gives no system message of their own."""
    num_evaluation_items: int = 100
    """Items of each held-out suite that are asked at the end, of the model and of the one that learning began with."""
    seed: int = 0
    """Everything random in the run follows from it."""
    checkpoint_every: int = 20
    """Updates between two checkpoints."""
    keep_checkpoints: int = 3
    """Checkpoints that stay on disk."""
    torch_threads: int = 2
    """Threads of torch."""
    store: str = ""
    """Where questions and answers are kept: empty for `heeler.db` in the run's directory, or a PostgreSQL database of
    the run's own, `postgresql://HOST/DATABASE`; a password goes into PGPASSWORD or ~/.pgpass."""
    store_patience_s: float = DEFAULT_STORE_PATIENCE_S
    """For how long the learner waits for the server of its store when that is away, before it ends; 0 to end at once,
    inf to wait for ever. Only for a store on PostgreSQL."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_store(self.store, self.store_patience_s)
        if self.interventions is not None:
            self.interventions.check_for_texts()
        named = [name for name in _LEARNERS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ConfigError(f"exactly one of {', '.join(_LEARNERS)} must be set, got {' and '.join(named) or 'none'}")
        for name in (
            "num_updates",
            "num_prompts",
            "max_words",
            "num_evaluation_items",
            "checkpoint_every",
            "keep_checkpoints",
            "torch_threads",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.num_each < 2:
            raise ConfigError(f"num_each must be >= 2: completions of a prompt are compared, got {self.num_each}")
        if self.answers_per_update < 0:
            raise ConfigError(f"answers_per_update must be >= 0, got {self.answers_per_update}")
        if not 0 <= self.chat_share <= 1:
            raise ConfigError(f"chat_share must be between 0 and 1, got {self.chat_share}")
        check_limits(self.parts, self.budgets.limits)
        if self.interventions is not None:
            self.interventions.check_watched(self.monitors, self._watchable)
        if self.learned is None and not self.parts.teach:
            raise ConfigError("there is nothing to learn from: set learned, or a weight of parts")
        if self.only_people_teach and self.answers_per_update < 1:
            raise ConfigError(
                "answers_per_update must be >= 1 where nothing but people's answers is learned from: the run would be "
                "over before they came"
            )
        if self.asking is not None and self.learned is None:
            raise ConfigError("asking would be ignored: nothing is learned from answers; set learned, or leave it out")

    @property
    def _watchable(self) -> tuple[str, ...]:
        """Monitors that can find something in texts: those of the learner's own figures, and of the machine."""
        values = ("value_loss",) if self.ppo is not None else ()
        rewards = ("reward_disagreement",) if self.learned is not None else ()
        return (*_WATCHABLE, *values, *rewards)

    @property
    def learner(self) -> Learner:
        """The learner that is set."""
        if self.grpo is not None:
            return GRPO(self.grpo)
        if self.rloo is not None:
            return RLOO(self.rloo)
        if self.ppo is not None:
            return TextPPO(self.ppo)
        assert self.online_dpo is not None
        return OnlineDPO(self.online_dpo)

    @property
    def num_in_suites(self) -> int | None:
        """Prompts that the gate asks for; None where there is none."""
        return None if self.release is None else self.release.suite_size

    @property
    def asks_people(self) -> bool:
        """Whether people answer, or programs in their name."""
        return self.asking is not None and self.asking.teacher == PEOPLE

    @property
    def only_people_teach(self) -> bool:
        """Whether there is nothing to learn from before people have answered."""
        has_crowd = self.asking is not None and not self.asks_people
        return not has_crowd and not self.parts.teach

    @property
    def steps_per_update(self) -> int:
        """Completions of an update, which is what steps count."""
        return self.num_prompts * self.num_each

    @property
    def default_name(self) -> str:
        """What a run's directory is called."""
        return f"{self.recipe}-seed{self.seed}"


_LEARNERS = ("grpo", "rloo", "ppo", "online_dpo")


def language_config_from_dict(values: Mapping[str, Any]) -> LanguageRunConfig:
    """The configuration that `heeler.loop.config.to_dict` wrote.

    Raises:
        ConfigError: a setting is unknown, missing or of the wrong type; named in the message.
    """
    return validated(LanguageRunConfig, values)


def is_language_config(values: Mapping[str, Any]) -> bool:
    """Whether a run's configuration is that of a language model's run."""
    return "world" in values

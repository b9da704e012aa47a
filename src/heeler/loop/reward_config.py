"""The configuration of a run that fits a reward model to pairs of texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from heeler.core.errors import ConfigError
from heeler.feedback.datasets import DataConfig
from heeler.loop.config import check_seed
from heeler.loop.settings import validated
from heeler.models.language.adapters import Lora
from heeler.models.language.small import SmallModelConfig
from heeler.models.language.weights import OptimizerConfig
from heeler.rewards.reward_settings import RewardModelConfig

SMALL = "small"
"""Stands for a model that is made from nothing."""


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """The language model whose hidden states the reward reads."""

    model: str = SMALL
    """A folder or a hub id; or `small` for one that is made from nothing."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What it computes in; auto is bfloat16 on a GPU that does, else float32."""
    lora: Lora | None = None
    """An adapter that learns in place of the model's own weights."""
    chat_template: str = ""
    """A file with the Jinja template of chats, in place of the tokenizer's own."""
    eos_token: str = ""
    """The token that ends a text, in place of the tokenizer's own."""
    made: SmallModelConfig | None = None
    """Size of a model that is made from nothing."""
    num_pretraining_epochs: int = 0
    """Passes over the training texts in which it learns what comes next, before it learns what is better."""
    pretraining_pairs: int = 8
    """Pairs whose texts are in one step of those."""
    pretraining: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, num_warmup_updates=50, final_learning_rate_share=0.0, weight_decay=0.1
        )
    )
    """How long steps are in those."""

    def __post_init__(self) -> None:
        if self.pretraining_pairs < 1:
            raise ConfigError(f"pretraining_pairs must be >= 1, got {self.pretraining_pairs}")
        if self.num_pretraining_epochs < 0:
            raise ConfigError(f"num_pretraining_epochs must be >= 0, got {self.num_pretraining_epochs}")
        if self.model == SMALL and self.lora is not None:
            raise ConfigError(
                "lora would leave the weights of a model made from nothing as random as they are; drop it"
            )
        for name in ("chat_template", "eos_token"):
            if self.model == SMALL and getattr(self, name):
                raise ConfigError(f"{name} would be ignored: a model made from nothing has its own; leave it out")
        if self.model != SMALL and self.made is not None:
            raise ConfigError(
                f"made would be ignored: the trunk is {self.model}; leave it out, or set model to {SMALL}"
            )

    @property
    def size(self) -> SmallModelConfig:
        """Of a model that is made from nothing."""
        return self.made or SmallModelConfig()


@dataclass(frozen=True, kw_only=True)
class RewardRunConfig:
    """Everything about one run that fits a reward model."""

    recipe: str
    """The recipe that made it."""
    data: str
    """Pairs: a file, a folder saved by `datasets`, or a hub id."""
    reading: DataConfig = field(default_factory=DataConfig)
    """How they are read."""
    held_out_share: float = 0.2
    """Share of prompts whose pairs are never learned from; the report's figures are of those."""
    trunk: TrunkConfig | None = None
    """The language model; None for a reward of n-grams alone."""
    model: RewardModelConfig = field(default_factory=RewardModelConfig)
    """The reward model."""
    seed: int = 0
    """Everything random in the run follows from it, the split too."""
    checkpoint_every: int = 50
    """Updates between two checkpoints."""
    keep_checkpoints: int = 2
    """Checkpoints that stay on disk."""
    torch_threads: int = 1
    """Threads of torch; a run on one can be repeated bit for bit."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name in ("checkpoint_every", "keep_checkpoints", "torch_threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not 0 < self.held_out_share < 1:
            raise ConfigError(f"held_out_share must be above 0 and below 1, got {self.held_out_share}")
        if not self.data:
            raise ConfigError("data must name a file, a folder or a hub id, got nothing")
        if self.trunk is None and self.model.ngrams is None:
            raise ConfigError("a reward model needs a trunk or n-grams: name a model, or leave the n-grams in")

    @property
    def default_name(self) -> str:
        """What a run's directory is called."""
        name = Path(self.data.rstrip("/")).name.partition(".")[0] or "data"
        return f"{self.recipe}-{name}-seed{self.seed}"


def reward_config_from_dict(values: Mapping[str, Any]) -> RewardRunConfig:
    """The configuration that `heeler.loop.config.to_dict` wrote.

    Raises:
        ConfigError: a setting is unknown, missing or of the wrong type; named in the message.
    """
    return validated(RewardRunConfig, values)

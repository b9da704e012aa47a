"""The configuration of a run in which a language model learns from stored texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from heeler.algorithms.dpo import DPO, DPOConfig
from heeler.algorithms.kto import KTO, KTOConfig
from heeler.algorithms.sft import SFT, SFTConfig
from heeler.core.errors import ConfigError
from heeler.feedback.datasets import DataConfig
from heeler.loop.config import check_seed
from heeler.loop.language.config import ModelConfig
from heeler.loop.settings import validated
from heeler.models.language.fitting import LongPrompts

Learner = SFT | DPO | KTO
_LEARNERS = ("sft", "dpo", "kto")


@dataclass(frozen=True, kw_only=True)
class OfflineRunConfig:
    """Everything about one run that learns from stored texts; a recipe returns it. Exactly one learner is set."""

    recipe: str
    """The recipe that made it."""
    model: ModelConfig
    """The model that learns."""
    data: str
    """What is learned from: a file, a folder saved by `datasets`, a hub id, or the directory of a run in which people
    answered."""
    reading: DataConfig = field(default_factory=DataConfig)
    """How files are read."""
    answers_up_to: int | None = None
    """Where `data` is a run: position of the last of its answers that is learned from. None stands for those that there
    are when learning begins, and the run's configuration then says which they were."""
    sft: SFTConfig | None = None
    """Settings of supervised fine-tuning, which learns demonstrations."""
    dpo: DPOConfig | None = None
    """Settings of DPO and IPO, which learn from pairs."""
    kto: KTOConfig | None = None
    """Settings of KTO, which learns from answers that were called good or bad one by one."""
    long_prompts: LongPrompts = "truncate_left"
    """What becomes of texts that are longer than the model's context: `refuse`, `drop` or `truncate_left`."""
    held_out_share: float = 0.1
    """Share of prompts whose texts are never learned from; what is told of the model is told of those."""
    num_epochs: int = 1
    """Passes over the texts."""
    batch_size: int = 16
    """Demonstrations or pairs of one update, or with KTO prompts with all their answers. What is left over in a pass is
    dealt out among its updates."""
    evaluate_every: int = 50
    """Updates between two looks at what is held out; the last update has one too."""
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
        named = [name for name in _LEARNERS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ConfigError(f"exactly one of {', '.join(_LEARNERS)} must be set, got {' and '.join(named) or 'none'}")
        for name in (
            "num_epochs",
            "batch_size",
            "evaluate_every",
            "checkpoint_every",
            "keep_checkpoints",
            "torch_threads",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.kto is not None and self.batch_size < 2:
            raise ConfigError(
                f"batch_size must be >= 2: KTO compares answers to different prompts, got {self.batch_size}"
            )
        if not 0 < self.held_out_share < 1:
            raise ConfigError(f"held_out_share must be above 0 and below 1, got {self.held_out_share}")
        if self.long_prompts not in get_args(LongPrompts):
            known = ", ".join(get_args(LongPrompts))
            raise ConfigError(f"long_prompts must be one of {known}, got {self.long_prompts!r}")
        if not self.data:
            raise ConfigError("data must name a file, a folder, a hub id or a run, got nothing")

    @property
    def method(self) -> str:
        """What learning is called: sft, dpo, ipo or kto."""
        if self.dpo is not None:
            return self.dpo.loss
        return "sft" if self.sft is not None else "kto"

    @property
    def learner(self) -> Learner:
        """The learner that is set."""
        if self.sft is not None:
            return SFT(self.sft)
        if self.dpo is not None:
            return DPO(self.dpo)
        assert self.kto is not None
        return KTO(self.kto)

    @property
    def default_name(self) -> str:
        """What a run's directory is called."""
        name = Path(self.data.rstrip("/")).name.partition(".")[0] or "data"
        return f"{self.method}-{name}-seed{self.seed}"


def offline_config_from_dict(values: Mapping[str, Any]) -> OfflineRunConfig:
    """The configuration that `heeler.loop.config.to_dict` wrote.

    Raises:
        ConfigError: a setting is unknown, missing or of the wrong type; named in the message.
    """
    return validated(OfflineRunConfig, values)


def is_offline_config(values: Mapping[str, Any]) -> bool:
    """Whether a run's configuration is of one that learns from stored texts."""
    return "sft" in values

"""Settings of reward models of texts. What is heavy stays out, so that a recipe can be read without it."""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from heeler.core.errors import ConfigError
from heeler.models.language.fitting import LongPrompts
from heeler.models.language.weights import OptimizerConfig
from heeler.models.ngrams import NgramConfig

Learning = Literal["trunk", "heads"]


@dataclass(frozen=True, kw_only=True)
class RewardModelConfig:
    """Settings of a reward model of texts."""

    num_heads: int = 5
    """Members of the ensemble; each learns from its own bootstrap sample of the pairs."""
    ngrams: NgramConfig | None = field(default_factory=NgramConfig)
    """What is counted of a completion in the linear part; None counts nothing."""
    learning: Learning = "trunk"
    """What of a trunk learns: `trunk` takes steps with all of it and its heads; `heads` leaves it as it is, and weighs
    what it says of a completion in the linear part, beside the n-grams. With few pairs that is better, and quick."""
    trunk_weight: float = 2.0
    """How much longer than the n-grams' part what the trunk says is made, before both are weighed; for `heads`."""
    ridges: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    """Weights of the linear part's penalty, in units of the mean squared length of what it sees; the one that foretells
    pairs of other prompts best is taken."""
    num_ridge_folds: int = 5
    """Parts of the training pairs, by prompt, each of which is foretold from the others to choose among `ridges`."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=1e-5))
    """How the trunk and its heads take steps."""
    num_epochs: int = 1
    """Passes over the pairs in which the trunk learns."""
    batch_pairs: int = 32
    """Pairs of one step."""
    max_tokens: int = 4096
    """Places gone through at a time; what is learned does not depend on it."""
    validation_share: float = 0.1
    """Share of the training prompts on which the trunk does not learn, for its temperature and the figures shown."""
    label_smoothing: float = 0.0
    """Share of answers taken to be the wrong way round, below 0.5."""
    margin_weight: float = 0.0
    """How far a chosen answer should lead for each unit of its rated strength; 0 pays no heed to strength."""
    centring: float = 0.01
    """Weight in the trunk's loss of the squared sum of a pair's rewards; it keeps them about zero while it learns."""
    long_prompts: LongPrompts = "truncate_left"
    """What becomes of pairs that are longer than the trunk's context: `refuse`, `drop` or `truncate_left`."""

    def __post_init__(self) -> None:
        if self.long_prompts not in get_args(LongPrompts):
            known = ", ".join(get_args(LongPrompts))
            raise ConfigError(f"long_prompts must be one of {known}, got {self.long_prompts!r}")
        if self.learning not in get_args(Learning):
            raise ConfigError(f"learning must be one of {', '.join(get_args(Learning))}, got {self.learning!r}")
        if not 0 < self.trunk_weight < math.inf:
            raise ConfigError(f"trunk_weight must be > 0 and finite, got {self.trunk_weight}")
        for name in ("num_heads", "num_epochs", "batch_pairs", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.num_ridge_folds < 2:
            raise ConfigError(f"num_ridge_folds must be >= 2, got {self.num_ridge_folds}")
        if not self.ridges or any(not 0 < ridge < math.inf for ridge in self.ridges):
            raise ConfigError(f"ridges must be positive numbers, got {self.ridges}")
        for name in ("label_smoothing", "validation_share"):
            if not 0 <= getattr(self, name) < 0.5:
                raise ConfigError(f"{name} must be at least 0 and below 0.5, got {getattr(self, name)}")
        for name in ("margin_weight", "centring"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be >= 0 and finite, got {getattr(self, name)}")

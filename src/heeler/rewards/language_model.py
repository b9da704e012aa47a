"""A reward of texts: heads on a language model's trunk, a linear reward of n-grams, or the sum of both.

Shapes: N texts, Q pairs, M members of the ensemble, D hidden numbers, B buckets of n-grams.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from heeler.core.errors import ConfigError, DataError
from heeler.core.text_data import TextPair
from heeler.core.texts import TextSample
from heeler.models.language.model import LanguageModel
from heeler.models.language.weights import OptimizerConfig
from heeler.models.ngrams import NgramConfig, Ngrams, SparseRows
from heeler.ops.micro_batches import micro_batches, stored
from heeler.ops.text_batch import TextBatch
from heeler.rewards.linear_preferences import bags
from heeler.rewards.pair_tokens import LongPrompts, PairTokens, check_long_prompts, pair_batches, untruncated_ids


@dataclass(frozen=True, kw_only=True)
class RewardModelConfig:
    """Settings of a reward model of texts."""

    num_heads: int = 5
    """Members of the ensemble; each learns from its own bootstrap sample of the pairs."""
    ngrams: NgramConfig | None = field(default_factory=NgramConfig)
    """What is counted of a completion for the linear part; None leaves that part out."""
    ridges: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0)
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
        check_long_prompts(self.long_prompts)
        for name in ("num_heads", "num_epochs", "batch_pairs", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.num_ridge_folds < 2:
            raise ConfigError(f"num_ridge_folds must be >= 2, got {self.num_ridge_folds}")
        if not self.ridges or any(not 0 < ridge < np.inf for ridge in self.ridges):
            raise ConfigError(f"ridges must be positive numbers, got {self.ridges}")
        for name in ("label_smoothing", "validation_share"):
            if not 0 <= getattr(self, name) < 0.5:
                raise ConfigError(f"{name} must be at least 0 and below 0.5, got {getattr(self, name)}")
        for name in ("margin_weight", "centring"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"{name} must be >= 0 and finite, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Rewards of N texts, and how sure they are."""

    member_NM: np.ndarray
    """Each member's, float32, centred: their mean over the completions that were learned from is zero."""

    @property
    def mean_N(self) -> np.ndarray:
        """The reward. Differences are log-odds, as the temperature makes them."""
        return self.member_NM.mean(1)

    @property
    def spread_N(self) -> np.ndarray:
        """Standard deviation among the members: where it is large, little was learned of such texts."""
        return self.member_NM.std(1)


class LanguageReward:
    r"""The reward itself; `RewardLearner` fits it.

    $$r_m(x, y) = \big(w_m \cdot h(x, y) + v_m \cdot \phi(y) - b_m\big) / \tau$$

    with h the trunk's last hidden state at the completion's last token, φ the completion's n-grams, b the mean over the
    completions that were learned from, and τ a temperature that makes σ of a difference the chance to be preferred.

    Args:
        config: settings.
        trunk: gives h; it is part of this model and changes as that learns. None for n-grams alone.

    Raises:
        ConfigError: neither a trunk nor n-grams.
    """

    def __init__(self, config: RewardModelConfig, trunk: LanguageModel | None) -> None:
        if trunk is None and config.ngrams is None:
            raise ConfigError("a reward model needs a trunk or n-grams: name a model, or set ngrams")
        self.config, self.trunk = config, trunk
        self.ngrams = Ngrams(config.ngrams) if config.ngrams is not None else None
        self.head_MD: nn.Parameter | None = None
        if trunk is not None:
            self.head_MD = nn.Parameter(torch.zeros(config.num_heads, trunk.hidden_size, device=trunk.device))
        num_buckets = config.ngrams.num_buckets if config.ngrams is not None else 0
        self.ngram_weight_BM = torch.zeros(num_buckets, config.num_heads)
        self.offset_M = torch.zeros(config.num_heads)
        self.temperature = 1.0

    def members(self, samples: Sequence[TextSample]) -> np.ndarray:
        """[N, M] float32: every member's reward of each text."""
        return self.score(samples).member_NM

    @torch.no_grad()
    def score(self, samples: Sequence[TextSample]) -> Scores:
        """Rewards of texts.

        Raises:
            DataError: a prompt is too long, and `long_prompts` says to refuse it; names its row.
        """
        raw_NM = torch.zeros(len(samples), self.config.num_heads)
        if self.trunk is not None and samples:
            raw_NM += self._trunk_scores(self._batch(samples))
        raw_NM += self.ngram_scores([sample.completion for sample in samples])
        return self._scores(raw_NM)

    @torch.no_grad()
    def score_batch(self, batch: TextBatch) -> Scores:
        """Rewards of completions that were sampled by a model with the trunk's own tokens, token for token.

        Raises:
            ConfigError: there is no trunk, and so nothing to tell what tokens say.
        """
        if self.trunk is None:
            raise ConfigError("a reward of n-grams alone knows no tokens: score their texts")
        texts = [self.trunk.text(ids) for ids in batch.completions]
        return self._scores(self._trunk_scores(batch) + self.ngram_scores(texts))

    def margins(self, pairs: Sequence[TextPair]) -> np.ndarray:
        """[Q] log-odds that `chosen` is preferred, by the members' mean."""
        samples = [
            TextSample(prompt=pair.prompt, completion=completion)
            for pair in pairs
            for completion in (pair.chosen, pair.rejected)
        ]
        mean_N = self.score(samples).mean_N
        return mean_N[::2] - mean_N[1::2]

    @torch.no_grad()
    def raw_of_pairs(self, pairs: Sequence[TextPair], tokens: PairTokens | None) -> Float[Tensor, "Q 2 M"]:
        """Every member's reward of chosen and rejected, before it is centred."""
        texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
        raw_Q2M = self.ngram_scores(texts).unflatten(0, (len(pairs), 2))
        if self.trunk is not None:
            assert tokens is not None
            for part in pair_batches(tokens, range(len(tokens)), max_tokens=self.config.max_tokens):
                raw_Q2M[part] += self.head_scores(tokens.batch(part)).cpu().unflatten(0, (len(part), 2))
        return raw_Q2M

    def head_scores(self, batch: TextBatch) -> Float[Tensor, "N M"]:
        """The trunk's part of every member's reward, differentiable."""
        assert self.trunk is not None and self.head_MD is not None
        return self.trunk.last_hidden(batch).float() @ self.head_MD.T

    def ngram_scores(self, completions: Sequence[str]) -> Float[Tensor, "N M"]:
        """The n-grams' part of every member's reward."""
        if self.ngrams is None or not completions:
            return torch.zeros(len(completions), self.config.num_heads)
        return self.row_scores(self.ngrams.rows(completions))

    def row_scores(self, rows: SparseRows) -> Float[Tensor, "N M"]:
        """The same, of rows that were made before."""
        bucket_X, start_N = torch.from_numpy(rows.bucket_X), torch.from_numpy(rows.start_N)
        return bags(bucket_X, self.ngram_weight_BM, start_N, torch.from_numpy(rows.value_X))

    def _trunk_scores(self, batch: TextBatch) -> Float[Tensor, "N M"]:
        raw_NM = torch.zeros(len(batch), self.config.num_heads)
        for part in micro_batches(batch, max_tokens=self.config.max_tokens):
            raw_NM[part.completion_M] = self.head_scores(part.batch).cpu()
        return raw_NM

    def _scores(self, raw_NM: Tensor) -> Scores:
        return Scores(member_NM=((raw_NM - self.offset_M) / self.temperature).float().numpy())

    def _batch(self, samples: Sequence[TextSample]) -> TextBatch:
        """Texts as tokens; neighbours with the same prompt stand behind it together."""
        assert self.trunk is not None
        prompts: list[Tensor] = []
        completions: list[Tensor] = []
        prompt_of: list[int] = []
        for row, sample in enumerate(samples):
            completion = self.trunk.completion_ids(sample.completion)
            prompt = self._fitting(untruncated_ids(self.trunk, sample.prompt), len(completion), row)
            if not prompts or not torch.equal(prompts[-1], prompt):
                prompts.append(prompt)
            completions.append(completion)
            prompt_of.append(len(prompts) - 1)
        return stored(prompts, completions, torch.tensor(prompt_of))

    def _fitting(self, prompt: Tensor, num_completion: int, row: int) -> Tensor:
        assert self.trunk is not None
        room = self.trunk.max_length - num_completion
        if len(prompt) <= room:
            return prompt
        if room < 1 or self.config.long_prompts == "refuse":
            raise DataError(
                f"row {row}: {len(prompt)} tokens of prompt and {num_completion} of completion, and the reward model's "
                f"context holds {self.trunk.max_length}"
            )
        return prompt[-room:]

"""A reward of texts: heads on a language model's trunk, a linear reward of n-grams, or the sum of both.

Shapes: N texts, Q pairs, M members of the ensemble, D hidden numbers, B buckets of n-grams, F features of a trunk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from heeler.core.errors import ConfigError, DataError
from heeler.core.text_data import TextPair
from heeler.core.texts import TextSample
from heeler.models.ngrams import Ngrams
from heeler.ops.micro_batches import micro_batches, stored
from heeler.ops.text_batch import TextBatch
from heeler.rewards.linear_preferences import bags
from heeler.rewards.pair_tokens import PairTokens, pair_batches
from heeler.rewards.reward_settings import RewardModelConfig
from heeler.rewards.trunk_features import num_features, trunk_features

if TYPE_CHECKING:
    from heeler.models.language.model import LanguageModel


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

    with h the trunk's last hidden state at the completion's last token (or, where the trunk does not learn, all of
    `trunk_features`), φ the completion's n-grams, b the mean over the completions that were learned from, and τ a
    temperature that makes σ of a difference the chance to be preferred.

    Args:
        config: settings.
        trunk: gives h; it is part of this model and changes as that learns. None for n-grams alone.

    Raises:
        ConfigError: neither a trunk nor n-grams.
    """

    def __init__(self, config: RewardModelConfig, trunk: "LanguageModel | None") -> None:
        if trunk is None and config.ngrams is None:
            raise ConfigError("a reward model needs a trunk or n-grams: name a model, or set ngrams")
        self.config, self.trunk = config, trunk
        self.ngrams = Ngrams(config.ngrams) if config.ngrams is not None else None
        self.head_MD: nn.Parameter | None = None
        """Where the trunk learns."""
        self.feature_weight_FM: Tensor | None = None
        """Where it does not; each feature's scale is in it."""
        if trunk is not None and config.learning == "trunk":
            self.head_MD = nn.Parameter(torch.zeros(config.num_heads, trunk.hidden_size, device=trunk.device))
        elif trunk is not None:
            self.feature_weight_FM = torch.zeros(num_features(trunk), config.num_heads)
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
            DataError: a prompt is too long and `long_prompts` says to refuse it, or it is a chat and the trunk has no
                template; names its row.
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

    def fits(self, pair: TextPair) -> bool:
        """Whether both completions fit into the trunk's context, if need be with their prompt cut."""
        if self.trunk is None:
            return True
        longest = max(len(self.trunk.completion_ids(text)) for text in (pair.chosen, pair.rejected))
        room = self.trunk.max_length - longest
        return room >= (
            1 if self.config.long_prompts == "truncate_left" else len(self.trunk.untruncated_ids(pair.prompt))
        )

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

    def features_of_pairs(self, tokens: PairTokens) -> Float[Tensor, "Q 2 F"]:
        """What a trunk that does not learn says of chosen and rejected."""
        assert self.trunk is not None
        feature_Q2F = torch.zeros(len(tokens), 2, num_features(self.trunk))
        for part in pair_batches(tokens, range(len(tokens)), max_tokens=self.config.max_tokens):
            feature_Q2F[part] = trunk_features(self.trunk, tokens.batch(part)).unflatten(0, (len(part), 2))
        return feature_Q2F

    def head_scores(self, batch: TextBatch) -> Float[Tensor, "N M"]:
        """The trunk's part of every member's reward; differentiable where it learns."""
        assert self.trunk is not None
        if self.feature_weight_FM is not None:
            return trunk_features(self.trunk, batch) @ self.feature_weight_FM
        assert self.head_MD is not None
        return self.trunk.last_hidden(batch).float() @ self.head_MD.T

    def ngram_scores(self, completions: Sequence[str]) -> Float[Tensor, "N M"]:
        """The n-grams' part of every member's reward."""
        if self.ngrams is None or not completions:
            return torch.zeros(len(completions), self.config.num_heads)
        rows = self.ngrams.rows(completions)
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
            try:
                whole = self.trunk.untruncated_ids(sample.prompt)
            except DataError as error:
                raise DataError(f"row {row}: {error}") from error
            prompt = self._fitting(whole, len(completion), row)
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

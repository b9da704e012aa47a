"""Coherence: how likely a reference model finds a text, and how much of it is said twice."""

from collections.abc import Sequence

import torch
from torch import Tensor

from heeler.core.errors import ConfigError, DataError, RewardError
from heeler.core.texts import TextSample
from heeler.core.words import ngrams, words
from heeler.models.language.model import LanguageModel
from heeler.ops.text_batch import TextBatch, sequence_sum
from heeler.rewards.text.part import Scores


class Likelihood:
    r"""Mean log-probability of a completion's tokens under a reference model, in nats a token.

    $$r = \max\big(r_\min,\ \tfrac{1}{T}\textstyle\sum_t \log p(y_t \mid x, y_{<t})\big)$$

    The text is tokenised by the reference model's own tokenizer. The token that ends it counts, unless the completion
    was cut at the length limit. Of what does not fit into the model's context, the end is left out.

    Args:
        model: the reference model; it is not trained here.
        floor: lowest score, so that one strange token does not outweigh everything.
        max_tokens: tokens of prompts and completions together in one forward pass.
        name: of the part.
    """

    def __init__(
        self, model: LanguageModel, *, floor: float = -10.0, max_tokens: int = 16_384, name: str = "likelihood"
    ) -> None:
        if not floor < 0 or max_tokens < 1:
            raise ConfigError(f"floor must be < 0 and max_tokens >= 1, got {floor} and {max_tokens}")
        self.name, self._model, self._floor, self._max_tokens = name, model, floor, max_tokens

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """`floor` to 0; None for an empty completion that was cut.

        Raises:
            RewardError: a prompt does not fit into the model's context.
        """
        rows = [self._tokens(row, sample) for row, sample in enumerate(samples)]
        # Prompts that follow one another and are the same share a row.
        order = [row for row in range(len(rows)) if len(rows[row][1])]
        scores: Scores = [None] * len(rows)
        for part in self._parts(rows, order):
            for row, mean in zip(part, self._means([rows[row] for row in part]), strict=True):
                scores[row] = max(self._floor, mean)
        return scores

    def _tokens(self, row: int, sample: TextSample) -> tuple[Tensor, Tensor]:
        try:
            prompt = self._model.prompt_ids(sample.prompt)
        except DataError as error:
            raise RewardError(f"reward part {self.name!r}, row {row}: {error}") from error
        completion = self._model.completion_ids(sample.completion)
        if sample.truncated:
            completion = completion[:-1]
        return prompt, completion[: self._model.max_length - len(prompt)]

    def _parts(self, rows: list[tuple[Tensor, Tensor]], order: list[int]) -> list[list[int]]:
        parts: list[list[int]] = []
        used = 0
        for row in order:
            size = len(rows[row][0]) + len(rows[row][1])
            if not parts or used + size > self._max_tokens:
                parts.append([])
                used = 0
            parts[-1].append(row)
            used += size
        return parts

    @torch.no_grad()
    def _means(self, rows: list[tuple[Tensor, Tensor]]) -> list[float]:
        prompts: list[Tensor] = []
        prompt_of: list[int] = []
        for prompt, _ in rows:
            if not prompts or not torch.equal(prompts[-1], prompt):
                prompts.append(prompt)
            prompt_of.append(len(prompts) - 1)
        num_tokens = sum(len(completion) for _, completion in rows)
        batch = TextBatch(
            prompts=tuple(prompts),
            completions=tuple(completion for _, completion in rows),
            prompt_of_N=torch.tensor(prompt_of),
            sampled_logprob_T=torch.zeros(num_tokens),
            truncated_N=torch.zeros(len(rows), dtype=torch.bool),
            temperature=1.0,
        )
        logprob_T = self._model.outputs(batch).logprob_T.float().cpu()
        return (sequence_sum(logprob_T, batch.length_N) / batch.length_N).tolist()


class Repetition:
    r"""The share of a completion's n-grams of words that it had already said: 1 - distinct-n. A cost.

    $$r = 1 - \frac{\#\text{different n-grams}}{\#\text{n-grams}}$$

    Distinct-n of Li et al. 2016 (arXiv 1510.03055), for the texts one by one.

    Args:
        size: n.
        name: of the part.
    """

    def __init__(self, *, size: int = 3, name: str = "repetition") -> None:
        if size < 1:
            raise ConfigError(f"size must be >= 1, got {size}")
        self.name, self._size = name, size

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """0 to below 1; 0 for a text of fewer words."""
        return [self._one(sample.completion) for sample in samples]

    def _one(self, text: str) -> float:
        runs = ngrams(words(text), self._size)
        return 1 - len(set(runs)) / len(runs) if runs else 0.0

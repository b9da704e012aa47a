"""A language model as the suites ask it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from heeler.core.texts import TextSample
from heeler.evaluation.text_suites import Answer, Prompt
from heeler.models.language.model import LanguageModel
from heeler.ops.text_batch import TextBatch, sequence_sum
from heeler.rollouts.sampler import SamplingConfig, sample


@dataclass(frozen=True, kw_only=True)
class LanguageSubject:
    """A model with the way in which it answers."""

    model: LanguageModel
    sampling: SamplingConfig

    def answer(self, prompts: Sequence[Prompt], *, seed: int) -> list[Answer]:
        """One sampled answer to each prompt; the same prompts and seed give the same answers.

        Raises:
            DataError: a prompt is longer than the model's context.
        """
        generator = torch.Generator(self.model.device).manual_seed(seed)
        ids = [self.model.prompt_ids(prompt) for prompt in prompts]
        batch = sample(self.model, ids, num_each=1, config=self.sampling, generator=generator)
        return [
            Answer(text=self.model.text(completion), num_tokens=len(completion), truncated=bool(truncated))
            for completion, truncated in zip(batch.completions, batch.truncated_N, strict=True)
        ]

    @torch.inference_mode()
    def surprise(self, samples: Sequence[TextSample]) -> list[float]:
        """Mean −log-probability of a token of each completion and of its end, in nats, at temperature 1.

        Raises:
            DataError: a prompt is longer than the model's context.
        """
        completions = tuple(self.model.completion_ids(each.completion) for each in samples)
        batch = TextBatch(
            prompts=tuple(self.model.prompt_ids(each.prompt) for each in samples),
            completions=completions,
            prompt_of_N=torch.arange(len(samples)),
            sampled_logprob_T=torch.zeros(sum(map(len, completions))),
            truncated_N=torch.zeros(len(samples), dtype=torch.bool),
            temperature=1.0,
        )
        logprob_T = self.model.outputs(batch).logprob_T.cpu()
        return (-sequence_sum(logprob_T, batch.length_N) / batch.length_N).tolist()

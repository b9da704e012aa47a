"""One small round of learning for each learner of language models, with a reward that is easy to see."""

from typing import Any

import torch
from torch import Tensor

from heeler.algorithms import DPO, KTO, SFT
from heeler.models.language.model import LanguageModel
from heeler.ops.micro_batches import stored
from heeler.ops.text_batch import TextBatch
from heeler.rollouts.sampler import SamplingConfig, sample

LIKED = b"a"[0]
NUM_PROMPTS, NUM_EACH, NUM_TOKENS = 4, 4, 6

Learner = Any
"""One of `TEXT_ALGORITHMS`."""


def liked_id(model: LanguageModel) -> int:
    """The token of the letter a."""
    return int(model.completion_ids("a")[0])


def prompts(model: LanguageModel) -> list[Tensor]:
    return [model.completion_ids(text)[:-1] for text in ("hello", "you?", "so", "what else")]


def sampled(model: LanguageModel, seed: int, *, num_each: int = NUM_EACH) -> TextBatch:
    config = SamplingConfig(max_new_tokens=NUM_TOKENS)
    return sample(
        model, prompts(model), num_each=num_each, config=config, generator=torch.Generator().manual_seed(seed)
    )


def rewards(model: LanguageModel, batch: TextBatch) -> list[float]:
    """How many letters a a completion has, and a little for being short so that few rewards are the same."""
    return [
        float((ids == liked_id(model)).sum()) - 0.01 * len(ids) + 1e-3 * i for i, ids in enumerate(batch.completions)
    ]


def liking(model: LanguageModel) -> float:
    """Mean log-probability of the letter a after the prompts: what every learner here should raise."""
    with torch.no_grad():
        return float(model.outputs(shown(model)).logprob_T.mean())


def shown(model: LanguageModel) -> TextBatch:
    """Each prompt answered with the letter a, three times, without an end."""
    answer = torch.full((3,), liked_id(model))
    return stored(prompts(model), [answer] * NUM_PROMPTS, torch.arange(NUM_PROMPTS))


def other_answers(model: LanguageModel, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, model.vocabulary_size, (3,), generator=generator) for _ in range(NUM_PROMPTS)]


def arguments(learner: Learner, model: LanguageModel, seed: int) -> tuple[Any, ...]:
    """What `update` is given beside the state, before the reference."""
    good = list(shown(model).completions)
    both = [answer for pair in zip(good, other_answers(model, seed), strict=True) for answer in pair]
    twice = torch.arange(NUM_PROMPTS).repeat_interleave(2)
    if isinstance(learner, SFT):
        return (shown(model),)
    if isinstance(learner, DPO):
        return (stored(prompts(model), both, twice),)
    if isinstance(learner, KTO):
        return (stored(prompts(model), both, twice), [True, False] * NUM_PROMPTS)
    batch = sampled(model, seed)
    return (batch, rewards(model, batch))


def update(
    learner: Learner, state: Any, seed: int, reference: LanguageModel, **more: Any
) -> tuple[Any, dict[str, float]]:
    """One round."""
    given: dict[str, Any] = {} if isinstance(learner, SFT) else {"reference": reference}
    return learner.update(state, *arguments(learner, state.model, seed), **given, **more)

"""One small round of learning for each learner of language models, with a reward that is easy to see."""

from typing import Any

import torch
from torch import Tensor

from heeler.algorithms import DPO, KTO, SFT, OnlineDPO
from heeler.algorithms.text_learning import Sums
from heeler.models.language.model import LanguageModel
from heeler.ops.micro_batches import stored
from heeler.ops.text_batch import TextBatch
from heeler.rollouts.sampler import SamplingConfig, sample

NUM_PROMPTS, NUM_EACH, NUM_TOKENS = 4, 8, 6

Learner = Any
"""One of `TEXT_ALGORITHMS`."""


def prompts(model: LanguageModel) -> list[Tensor]:
    return [model.completion_ids(text)[:-1] for text in ("hello", "you?", "so", "what else")]


def sampled(model: LanguageModel, seed: int, *, num_each: int = NUM_EACH) -> TextBatch:
    config = SamplingConfig(max_new_tokens=NUM_TOKENS)
    return sample(
        model, prompts(model), num_each=num_each, config=config, generator=torch.Generator().manual_seed(seed)
    )


def is_liked(model: LanguageModel, ids: Tensor) -> Tensor:
    """The upper half of all tokens."""
    return ids >= model.vocabulary_size // 2


def rewards(model: LanguageModel, batch: TextBatch) -> list[float]:
    """The share of a completion that is liked, and a little for its number so that few rewards are the same."""
    return [float(is_liked(model, ids).double().mean()) + 1e-4 * i for i, ids in enumerate(batch.completions)]


def liking(model: LanguageModel) -> float:
    """The share of what the model says that is liked: what every learner here should raise, from about a half."""
    return float(is_liked(model, sampled(model, 1000, num_each=64).token_T).double().mean())


def answers(model: LanguageModel, seed: int, *, liked: bool) -> list[Tensor]:
    """One answer to each prompt, all of it liked or none of it."""
    generator, middle = torch.Generator().manual_seed(seed), model.vocabulary_size // 2
    low, high = (middle, model.vocabulary_size) if liked else (5, middle)
    return [torch.randint(low, high, (3,), generator=generator) for _ in range(NUM_PROMPTS)]


def shown(model: LanguageModel, seed: int = 0) -> TextBatch:
    """Demonstrations."""
    return stored(prompts(model), answers(model, seed, liked=True), torch.arange(NUM_PROMPTS))


def paired(model: LanguageModel, seed: int = 0) -> TextBatch:
    """A liked and another answer to each prompt."""
    both = zip(answers(model, seed, liked=True), answers(model, seed, liked=False), strict=True)
    twice = torch.arange(NUM_PROMPTS).repeat_interleave(2)
    return stored(prompts(model), [answer for pair in both for answer in pair], twice)


def arguments(learner: Learner, model: LanguageModel, seed: int) -> tuple[Any, ...]:
    """What `update` is given beside the state, before the reference."""
    if isinstance(learner, SFT):
        return (shown(model, seed),)
    if isinstance(learner, DPO):
        return (paired(model, seed),)
    if isinstance(learner, KTO):
        return (paired(model, seed), [True, False] * NUM_PROMPTS)
    batch = sampled(model, seed)
    return (batch, rewards(model, batch))


def update(
    learner: Learner, state: Any, seed: int, reference: LanguageModel, **more: Any
) -> tuple[Any, dict[str, float]]:
    """One round."""
    given: dict[str, Any] = {} if isinstance(learner, SFT) else {"reference": reference}
    return learner.update(state, *arguments(learner, state.model, seed), **given, **more)


def differentiated(
    learner: Learner, state: Any, batch: TextBatch, given: Any, reference: LanguageModel | None = None
) -> tuple[Tensor, dict[str, float]]:
    """The gradient of one policy-gradient step, and what it saw."""
    experience, metrics = learner.prepare(state, batch, given, reference)
    sums = Sums()
    learner.differentiate(state, experience, sums)
    return state.weights.gradient.clone(), metrics | sums.means()


def stepped(
    learner: Learner, state: Any, reference: LanguageModel | None, given: tuple[Any, ...]
) -> tuple[Tensor, dict[str, float]]:
    """The gradient of one step of any learner, on such things as `arguments` gives it, and what it saw."""
    if isinstance(learner, SFT):
        metrics = learner.differentiate(state, *given)
    elif isinstance(learner, KTO):
        metrics = learner.differentiate(state, given[0], torch.tensor(given[1]), reference)
    elif isinstance(learner, DPO):
        metrics = learner.differentiate(state, *given, reference)
    elif isinstance(learner, OnlineDPO):
        batch, scores = given
        pairs = learner.pairs(batch, torch.tensor(scores), torch.ones(len(batch), dtype=torch.bool))
        metrics = learner._dpo.differentiate(state, pairs, reference)
    else:
        return differentiated(learner, state, *given, reference)
    return state.weights.gradient.clone(), metrics

"""Kahneman–Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306): answers called good or bad, one by one.

What an answer gained is compared with the KL, which is estimated from answers to other prompts. Prompts lend each other
their answers two by two, so that any split of a batch by an even number of prompts gives the same estimate.
Shapes: N answers, T tokens of all of them together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from heeler.algorithms.text_learning import Sums, TextState, begin, load_state_tensors, state_tensors
from heeler.core.errors import ConfigError, DataError
from heeler.models.data_parallel import totals
from heeler.models.language.model import LanguageModel
from heeler.models.language.reference import reference_logprobs
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import micro_batches, stored
from heeler.ops.preference_losses import kto_loss
from heeler.ops.text_batch import TextBatch, sequence_sum


@dataclass(frozen=True, kw_only=True)
class KTOConfig:
    """Settings of KTO."""

    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=1e-6))
    """How long steps are."""
    beta: float = 0.1
    """Weight of the KL to the reference that the loss stands for."""
    desirable_weight: float = 1.0
    """What a good answer counts. The rarer kind should count more: both sums within 1:1 and 4:3 of each other."""
    undesirable_weight: float = 1.0
    """What a bad answer counts."""
    max_tokens: int = 4096
    """Places gone through at a time; what is learned does not depend on it."""

    def __post_init__(self) -> None:
        for name in ("beta", "desirable_weight", "undesirable_weight"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be >= 1, got {self.max_tokens}")


class KTO:
    """The learner. `init` makes a state, `update` takes a state and labelled answers and returns the next state.

    Args:
        config: settings.
    """

    def __init__(self, config: KTOConfig) -> None:
        self.config = config

    def init(self, model: LanguageModel, seed: int) -> TextState:
        """A state to begin with; `model` itself will be changed.

        Raises:
            ConfigError: none of its weights may change.
        """
        return begin(model, self.config.optimizer, seed=seed)

    def tensors(self, state: TextState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return state_tensors(state)

    def load_tensors(self, state: TextState, tensors: dict[str, Tensor]) -> TextState:
        """Go on from what `tensors` returned, bit for bit."""
        return load_state_tensors(state, tensors)

    def update(
        self,
        state: TextState,
        batch: TextBatch,
        labels: Sequence[bool] | Tensor,
        *,
        reference: LanguageModel | None = None,
        progress: float = 0.0,
    ) -> tuple[TextState, dict[str, float]]:
        """One step; the state's model is changed in place.

        Args:
            state: from `init` or the last `update`.
            batch: answers to at least two prompts, as from `heeler.ops.micro_batches.stored`.
            labels: whether each was called good.
            reference: a model that stays as it is; None for an adapter that is switched off.
            progress: share of the training that is over, 0 to 1, for annealing.

        Returns:
            The state, and what there is to know about the update.

        Raises:
            DataError: labels are too few, too many or neither true nor false, or there is only one prompt.
            ConfigError: there is no reference.
            LearningError: the gradient is not finite; the weights are as they were.
        """
        metrics = self.differentiate(state, batch, self._checked(batch, labels), reference)
        metrics |= state.weights.step(state.num_updates, progress)
        state.num_updates += 1
        return state, metrics

    def differentiate(
        self, state: TextState, batch: TextBatch, is_desirable_N: Tensor, reference: LanguageModel | None
    ) -> dict[str, float]:
        """Put the loss's gradient of this process's share of the batch into the state's weights, without a step."""
        state.weights.zero_gradient()
        return self._look(state, batch, is_desirable_N, reference, state.weights.add_gradient)

    @torch.no_grad()
    def measure(
        self,
        state: TextState,
        batch: TextBatch,
        labels: Sequence[bool] | Tensor,
        reference: LanguageModel | None = None,
    ) -> dict[str, float]:
        """What `update` would tell of labelled answers, which are not learned from."""
        return self._look(state, batch, self._checked(batch, labels), reference, lambda loss: None)

    def _look(
        self,
        state: TextState,
        batch: TextBatch,
        is_desirable_N: Tensor,
        reference: LanguageModel | None,
        take: Callable[[Tensor], None],
    ) -> dict[str, float]:
        """Hand over the parts of the loss, and say what there is to know.

        `rewards/accuracies`: share of answers that gained more than the baseline where they were called good, or less
        where they were called bad.
        """
        config = self.config
        (num_answers,) = totals(len(batch))
        kl = self.baseline(state, batch, reference)
        reference_T = reference_logprobs(state.model, reference, batch, max_tokens=config.max_tokens)
        is_desirable_N = is_desirable_N.to(state.model.device)
        sums = Sums()
        for part in micro_batches(batch, max_tokens=config.max_tokens):
            outputs = state.model.outputs(part.batch)
            length_N = part.batch.length_N
            ratio_N = sequence_sum(outputs.logprob_T - reference_T[part.token_S], length_N)
            is_good_N = is_desirable_N[part.completion_M]
            loss_N = kto_loss(
                ratio_N,
                is_good_N,
                kl=kl,
                beta=config.beta,
                desirable_weight=config.desirable_weight,
                undesirable_weight=config.undesirable_weight,
            )
            loss = loss_N.sum() / num_answers
            take(loss)
            sums.add("loss", loss)
            sums.add("entropy", outputs.entropy_T.sum(), len(outputs.entropy_T))
            sums.add("rewards/accuracies", ((ratio_N > kl) == is_good_N).sum(), len(ratio_N))
            logprob_N = sequence_sum(outputs.logprob_T.detach(), length_N)
            for name, is_it_N in (("chosen", is_good_N), ("rejected", ~is_good_N)):
                sums.add(f"rewards/{name}", config.beta * (ratio_N * is_it_N).sum(), int(is_it_N.sum()))
                sums.add(f"logps/{name}", (logprob_N * is_it_N).sum(), int(is_it_N.sum()))
        metrics = sums.means() | {"kl": kl}
        return metrics | {"rewards/margins": metrics["rewards/chosen"] - metrics["rewards/rejected"]}

    @torch.no_grad()
    def baseline(self, state: TextState, batch: TextBatch, reference: LanguageModel | None) -> float:
        """z of the loss: mean log-ratio of answers that were given to other prompts, at least 0."""
        lent = _lent(batch)
        limit = self.config.max_tokens
        # Without a gradient, a model is its own reference.
        own_T = reference_logprobs(state.model, state.model, lent, max_tokens=limit)
        reference_T = reference_logprobs(state.model, reference, lent, max_tokens=limit)
        kl_sum, num = totals(float((own_T - reference_T).double().sum()), len(lent))
        return max(kl_sum / num, 0.0)

    def _checked(self, batch: TextBatch, labels: Sequence[bool] | Tensor) -> Tensor:
        given = labels.tolist() if isinstance(labels, Tensor) else list(labels)
        if len(given) != len(batch):
            raise DataError(f"labels: {len(given)} for {len(batch)} answers; give one for each")
        for i, label in enumerate(given):
            if label not in (True, False):
                raise DataError(f"labels, row {i}: {label!r} is neither true nor false")
        if len(batch.prompts) < 2:
            raise DataError("labels: answers to at least two prompts are needed at a time, to estimate the KL")
        return torch.tensor([bool(label) for label in given])


def _lent(batch: TextBatch) -> TextBatch:
    """The answers, each after another prompt than its own: two by two, the last three in a ring where they are odd."""
    num_prompts = len(batch.prompts)
    lender = [prompt ^ 1 for prompt in range(num_prompts)]
    if num_prompts % 2:
        lender[-3:] = [num_prompts - 2, num_prompts - 1, num_prompts - 3]
    answers: list[list[Tensor]] = [[] for _ in batch.prompts]
    for prompt, ids in zip(batch.prompt_of_N.tolist(), batch.completions, strict=True):
        answers[prompt].append(ids)
    borrowed = [answers[prompt] for prompt in lender]
    numbers = torch.tensor([len(part) for part in borrowed])
    return stored(
        batch.prompts,
        [ids for part in borrowed for ids in part],
        torch.arange(num_prompts).repeat_interleave(numbers),
    )

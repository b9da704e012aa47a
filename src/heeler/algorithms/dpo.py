"""Learning from pairs of answers without a reward model: DPO (arXiv 2305.18290) and IPO (arXiv 2310.12036).

Shapes: N answers, a chosen one and a rejected one of each of B pairs, in this order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from heeler.algorithms.text_learning import Sums, TextState, begin, load_state_tensors, state_tensors
from heeler.core.errors import ConfigError, DataError
from heeler.models.data_parallel import totals
from heeler.models.language.model import LanguageModel
from heeler.models.language.reference import reference_logprobs
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import MicroBatch, micro_batches
from heeler.ops.preference_losses import dpo_loss, ipo_loss
from heeler.ops.text_batch import TextBatch, sequence_sum

_COUNTED = (
    "loss",
    "entropy",
    *(f"rewards/{name}" for name in ("chosen", "rejected", "accuracies", "margins")),
    *(f"logps/{name}" for name in ("chosen", "rejected")),
)
"""What is counted even where a process has no pair."""


@dataclass(frozen=True, kw_only=True)
class DPOConfig:
    """Settings of DPO and IPO."""

    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=1e-6))
    """How long steps are."""
    loss: Literal["dpo", "ipo"] = "dpo"
    """Which of the two."""
    beta: float = 0.1
    """Weight of the KL to the reference that the loss stands for."""
    label_smoothing: float = 0.0
    """Share of preferences taken to be the wrong way round; for `loss="dpo"` alone."""
    mean_over_tokens: bool = False
    """Whether an answer's log-ratio is its mean over tokens, as TRL has it for IPO, in place of the sum."""
    max_tokens: int = 4096
    """Places gone through at a time; what is learned does not depend on it."""

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ConfigError(f"beta must be > 0, got {self.beta}")
        if not 0 <= self.label_smoothing < 0.5:
            raise ConfigError(f"label_smoothing must be at least 0 and below 0.5, got {self.label_smoothing}")
        if self.label_smoothing and self.loss != "dpo":
            raise ConfigError(f"label_smoothing goes with loss dpo alone, got {self.label_smoothing} with {self.loss}")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be >= 1, got {self.max_tokens}")


class DPO:
    """The learner. `init` makes a state, `update` takes a state and pairs and returns the next state.

    Args:
        config: settings.
    """

    def __init__(self, config: DPOConfig) -> None:
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

    def reference_logprobs(
        self, state: TextState, batch: TextBatch, reference: LanguageModel | None
    ) -> Float[Tensor, " T"]:
        """What `update` needs of the reference: kept, it saves a pass over pairs that come again."""
        return reference_logprobs(state.model, reference, batch, max_tokens=self.config.max_tokens)

    def update(
        self,
        state: TextState,
        batch: TextBatch,
        *,
        reference: LanguageModel | Tensor | None = None,
        progress: float = 0.0,
    ) -> tuple[TextState, dict[str, float]]:
        """One step; the state's model is changed in place.

        Args:
            state: from `init` or the last `update`.
            batch: two completions of each prompt, the chosen one first, as from `heeler.ops.micro_batches.stored`.
            reference: a model that stays as it is, or what `reference_logprobs` made of it; None for an adapter that is
                switched off.
            progress: share of the training that is over, 0 to 1, for annealing.

        Returns:
            The state, and what there is to know about the update.

        Raises:
            DataError: a prompt has not two completions, or they are the same.
            ConfigError: there is no reference.
            LearningError: the gradient is not finite; the weights are as they were.
        """
        check_pairs(batch)
        metrics = self.differentiate(state, batch, reference)
        metrics |= state.weights.step(state.num_updates, progress)
        state.num_updates += 1
        return state, metrics

    def differentiate(
        self, state: TextState, batch: TextBatch | None, reference: LanguageModel | Tensor | None
    ) -> dict[str, float]:
        """Put the loss's gradient of this process's share of the pairs into the state's weights, without a step.

        No batch is no share.
        """
        state.weights.zero_gradient()
        return self._look(state, batch, reference, state.weights.add_gradient)

    @torch.no_grad()
    def measure(
        self, state: TextState, batch: TextBatch, reference: LanguageModel | Tensor | None = None
    ) -> dict[str, float]:
        """What `update` would tell of pairs, which are not learned from."""
        return self._look(state, batch, reference, lambda loss: None)

    def _look(
        self,
        state: TextState,
        batch: TextBatch | None,
        reference: LanguageModel | Tensor | None,
        take: Callable[[Tensor], None],
    ) -> dict[str, float]:
        """Hand over the parts of the loss, and say what there is to know."""
        (num_pairs,) = totals(0 if batch is None else len(batch) // 2)
        sums = Sums(*_COUNTED)
        if batch is not None:
            reference_T = (
                reference if isinstance(reference, Tensor) else self.reference_logprobs(state, batch, reference)
            )
            for part in micro_batches(batch, max_tokens=self.config.max_tokens, split_prompts=False):
                loss = self._loss(state, part, reference_T[part.token_S], sums) / num_pairs
                take(loss)
                sums.add("loss", loss)
        return sums.means() | {"num_pairs": num_pairs}

    def _loss(self, state: TextState, part: MicroBatch, reference_T: Tensor, sums: Sums) -> Tensor:
        """Sum of the losses of a part's pairs."""
        config, length_N = self.config, part.batch.length_N
        outputs = state.model.outputs(part.batch)
        ratio_N = sequence_sum(outputs.logprob_T - reference_T, length_N)
        logprob_N = sequence_sum(outputs.logprob_T.detach(), length_N)
        if config.mean_over_tokens:
            ratio_N = ratio_N / length_N.to(ratio_N)
        chosen_B, rejected_B = ratio_N[0::2], ratio_N[1::2]
        if config.loss == "ipo":
            loss_B = ipo_loss(chosen_B, rejected_B, beta=config.beta)
        else:
            loss_B = dpo_loss(chosen_B, rejected_B, beta=config.beta, label_smoothing=config.label_smoothing)
        lead_B = (config.beta * (chosen_B - rejected_B)).detach()
        num_pairs = len(lead_B)
        sums.add("rewards/chosen", config.beta * chosen_B.sum(), num_pairs)
        sums.add("rewards/rejected", config.beta * rejected_B.sum(), num_pairs)
        sums.add("rewards/margins", lead_B.sum(), num_pairs)
        sums.add("rewards/accuracies", (lead_B > 0).sum(), num_pairs)
        sums.add("logps/chosen", logprob_N[0::2].sum(), num_pairs)
        sums.add("logps/rejected", logprob_N[1::2].sum(), num_pairs)
        sums.add("entropy", outputs.entropy_T.sum(), len(outputs.entropy_T))
        return loss_B.sum()


def check_pairs(batch: TextBatch) -> None:
    """That each prompt has two completions that differ.

    Raises:
        DataError: one has not, with its row.
    """
    expected = torch.arange(len(batch.prompts)).repeat_interleave(2)
    if not torch.equal(batch.prompt_of_N.cpu(), expected):
        raise DataError("pairs: each prompt needs a chosen and a rejected completion, in this order")
    for row, (chosen, rejected) in enumerate(zip(batch.completions[0::2], batch.completions[1::2], strict=True)):
        if torch.equal(chosen, rejected):
            raise DataError(f"pairs, row {row}: chosen and rejected are the same, token for token")

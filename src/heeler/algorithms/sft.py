"""Supervised fine-tuning: to say what was demonstrated.

Only the tokens of completions are learned, the one that ends them among them; prompts are read, not learned.
Shapes: N completions, T tokens of all of them together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from heeler.algorithms.text_learning import Sums, TextState, begin, load_state_tensors, state_tensors
from heeler.core.errors import ConfigError, DataError
from heeler.models.data_parallel import totals
from heeler.models.language.model import LanguageModel
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import micro_batches
from heeler.ops.text_batch import TextBatch, per_token, sequence_sum
from heeler.ops.text_losses import Aggregation


@dataclass(frozen=True, kw_only=True)
class SFTConfig:
    """Settings of supervised fine-tuning."""

    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=2e-5))
    """How long steps are."""
    aggregation: Aggregation = "token_mean"
    """How tokens count: all the same, or each completion the same."""
    max_tokens: int = 4096
    """Places gone through at a time; what is learned does not depend on it."""

    def __post_init__(self) -> None:
        if self.aggregation == "constant":
            raise ConfigError("aggregation constant has no divisor here; take token_mean or sequence_mean")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be >= 1, got {self.max_tokens}")


class SFT:
    r"""The learner. `init` makes a state, `update` takes a state and demonstrations and returns the next state.

    $$-\frac{1}{\sum_i |y_i|} \sum_i \sum_t \log \pi(y_{i,t} \mid x_i, y_{i,<t})$$

    Args:
        config: settings.
    """

    def __init__(self, config: SFTConfig) -> None:
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
        *,
        is_learned_T: Bool[Tensor, " T"] | None = None,
        progress: float = 0.0,
    ) -> tuple[TextState, dict[str, float]]:
        """One step; the state's model is changed in place.

        Args:
            state: from `init` or the last `update`.
            batch: demonstrations, as from `heeler.ops.micro_batches.stored`.
            is_learned_T: which of their tokens are learned, where some are only read: see
                `heeler.ops.shared_prompts`. All of them by default.
            progress: share of the training that is over, 0 to 1, for annealing.

        Returns:
            The state, and what there is to know about the update.

        Raises:
            DataError: `is_learned_T` is not of this batch, or nothing is to be learned.
            LearningError: the gradient is not finite; the weights are as they were.
        """
        metrics = self.differentiate(state, batch, is_learned_T)
        metrics |= state.weights.step(state.num_updates, progress)
        state.num_updates += 1
        return state, metrics

    def differentiate(
        self, state: TextState, batch: TextBatch, is_learned_T: Bool[Tensor, " T"] | None = None
    ) -> dict[str, float]:
        """Put the loss's gradient of this process's share of the batch into the state's weights, without a step."""
        state.weights.zero_gradient()
        return self._look(state, batch, is_learned_T, state.weights.add_gradient)

    @torch.no_grad()
    def measure(self, state: TextState, batch: TextBatch) -> dict[str, float]:
        """What `update` would tell of demonstrations, which are not learned from."""
        return self._look(state, batch, None, lambda loss: None)

    def _look(
        self, state: TextState, batch: TextBatch, is_learned_T: Tensor | None, take: Callable[[Tensor], None]
    ) -> dict[str, float]:
        """Hand over the parts of the loss, and say what there is to know."""
        weight_T, num_tokens = self._weights(batch, is_learned_T)
        is_counted_T = (weight_T > 0).to(state.model.device)
        weight_T = weight_T.to(state.model.device)
        sums = Sums()
        for part in micro_batches(batch, max_tokens=self.config.max_tokens):
            outputs = state.model.outputs(part.batch)
            loss = -(weight_T[part.token_S] * outputs.logprob_T).sum()
            take(loss)
            is_counted_S = is_counted_T[part.token_S]
            sums.add("loss", loss)
            sums.add("entropy", outputs.entropy_T[is_counted_S].sum(), int(is_counted_S.sum()))
        return sums.means() | {"num_tokens": num_tokens}

    def _weights(self, batch: TextBatch, is_learned_T: Tensor | None) -> tuple[Tensor, float]:
        """Weight of each token's term in the loss, and how many are learned on all processes."""
        length_N = batch.length_N
        if is_learned_T is None:
            is_learned_T = torch.ones(int(length_N.sum()), dtype=torch.bool)
        if len(is_learned_T) != int(length_N.sum()):
            raise DataError(f"is_learned_T: {len(is_learned_T)} values for {int(length_N.sum())} tokens; give one each")
        num_learned_N = sequence_sum(is_learned_T.to(torch.get_default_dtype()), length_N)
        num_tokens, num_completions = totals(int(num_learned_N.sum()), int((num_learned_N > 0).sum()))
        if not num_tokens:
            raise DataError("is_learned_T: no token of the batch is to be learned")
        if self.config.aggregation == "token_mean":
            return is_learned_T / num_tokens, num_tokens
        return is_learned_T / per_token(num_completions * num_learned_N.clamp(min=1), length_N), num_tokens

"""Supervised fine-tuning: to say what was demonstrated.

Only the tokens of completions are learned, the one that ends them among them; prompts are read, not learned.
Shapes: T tokens of all completions together.
"""

from dataclasses import dataclass, field

from torch import Tensor

from heeler.algorithms.text_learning import Sums, TextState, begin, load_state_tensors, state_tensors
from heeler.core.errors import ConfigError
from heeler.models.data_parallel import totals
from heeler.models.language.model import LanguageModel
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import micro_batches
from heeler.ops.text_batch import TextBatch
from heeler.ops.text_losses import Aggregation, token_weights


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
        self, state: TextState, batch: TextBatch, *, progress: float = 0.0
    ) -> tuple[TextState, dict[str, float]]:
        """One step; the state's model is changed in place.

        Args:
            state: from `init` or the last `update`.
            batch: demonstrations, as from `heeler.ops.micro_batches.stored`.
            progress: share of the training that is over, 0 to 1, for annealing.

        Returns:
            The state, and what there is to know about the update.

        Raises:
            LearningError: the gradient is not finite; the weights are as they were.
        """
        metrics = self.differentiate(state, batch)
        metrics |= state.weights.step(state.num_updates, progress)
        state.num_updates += 1
        return state, metrics

    def differentiate(self, state: TextState, batch: TextBatch) -> dict[str, float]:
        """Put the loss's gradient of this process's share of the batch into the state's weights, without a step."""
        length_N = batch.length_N
        num_tokens, num_completions = totals(int(length_N.sum()), len(batch))
        weight_T = token_weights(
            length_N,
            length_N > 0,
            aggregation=self.config.aggregation,
            num_kept_tokens=num_tokens,
            num_kept=num_completions,
        ).to(state.model.device)
        state.weights.zero_gradient()
        sums = Sums()
        for part in micro_batches(batch, max_tokens=self.config.max_tokens):
            outputs = state.model.outputs(part.batch)
            loss = -(weight_T[part.token_S] * outputs.logprob_T).sum()
            state.weights.add_gradient(loss)
            sums.add("loss", loss)
            sums.add("entropy", outputs.entropy_T.sum(), len(outputs.entropy_T))
        return sums.means() | {"num_tokens": num_tokens}

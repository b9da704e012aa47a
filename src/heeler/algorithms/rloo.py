"""REINFORCE with the other completions of the prompt as the baseline (Ahmadian et al. 2024, arXiv 2402.14740).

Added to the paper: the clipped ratio of whole completions, for more than one step on a batch; with one step the ratio
is 1 and the gradient is the paper's. Shapes: N completions, T tokens of all of them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from heeler.algorithms.kl_penalty import KLConfig, adapt, loss_terms
from heeler.algorithms.text_experience import Experience, Truncated, count_surrogate, kept, score
from heeler.algorithms.text_learning import Sums, TextState, begin, load_state_tensors, minibatches, state_tensors
from heeler.algorithms.text_metrics import spread
from heeler.core.errors import ConfigError
from heeler.models.language.model import CompletionOutputs, LanguageModel
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.group_advantages import GRPO_EPSILON, rloo_advantages
from heeler.ops.micro_batches import micro_batches
from heeler.ops.text_batch import TextBatch, per_token
from heeler.ops.text_losses import clipped_surrogate, ratios


@dataclass(frozen=True, kw_only=True)
class RLOOConfig:
    """Settings of RLOO."""

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How long steps are."""
    kl: KLConfig = field(default_factory=KLConfig)
    """The KL to the reference."""
    clip_low: float = 0.2
    """How far the probability ratio of a completion may usefully fall below 1."""
    clip_high: float = 0.2
    """How far it may usefully rise above 1."""
    normalize_advantages: bool = False
    """Whether advantages of a batch are shifted to mean 0 and scaled to spread 1."""
    truncated: Truncated = "keep"
    """What becomes of completions that were cut."""
    num_epochs: int = 1
    """Passes over each batch."""
    num_minibatches: int = 1
    """Steps in one pass."""
    max_tokens: int = 4096
    """Places gone through at a time; what is learned does not depend on it."""

    def __post_init__(self) -> None:
        for name in ("clip_low", "clip_high"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("num_epochs", "num_minibatches", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")


class RLOO:
    """The learner. `init` makes a state, `update` takes a state and scored completions and returns the next state.

    Args:
        config: settings.
    """

    def __init__(self, config: RLOOConfig) -> None:
        self.config = config

    def init(self, model: LanguageModel, seed: int) -> TextState:
        """A state to begin with; `model` itself will be changed.

        Raises:
            ConfigError: none of its weights may change.
        """
        return begin(model, self.config.optimizer, seed=seed, kl_coefficient=self.config.kl.coefficient)

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
        rewards: Sequence[float | None] | Tensor,
        *,
        reference: LanguageModel | None = None,
        progress: float = 0.0,
    ) -> tuple[TextState, dict[str, float]]:
        """One round of learning; the state's model is changed in place.

        Args:
            state: from `init` or the last `update`.
            batch: sampled from this state's model, at least two completions of each prompt.
            rewards: one for each completion; None where it does not apply, which counts in no baseline.
            reference: a model that stays as it is; None for an adapter that is switched off, or where there is no KL.
            progress: share of the training that is over, 0 to 1, for annealing.

        Returns:
            The state, and what there is to know about the update.

        Raises:
            DataError: rewards are too few, too many or not finite, or no prompt has two completions.
            ConfigError: a reference is needed and there is none.
            LearningError: a gradient is not finite.
        """
        experience, metrics = self.prepare(state, batch, rewards, reference)
        sums = Sums()
        num_steps, step = 0, dict[str, float]()
        for _ in range(self.config.num_epochs):
            for minibatch in minibatches(experience.batch, self.config.num_minibatches, state.generator):
                self.differentiate(state, experience.part(minibatch), sums)
                step = state.weights.step(state.num_updates, progress)
                num_steps += 1
        metrics |= sums.means(num_steps=num_steps) | step
        adapt(self.config.kl, state, metrics)
        state.num_updates += 1
        return state, metrics

    def prepare(
        self,
        state: TextState,
        batch: TextBatch,
        rewards: Sequence[float | None] | Tensor,
        reference: LanguageModel | None,
    ) -> tuple[Experience, dict[str, float]]:
        """What the steps learn from, and what there is to know about the batch."""
        config, device = self.config, state.model.device
        scored, metrics = score(config.kl, state, batch, rewards, reference, max_tokens=config.max_tokens)
        advantage_N = rloo_advantages(scored.reward_N, scored.is_scored_N, batch.prompt_of_N, len(batch.prompts))
        if config.normalize_advantages:
            seen = spread(advantage_N[scored.is_scored_N])
            advantage_N = torch.where(scored.is_scored_N, (advantage_N - seen.mean) / (seen.std + GRPO_EPSILON), 0.0)
        experience = Experience(
            batch=batch,
            is_kept_N=kept(batch, scored.is_scored_N, config.truncated).to(device),
            advantage_T=per_token(advantage_N, batch.length_N).to(device),
            sampled_T=batch.sampled_logprob_T.to(device),
            reference_T=scored.reference_T,
        )
        return experience, metrics

    def differentiate(self, state: TextState, experience: Experience, sums: Sums) -> None:
        """Put the loss's gradient of this process's share of a step into the state's weights, without the step."""
        config = self.config
        experience = experience.weighted("constant")
        if not config.kl.in_loss:
            # The others have no gradient, and need not be gone through.
            experience = experience.only(experience.has_advantage_N())
        state.weights.zero_gradient()
        for micro in micro_batches(experience.batch, max_tokens=config.max_tokens):
            part = experience.part(micro)
            outputs = state.model.outputs(micro.batch)
            loss = self._loss(state, part, outputs, sums)
            state.weights.add_gradient(loss)
            sums.add("loss", loss)

    def _loss(self, state: TextState, part: Experience, outputs: CompletionOutputs, sums: Sums) -> Tensor:
        config, length_N = self.config, part.batch.length_N
        ratio_T = ratios(outputs.logprob_T, part.sampled_T, length_N, level="sequence")
        surrogate = clipped_surrogate(ratio_T, part.advantage_T, clip_low=config.clip_low, clip_high=config.clip_high)
        # The same at each token of a completion: its mean over them is the completion's.
        term_T = surrogate.loss_T / per_token(length_N, length_N).to(ratio_T)
        if config.kl.in_loss:
            assert part.reference_T is not None
            term_T = term_T + state.kl_coefficient * loss_terms(config.kl, outputs.logprob_T, part.reference_T, ratio_T)
        count_surrogate(sums, part, outputs, ratio_T, surrogate)
        return (part.weight_T * term_T).sum()

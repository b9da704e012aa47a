"""Group-relative policy optimisation (Shao et al. 2024, arXiv 2402.03300), with what was published on it since.

Dr. GRPO (arXiv 2503.20783): `scale="none"`, `aggregation="constant"` with the longest completion that there may be as
`divisor`. DAPO (arXiv 2503.14476): `aggregation="token_mean"`, `clip_high=0.28`, `truncated="mask"`; its dynamic
sampling and its penalty on length are left to whoever samples and scores. GSPO (arXiv 2507.18071):
`ratio="sequence_mean"`, `aggregation="sequence_mean"`, with clips of about 3e-4.
Shapes: N completions, T tokens of all of them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from heeler.algorithms.kl_penalty import KLConfig, adapt, loss_terms
from heeler.algorithms.text_experience import Experience, Truncated, count_surrogate, kept, score
from heeler.algorithms.text_learning import Sums, TextState, begin, load_state_tensors, minibatches, state_tensors
from heeler.algorithms.text_metrics import spread
from heeler.core.errors import ConfigError
from heeler.models.language.model import CompletionOutputs, LanguageModel
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.group_advantages import grpo_advantages
from heeler.ops.micro_batches import micro_batches
from heeler.ops.text_batch import TextBatch, per_token
from heeler.ops.text_losses import Aggregation, RatioLevel, clipped_surrogate, ratios


@dataclass(frozen=True, kw_only=True)
class GRPOConfig:
    """Settings of GRPO; the defaults are the paper's, but that each token counts the same."""

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How long steps are."""
    kl: KLConfig = field(default_factory=lambda: KLConfig(coefficient=0.04, place="loss", estimator="k3"))
    """The KL to the reference."""
    scale: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by: the spread of the prompt's rewards, that of all rewards, or nothing."""
    aggregation: Aggregation = "token_mean"
    """How tokens' terms become one number."""
    divisor: float | None = None
    """For `aggregation="constant"`: the longest completion that there may be."""
    ratio: RatioLevel = "token"
    """Of what the probability ratio is taken."""
    clip_low: float = 0.2
    """How far a ratio may usefully fall below 1."""
    clip_high: float = 0.2
    """How far it may usefully rise above 1."""
    dual_clip: float | None = None
    """Ratio beyond which what should become less likely has no gradient; None for no such bound."""
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
        if self.dual_clip is not None and not self.dual_clip > 1 + self.clip_high:
            raise ConfigError(f"dual_clip must be above 1 + clip_high, got {self.dual_clip}")
        if (self.divisor is not None) != (self.aggregation == "constant"):
            raise ConfigError(
                f"divisor goes with aggregation constant alone, got {self.divisor} with {self.aggregation}"
            )
        if self.divisor is not None and not self.divisor > 0:
            raise ConfigError(f"divisor must be > 0, got {self.divisor}")


class GRPO:
    """The learner. `init` makes a state, `update` takes a state and scored completions and returns the next state.

    Args:
        config: settings.
    """

    def __init__(self, config: GRPOConfig) -> None:
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
        advantage_N = grpo_advantages(
            scored.reward_N,
            scored.is_scored_N,
            batch.prompt_of_N,
            len(batch.prompts),
            spread=torch.tensor(spread(scored.reward_N[scored.is_scored_N]).std) if config.scale == "batch" else None,
            scale_by_group=config.scale == "group",
        )
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
        experience = experience.weighted(config.aggregation, config.divisor or 1.0)
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
        ratio_T = ratios(outputs.logprob_T, part.sampled_T, length_N, level=config.ratio)
        surrogate = clipped_surrogate(
            ratio_T,
            part.advantage_T,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
            dual_clip=config.dual_clip,
        )
        term_T = surrogate.loss_T
        if config.kl.in_loss:
            assert part.reference_T is not None
            term_T = term_T + state.kl_coefficient * loss_terms(config.kl, outputs.logprob_T, part.reference_T, ratio_T)
        count_surrogate(sums, part, outputs, ratio_T, surrogate)
        return (part.weight_T * term_T).sum()

"""PPO with a value for each token (Ouyang et al. 2022, arXiv 2203.02155; Schulman et al. 2017, arXiv 1707.06347).

The value head reads the policy's own trunk: with `value_trunk="shared"` its loss changes the trunk too, with
`"detached"` it changes the head alone. There is no value model of its own, and no pre-training loss mixed in.
A completion's reward comes at its last token; the KL, where it stands in the reward, at each.
Shapes: N completions, T tokens of all of them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from heeler.algorithms.kl_penalty import KLConfig, adapt, loss_terms, measured, reference_of
from heeler.algorithms.text_experience import Experience, Truncated, count_surrogate, kept
from heeler.algorithms.text_learning import (
    Sums,
    TextState,
    begin,
    check_sampled,
    checked_rewards,
    load_state_tensors,
    minibatches,
    state_tensors,
)
from heeler.algorithms.text_metrics import completion_metrics, reward_metrics, spread
from heeler.core.errors import ConfigError
from heeler.models.language.model import CompletionOutputs, LanguageModel
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import joined, micro_batches
from heeler.ops.policy_gradient import explained_variance
from heeler.ops.text_batch import TextBatch, per_token
from heeler.ops.text_kl import kl_terms
from heeler.ops.text_losses import Aggregation, clipped_surrogate, clipped_value_loss, ratios
from heeler.ops.text_returns import final_token, token_gae


@dataclass(frozen=True, kw_only=True)
class TextPPOConfig:
    """Settings of PPO on text."""

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How long steps are."""
    kl: KLConfig = field(default_factory=KLConfig)
    """The KL to the reference."""
    value_trunk: Literal["shared", "detached"] = "shared"
    """Whether the value loss changes the trunk, or the head alone."""
    value_coefficient: float = 0.1
    """Weight of the value loss."""
    value_clip: float | None = 0.2
    """How far a value may usefully move in one update; None does not bound it."""
    discount: float = 1.0
    """γ: what a reward is worth one token later."""
    trace_decay: float = 0.95
    """λ of generalised advantage estimation."""
    normalize_advantages: bool = True
    """Whether advantages of a batch's tokens are shifted to mean 0 and scaled to spread 1."""
    aggregation: Aggregation = "token_mean"
    """How tokens' terms become one number."""
    divisor: float | None = None
    """For `aggregation="constant"`: the longest completion that there may be."""
    clip: float = 0.2
    """Largest useful change of a token's probability ratio."""
    truncated: Truncated = "keep"
    """What becomes of completions that were cut. Kept, they end where they were cut: nothing is bootstrapped."""
    num_epochs: int = 4
    """Passes over each batch."""
    num_minibatches: int = 1
    """Steps in one pass."""
    max_tokens: int = 4096
    """Places gone through at a time; what is learned does not depend on it."""

    def __post_init__(self) -> None:
        for name in ("discount", "trace_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        for name in ("clip", "value_coefficient"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("num_epochs", "num_minibatches", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.value_clip is not None and not self.value_clip > 0:
            raise ConfigError(f"value_clip must be > 0, or None for no bound, got {self.value_clip}")
        if (self.divisor is not None) != (self.aggregation == "constant"):
            raise ConfigError(
                f"divisor goes with aggregation constant alone, got {self.divisor} with {self.aggregation}"
            )
        if self.divisor is not None and not self.divisor > 0:
            raise ConfigError(f"divisor must be > 0, got {self.divisor}")


class TextPPO:
    """The learner. `init` makes a state, `update` takes a state and scored completions and returns the next state.

    Args:
        config: settings.
    """

    def __init__(self, config: TextPPOConfig) -> None:
        self.config = config

    def init(self, model: LanguageModel, seed: int) -> TextState:
        """A state to begin with; `model` itself will be changed, and its values begin at zero.

        Raises:
            ConfigError: none of its weights may change.
        """
        coefficient = self.config.kl.coefficient
        return begin(model, self.config.optimizer, seed=seed, kl_coefficient=coefficient, with_values=True)

    def tensors(self, state: TextState) -> dict[str, Tensor]:
        """What a checkpoint keeps, the value head among it."""
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
            batch: sampled from this state's model.
            rewards: one for each completion; None where it does not apply, which leaves the completion out.
            reference: a model that stays as it is; None for an adapter that is switched off, or where there is no KL.
            progress: share of the training that is over, 0 to 1, for annealing.

        Returns:
            The state, and what there is to know about the update.

        Raises:
            DataError: rewards are too few, too many or not finite.
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

    @torch.no_grad()
    def prepare(
        self,
        state: TextState,
        batch: TextBatch,
        rewards: Sequence[float | None] | Tensor,
        reference: LanguageModel | None,
    ) -> tuple[Experience, dict[str, float]]:
        """What the steps learn from, and what there is to know about the batch."""
        config, device = self.config, state.model.device
        check_sampled(batch)
        reward_N, is_scored_N = checked_rewards(batch, rewards)
        metrics = completion_metrics(batch) | reward_metrics(batch, reward_N, is_scored_N)
        sampled_T, length_N = batch.sampled_logprob_T.to(device), batch.length_N
        reward_T = final_token(reward_N, length_N).to(device)
        reference_T = reference_of(config.kl, state, batch, reference, max_tokens=config.max_tokens)
        if reference_T is not None:
            metrics |= measured(sampled_T, reference_T, length_N)
            if config.kl.in_reward:
                reward_T = reward_T - state.kl_coefficient * kl_terms(sampled_T, reference_T, estimator="k1")
        parts = micro_batches(batch, max_tokens=config.max_tokens)
        value_T = joined([self._values(state, state.model.outputs(part.batch)) for part in parts], parts)
        advantage_T = token_gae(reward_T, value_T, length_N, discount=config.discount, trace_decay=config.trace_decay)
        is_kept_N = kept(batch, is_scored_N, config.truncated).to(device)
        is_kept_T = per_token(is_kept_N, length_N)
        target_T = advantage_T + value_T
        metrics["explained_variance"] = explained_variance(value_T[is_kept_T], target_T[is_kept_T])
        if config.normalize_advantages:
            seen = spread(advantage_T[is_kept_T])
            advantage_T = (advantage_T - seen.mean) / (seen.std + 1e-8)
        experience = Experience(
            batch=batch,
            is_kept_N=is_kept_N,
            advantage_T=advantage_T,
            sampled_T=sampled_T,
            reference_T=reference_T,
            value_T=value_T,
            target_T=target_T,
        )
        return experience, metrics

    def differentiate(self, state: TextState, experience: Experience, sums: Sums) -> None:
        """Put the loss's gradient of this process's share of a step into the state's weights, without the step."""
        config = self.config
        experience = experience.weighted(config.aggregation, config.divisor or 1.0)
        experience = experience.only(experience.is_kept_N)
        state.weights.zero_gradient()
        for micro in micro_batches(experience.batch, max_tokens=config.max_tokens):
            part = experience.part(micro)
            outputs = state.model.outputs(micro.batch)
            loss = self._loss(state, part, outputs, sums)
            state.weights.add_gradient(loss)
            sums.add("loss", loss)

    def _loss(self, state: TextState, part: Experience, outputs: CompletionOutputs, sums: Sums) -> Tensor:
        config = self.config
        assert part.value_T is not None and part.target_T is not None
        ratio_T = ratios(outputs.logprob_T, part.sampled_T, part.batch.length_N, level="token")
        surrogate = clipped_surrogate(ratio_T, part.advantage_T, clip_low=config.clip, clip_high=config.clip)
        value_T = clipped_value_loss(self._values(state, outputs), part.value_T, part.target_T, clip=config.value_clip)
        term_T = surrogate.loss_T + config.value_coefficient * value_T
        if config.kl.in_loss:
            assert part.reference_T is not None
            term_T = term_T + state.kl_coefficient * loss_terms(config.kl, outputs.logprob_T, part.reference_T, ratio_T)
        count_surrogate(sums, part, outputs, ratio_T, surrogate)
        sums.add("policy_loss", (part.weight_T * surrogate.loss_T).sum())
        sums.add("value_loss", (part.weight_T * value_T).sum())
        return (part.weight_T * term_T).sum()

    def _values(self, state: TextState, outputs: CompletionOutputs) -> Tensor:
        assert state.head is not None
        hidden_TD = outputs.hidden_TD if self.config.value_trunk == "shared" else outputs.hidden_TD.detach()
        return state.head(hidden_TD.to(state.head.weight.dtype))[:, 0]

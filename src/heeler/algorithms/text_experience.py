"""A batch of completions as policy-gradient steps see it.

Shapes: N completions, T tokens of all of them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heeler.algorithms.kl_penalty import KLConfig, measured, reference_of, sequence_kl
from heeler.algorithms.text_learning import Sums, TextState, check_sampled, checked_rewards
from heeler.algorithms.text_metrics import completion_metrics, reward_metrics
from heeler.core.errors import DataError
from heeler.models.data_parallel import totals
from heeler.models.language.model import CompletionOutputs, LanguageModel
from heeler.ops.group_advantages import groups
from heeler.ops.micro_batches import MicroBatch, select
from heeler.ops.text_batch import TextBatch, per_token
from heeler.ops.text_losses import Aggregation, Surrogate, token_weights

Truncated = Literal["keep", "mask"]
"""Whether completions that were cut at the length limit are learned from, or left out of the loss (DAPO's overlong
masking). Either way their rewards count in the baseline of the others."""


@dataclass(frozen=True, kw_only=True)
class Experience:
    """Completions with all that a loss needs, on the model's device but for the batch itself."""

    batch: TextBatch
    is_kept_N: Bool[Tensor, " N"]
    """Whether a completion is in the loss."""
    advantage_T: Float[Tensor, " T"]
    sampled_T: Float[Tensor, " T"]
    """Log-probabilities when it was sampled."""
    reference_T: Float[Tensor, " T"] | None = None
    """Log-probabilities under the reference, where they are needed."""
    weight_T: Float[Tensor, " T"] | None = None
    """What each token's term weighs in the loss."""
    value_T: Float[Tensor, " T"] | None = None
    """Values before learning, where there are any."""
    target_T: Float[Tensor, " T"] | None = None
    """What they should be."""

    def part(self, micro: MicroBatch) -> "Experience":
        """That of some of the completions."""
        device = self.advantage_T.device
        token_S = micro.token_S.to(device)
        flat = {name: value[token_S] for name, value in self._flat().items()}
        is_kept_M = self.is_kept_N[micro.completion_M.to(device)]
        return replace(self, batch=micro.batch, is_kept_N=is_kept_M, **flat)

    def only(self, is_wanted_N: Bool[Tensor, " N"]) -> "Experience":
        """That of the completions that are wanted; of all where none is."""
        if bool(is_wanted_N.all()) or not bool(is_wanted_N.any()):
            return self
        return self.part(select(self.batch, is_wanted_N.nonzero()[:, 0].tolist()))

    def weighted(self, aggregation: Aggregation, divisor: float = 1.0) -> "Experience":
        """With the weights that tokens have where these completions, of all processes, make one step."""
        length_N = self.batch.length_N.to(self.advantage_T.device)
        num_tokens, num_kept = totals(int(length_N[self.is_kept_N].sum()), int(self.is_kept_N.sum()))
        weight_T = token_weights(
            length_N,
            self.is_kept_N,
            aggregation=aggregation,
            num_kept_tokens=num_tokens,
            num_kept=num_kept,
            divisor=divisor,
        )
        return replace(self, weight_T=weight_T)

    def has_advantage_N(self) -> Bool[Tensor, " N"]:
        """Whether a completion is kept and has an advantage that is not 0."""
        owner_T = per_token(torch.arange(len(self.batch), device=self.advantage_T.device), self.batch.length_N)
        has_N = torch.zeros_like(self.is_kept_N).index_put((owner_T[self.advantage_T != 0],), torch.tensor(True))
        return has_N & self.is_kept_N

    def _flat(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name.endswith("_T")}
        return {name: value for name, value in values.items() if value is not None}


def kept(batch: TextBatch, is_scored_N: Bool[Tensor, " N"], truncated: Truncated) -> Bool[Tensor, " N"]:
    """Which completions are in the loss: those with a reward, without those that were cut where these are masked."""
    return is_scored_N & ~batch.truncated_N if truncated == "mask" else is_scored_N


class Scored(NamedTuple):
    """A batch's rewards, less the KL where that stands in them."""

    reward_N: Float[Tensor, " N"]
    is_scored_N: Bool[Tensor, " N"]
    reference_T: Float[Tensor, " T"] | None
    """On the model's device."""


def score(
    kl: KLConfig,
    state: TextState,
    batch: TextBatch,
    rewards: Sequence[float | None] | Tensor,
    reference: LanguageModel | None,
    *,
    max_tokens: int,
) -> tuple[Scored, dict[str, float]]:
    """Check a batch and its rewards, take the KL from them, and say what there is to know about them.

    Raises:
        DataError: rewards are too few, too many or not finite, or no prompt has two completions with one.
        ConfigError: a reference is needed and there is none.
    """
    check_sampled(batch)
    reward_N, is_scored_N = checked_rewards(batch, rewards)
    if not bool((groups(reward_N, is_scored_N, batch.prompt_of_N, len(batch.prompts)).count_P > 1).any()):
        raise DataError("rewards: no prompt has two completions with a reward; sample at least two of each")
    reference_T = reference_of(kl, state, batch, reference, max_tokens=max_tokens)
    metrics = completion_metrics(batch) | reward_metrics(batch, reward_N, is_scored_N)
    if reference_T is not None:
        sampled_T = batch.sampled_logprob_T.to(reference_T.device)
        metrics |= measured(sampled_T, reference_T, batch.length_N)
        if kl.in_reward:
            reward_N = reward_N - state.kl_coefficient * sequence_kl(sampled_T, reference_T, batch.length_N).cpu()
    return Scored(reward_N, is_scored_N, reference_T), metrics


def count_surrogate(
    sums: Sums,
    experience: Experience,
    outputs: CompletionOutputs,
    ratio_T: Float[Tensor, " T"],
    surrogate: Surrogate,
) -> None:
    """Count what a policy-gradient step saw, over the tokens that are in its loss.

    `clip_ratio/low_mean`, `high_mean` and `region_mean`: shares of tokens that clipping took the gradient from.
    `sampling/sampling_logp_difference/mean`: how far log-probabilities are from those kept from sampling; what is there
    at the first step is not learning but arithmetic, or another temperature. Completions without an advantage are not
    gone through, and so not counted, where nothing else is learned from them.
    """
    is_kept_T = per_token(experience.is_kept_N, experience.batch.length_N)
    num_kept = int(experience.batch.length_N.to(is_kept_T.device)[experience.is_kept_N].sum())
    counted = {
        "clip_ratio/low_mean": surrogate.is_low_T,
        "clip_ratio/high_mean": surrogate.is_high_T,
        "clip_ratio/region_mean": surrogate.is_low_T | surrogate.is_high_T,
        "sampling/importance_sampling_ratio/mean": ratio_T.detach(),
        "sampling/sampling_logp_difference/mean": (outputs.logprob_T.detach() - experience.sampled_T).abs(),
        "entropy": outputs.entropy_T,
    }
    for name, value_T in counted.items():
        sums.add(name, (value_T * is_kept_T).sum(), num_kept)

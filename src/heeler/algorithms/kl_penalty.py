"""The KL to the reference model: what holds a language model near to where it began.

Shapes: N completions, T tokens of all of them together.
"""

import math
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from heeler.algorithms.text_learning import Sums, TextState
from heeler.core.errors import ConfigError
from heeler.models.language.model import LanguageModel
from heeler.models.language.reference import reference_logprobs
from heeler.ops.text_batch import TextBatch, sequence_sum
from heeler.ops.text_kl import KLEstimator, adapted_coefficient, kl_terms


@dataclass(frozen=True, kw_only=True)
class KLConfig:
    """Where the KL stands, and how it is estimated. `heeler.ops.text_kl.kl_terms` says what each estimator does."""

    coefficient: float = 0.05
    """β: what a nat of KL costs. 0 for none; a reference, where one is given, is then only measured against."""
    place: Literal["reward", "loss"] = "reward"
    """Taken from the reward, or added to the loss."""
    estimator: KLEstimator = "k1"
    """k1 for the reward, k2 or k3 for the loss."""
    importance_weighted: bool = False
    """Whether terms of the loss are multiplied by the probability ratio, which gives k1 and k3 the gradient of
    KL(π || π_ref) (DeepSeek-V3.2, arXiv 2512.02556)."""
    target: float | None = None
    """Nats a completion that an adaptive β aims at; None keeps β as it is."""
    adaptation_rate: float = 0.1
    """How fast an adaptive β moves: at most a fifth of this an update."""

    def __post_init__(self) -> None:
        if not 0 <= self.coefficient < math.inf:
            raise ConfigError(f"kl.coefficient must be >= 0 and finite, got {self.coefficient}")
        if self.place == "reward" and (self.estimator != "k1" or self.importance_weighted):
            raise ConfigError(
                "kl.place is reward, where only k1 without importance weights gives the KL's gradient; "
                "set kl.estimator=k1, or kl.place=loss"
            )
        if self.place == "loss" and self.estimator == "k1" and not self.importance_weighted:
            raise ConfigError(
                "kl.estimator k1 has no gradient on average as part of a loss; take k2 or k3, or kl.importance_weighted"
            )
        if self.estimator == "k2" and self.importance_weighted:
            raise ConfigError("kl.estimator k2 has the KL's gradient as it is; kl.importance_weighted would spoil it")
        if self.target is not None and not (0 < self.target < math.inf and self.coefficient > 0):
            raise ConfigError(
                f"kl.target must be > 0, and kl.coefficient too, got {self.target} and {self.coefficient}"
            )
        if not 0 < self.adaptation_rate < 5:
            raise ConfigError(f"kl.adaptation_rate must be above 0 and below 5, got {self.adaptation_rate}")

    @property
    def in_reward(self) -> bool:
        """Whether it is taken from the reward."""
        return self.coefficient > 0 and self.place == "reward"

    @property
    def in_loss(self) -> bool:
        """Whether it is added to the loss."""
        return self.coefficient > 0 and self.place == "loss"


def reference_of(
    config: KLConfig, state: TextState, batch: TextBatch, reference: LanguageModel | None, *, max_tokens: int
) -> Float[Tensor, " T"] | None:
    """Log-probabilities under the reference, or None where nobody needs them.

    Raises:
        ConfigError: they are needed, and there is no reference.
    """
    if config.coefficient == 0 and reference is None:
        return None
    return reference_logprobs(state.model, reference, batch, max_tokens=max_tokens)


def loss_terms(
    config: KLConfig, logprob_T: Float[Tensor, " T"], reference_T: Float[Tensor, " T"], ratio_T: Float[Tensor, " T"]
) -> Float[Tensor, " T"]:
    """The KL's part of a loss, token by token, without β."""
    term_T = kl_terms(logprob_T, reference_T, estimator=config.estimator)
    return term_T * ratio_T if config.importance_weighted else term_T


def measured(
    sampled_T: Float[Tensor, " T"], reference_T: Float[Tensor, " T"], length_N: Int[Tensor, " N"]
) -> dict[str, float]:
    """The KL of what was sampled, of all processes.

    `kl`, the mean of k1 over completions; `kl_per_completion`, that of k3, which has the same expectation and is never
    negative; `kl_per_token`, the mean of k3 over tokens. In nats.
    """
    sums = Sums()
    k3_T = kl_terms(sampled_T, reference_T, estimator="k3")
    sums.add("kl", kl_terms(sampled_T, reference_T, estimator="k1").sum(), len(length_N))
    sums.add("kl_per_completion", k3_T.sum(), len(length_N))
    sums.add("kl_per_token", k3_T.sum(), len(k3_T))
    return sums.means()


def sequence_kl(
    sampled_T: Float[Tensor, " T"], reference_T: Float[Tensor, " T"], length_N: Int[Tensor, " N"]
) -> Float[Tensor, " N"]:
    """k1 of whole completions: what is taken from their rewards, times β."""
    return sequence_sum(kl_terms(sampled_T, reference_T, estimator="k1"), length_N)


def adapt(config: KLConfig, state: TextState, metrics: dict[str, float]) -> None:
    """Move β where it is adaptive, and say what it was."""
    if config.coefficient > 0:
        metrics["kl_coefficient"] = state.kl_coefficient
    if config.target is not None:
        state.kl_coefficient = adapted_coefficient(
            state.kl_coefficient, kl=metrics["kl_per_completion"], target=config.target, rate=config.adaptation_rate
        )

"""Online DPO (Guo et al. 2024, arXiv 2402.04792): pairs are made of what the model itself has just said.

Of each prompt's completions the one with the highest reward is chosen and the one with the lowest rejected. Prompts
whose completions all have the same reward make no pair, and are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from heeler.algorithms.dpo import DPO, DPOConfig
from heeler.algorithms.kl_penalty import measured
from heeler.algorithms.text_learning import TextState, check_sampled, checked_rewards
from heeler.algorithms.text_metrics import completion_metrics, reward_metrics
from heeler.core.errors import ConfigError, DataError
from heeler.models.data_parallel import totals
from heeler.models.language.model import LanguageModel
from heeler.ops.micro_batches import MicroBatch, select
from heeler.ops.text_batch import TextBatch


@dataclass(frozen=True, kw_only=True)
class OnlineDPOConfig:
    """Settings of online DPO."""

    dpo: DPOConfig = field(default_factory=DPOConfig)
    """How is learned from the pairs."""
    min_lead: float = 0.0
    """Rewards that are no further apart than this make no pair."""
    truncated_reward: float | None = None
    """What completions that were cut get in place of their reward; None leaves it."""

    def __post_init__(self) -> None:
        if not self.min_lead >= 0:
            raise ConfigError(f"min_lead must be >= 0, got {self.min_lead}")


class OnlineDPO:
    """The learner. `init` makes a state, `update` takes a state and scored completions and returns the next state.

    Args:
        config: settings.
    """

    def __init__(self, config: OnlineDPOConfig) -> None:
        self.config = config
        self._dpo = DPO(config.dpo)

    def init(self, model: LanguageModel, seed: int) -> TextState:
        """A state to begin with; `model` itself will be changed.

        Raises:
            ConfigError: none of its weights may change.
        """
        return self._dpo.init(model, seed)

    def tensors(self, state: TextState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return self._dpo.tensors(state)

    def load_tensors(self, state: TextState, tensors: dict[str, Tensor]) -> TextState:
        """Go on from what `tensors` returned, bit for bit."""
        return self._dpo.load_tensors(state, tensors)

    def update(
        self,
        state: TextState,
        batch: TextBatch,
        rewards: Sequence[float | None] | Tensor,
        *,
        reference: LanguageModel | None = None,
        progress: float = 0.0,
    ) -> tuple[TextState, dict[str, float]]:
        """One step; the state's model is changed in place, unless there is no pair.

        Args:
            state: from `init` or the last `update`.
            batch: sampled from this state's model, at least two completions of each prompt.
            rewards: one for each completion; None where it does not apply, which keeps it out of pairs.
            reference: a model that stays as it is; None for an adapter that is switched off.
            progress: share of the training that is over, 0 to 1, for annealing.

        Returns:
            The state, and what there is to know about the update.

        Raises:
            DataError: rewards are too few, too many or not finite, or no prompt has two completions.
            ConfigError: there is no reference.
            LearningError: the gradient is not finite; the weights are as they were.
        """
        check_sampled(batch)
        reward_N, is_scored_N = checked_rewards(batch, rewards)
        metrics = completion_metrics(batch) | reward_metrics(batch, reward_N, is_scored_N)
        # Gone through once: for the KL of all that was sampled, and for the pairs among it.
        reference_T = self._dpo.reference_logprobs(state, batch, reference)
        metrics |= measured(batch.sampled_logprob_T.to(reference_T), reference_T, batch.length_N)
        pairs = self._chosen(batch, reward_N, is_scored_N)
        if pairs is None:
            metrics |= self._dpo.differentiate(state, None, None)
        else:
            metrics |= self._dpo.differentiate(state, pairs.batch, reference_T[pairs.token_S.to(reference_T.device)])
        (num_prompts,) = totals(len(batch.prompts))
        metrics["frac_without_pair"] = 1 - metrics["num_pairs"] / num_prompts
        if metrics["num_pairs"]:
            metrics |= state.weights.step(state.num_updates, progress)
        state.num_updates += 1
        return state, metrics

    def pairs(self, batch: TextBatch, reward_N: Tensor, is_scored_N: Tensor) -> TextBatch | None:
        """The chosen and the rejected completion of each prompt that has two; None where no prompt has.

        Raises:
            DataError: no prompt has two completions with a reward.
        """
        pairs = self._chosen(batch, reward_N, is_scored_N)
        return None if pairs is None else pairs.batch

    def _chosen(self, batch: TextBatch, reward_N: Tensor, is_scored_N: Tensor) -> MicroBatch | None:
        if self.config.truncated_reward is not None:
            reward_N = torch.where(batch.truncated_N, self.config.truncated_reward, reward_N)
        completions: list[list[int]] = [[] for _ in batch.prompts]
        for i, prompt in enumerate(batch.prompt_of_N.tolist()):
            if is_scored_N[i]:
                completions[prompt].append(i)
        if all(len(chosen) < 2 for chosen in completions):
            raise DataError("rewards: no prompt has two completions with a reward; sample at least two of each")
        reward = reward_N.tolist()
        ranked = [sorted(chosen, key=lambda i: reward[i]) for chosen in completions if len(chosen) > 1]
        pairs = [
            (order[-1], order[0]) for order in ranked if reward[order[-1]] - reward[order[0]] > self.config.min_lead
        ]
        return select(batch, [i for pair in pairs for i in pair]) if pairs else None

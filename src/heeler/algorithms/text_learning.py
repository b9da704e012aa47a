"""What learners of language models have in common: their state, what they check, and how they count.

Shapes: N completions, T tokens of all of them together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heeler.core.errors import ConfigError, DataError
from heeler.core.named import under
from heeler.models.data_parallel import total, totals
from heeler.models.language.model import LanguageModel
from heeler.models.language.weights import OptimizerConfig, Weights
from heeler.ops.micro_batches import MicroBatch, by_prompts
from heeler.ops.text_batch import TextBatch


@dataclass
class TextState:
    """All that learning changes."""

    model: LanguageModel
    weights: Weights
    """Those of `model` that may change, and of `head`."""
    generator: torch.Generator
    """Shuffles prompts."""
    kl_coefficient: float = 0.0
    """β as it is now; moves where it is adaptive."""
    head: nn.Linear | None = None
    """Gives values, where there are any."""
    num_updates: int = 0


def begin(
    model: LanguageModel, config: OptimizerConfig, *, seed: int, kl_coefficient: float = 0.0, with_values: bool = False
) -> TextState:
    """A state to begin learning with; the model itself is what will be changed.

    Args:
        model: what to learn. Dropout must be off, as it is when a model is loaded: with it no ratio would be 1.
        config: how long steps are.
        seed: of what is shuffled.
        kl_coefficient: β to begin with.
        with_values: whether there is a value head; it begins at zero.

    Raises:
        ConfigError: no weight may change.
    """
    head = None
    if with_values:
        head = nn.utils.skip_init(nn.Linear, model.hidden_size, 1, device=model.device)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    trainable = model.trainable()
    # A head alone is not what anybody meant.
    parameters = [*trainable, *(head.parameters() if head is not None and trainable else ())]
    weights = Weights(parameters, config)
    return TextState(model, weights, torch.Generator().manual_seed(seed), kl_coefficient, head)


def state_tensors(state: TextState) -> dict[str, Tensor]:
    """What a checkpoint keeps. The model's weights are among it, with all their bits."""
    tensors = {f"weights.{name}": tensor for name, tensor in state.weights.tensors().items()}
    counts = {
        "kl_coefficient": torch.tensor(state.kl_coefficient, dtype=torch.float64),
        "num_updates": torch.tensor(state.num_updates),
    }
    return tensors | counts | {"generator": state.generator.get_state()}


def load_state_tensors(state: TextState, tensors: dict[str, Tensor]) -> TextState:
    """Go on from what `state_tensors` returned, bit for bit.

    Raises:
        ConfigError: it was of another model.
    """
    state.weights.load_tensors(under("weights.", tensors))
    state.kl_coefficient = float(tensors["kl_coefficient"])
    state.num_updates = int(tensors["num_updates"])
    state.generator.set_state(tensors["generator"])
    return state


def check_sampled(batch: TextBatch) -> None:
    """That a batch has the log-probabilities with which it was sampled.

    Raises:
        DataError: it has not.
    """
    if len(batch.sampled_logprob_T) != int(batch.length_N.sum()):
        raise DataError(
            f"sampled_logprob_T: {len(batch.sampled_logprob_T)} numbers for {int(batch.length_N.sum())} sampled tokens"
        )
    if not bool(torch.isfinite(batch.sampled_logprob_T).all()):
        raise DataError(
            "sampled_logprob_T: not all finite; keep the log-probabilities that tokens had when they were sampled"
        )


def checked_rewards(
    batch: TextBatch, rewards: Sequence[float | None] | Tensor
) -> tuple[Float[Tensor, " N"], Bool[Tensor, " N"]]:
    """Rewards as numbers, and which completions have one.

    Args:
        batch: the completions.
        rewards: one for each; None where it does not apply.

    Returns:
        [N] rewards, 0 where there is none, and whether there is one.

    Raises:
        DataError: too few or too many, not finite, or none at all.
    """
    given = rewards.tolist() if isinstance(rewards, Tensor) else list(rewards)
    if len(given) != len(batch):
        raise DataError(f"rewards: {len(given)} for {len(batch)} completions; give one for each, or None")
    for i, reward in enumerate(given):
        if reward is not None and not math.isfinite(reward):
            raise DataError(f"rewards, row {i}: {reward} is no finite number; give None where a reward does not apply")
    if all(reward is None for reward in given):
        raise DataError("rewards: None for every completion, so that there is nothing to learn from")
    reward_N = torch.tensor([0.0 if reward is None else float(reward) for reward in given])
    return reward_N, torch.tensor([reward is not None for reward in given])


def minibatches(batch: TextBatch, num_minibatches: int, generator: torch.Generator) -> list[MicroBatch]:
    """Prompts dealt out by chance, for one pass over a batch.

    Raises:
        ConfigError: there are fewer prompts than parts.
    """
    num_prompts = len(batch.prompts)
    if num_prompts < num_minibatches:
        raise ConfigError(f"num_minibatches is {num_minibatches}, and the batch has only {num_prompts} prompts")
    if num_minibatches == 1:
        return by_prompts(batch, 1, torch.arange(num_prompts))
    return by_prompts(batch, num_minibatches, torch.randperm(num_prompts, generator=generator))


class Sums:
    """Sums of named numbers, over micro-batches, steps and processes.

    Numbers stay where they were computed until `means` is called, so that nothing waits for a GPU.

    Args:
        names: what is counted even where a process has nothing to count; all processes must count the same.
    """

    def __init__(self, *names: str) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, float] = dict.fromkeys(names, 0.0)

    def add(self, name: str, value: Tensor, count: float = 0.0) -> None:
        """Add a sum of `count` numbers; without a count it is a part of a sum of which there is one each step."""
        value = value.detach().double()
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0.0) + count

    def means(self, *, num_steps: int = 1) -> dict[str, float]:
        """Mean of each over all processes."""
        names = sorted(self._counts)
        zero = torch.zeros(
            (), dtype=torch.float64, device=next(iter(self._sums.values())).device if self._sums else None
        )
        sums = total(torch.stack([self._sums.get(name, zero) for name in names])).tolist()
        counts = totals(*(self._counts[name] for name in names))
        return {name: sums[i] / (counts[i] or num_steps) for i, name in enumerate(names)}

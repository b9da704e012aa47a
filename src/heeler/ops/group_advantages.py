"""Advantages of completions among those of the same prompt.

Shapes: N completions, P prompts. A completion that has no reward (`is_scored_N` false) counts in no mean and gets 0.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

GRPO_EPSILON = 1e-4
"""Added to a spread before it divides, as TRL does."""


class Groups(NamedTuple):
    """What the rewards of each prompt's completions are like."""

    count_P: Float[Tensor, " P"]
    """Completions that have a reward."""
    mean_P: Float[Tensor, " P"]
    std_P: Float[Tensor, " P"]
    """Unbiased; 0 where there are fewer than two."""


def groups(
    reward_N: Float[Tensor, " N"], is_scored_N: Bool[Tensor, " N"], prompt_of_N: Int[Tensor, " N"], num_prompts: int
) -> Groups:
    """Count, mean and spread of the rewards of each prompt's completions.

    Args:
        reward_N: rewards; what stands where there is none does not matter.
        is_scored_N: whether there is one.
        prompt_of_N: which prompt each completion follows.
        num_prompts: P.
    """
    zero_P = reward_N.new_zeros(num_prompts)
    known_N = torch.where(is_scored_N, reward_N, torch.zeros_like(reward_N))
    count_P = zero_P.index_add(0, prompt_of_N, is_scored_N.to(reward_N.dtype))
    mean_P = zero_P.index_add(0, prompt_of_N, known_N) / count_P.clamp_min(1)
    deviation_N = torch.where(is_scored_N, known_N - mean_P[prompt_of_N], torch.zeros_like(reward_N))
    variance_P = zero_P.index_add(0, prompt_of_N, deviation_N.square()) / (count_P - 1).clamp_min(1)
    return Groups(count_P, mean_P, variance_P.sqrt())


def rloo_advantages(
    reward_N: Float[Tensor, " N"], is_scored_N: Bool[Tensor, " N"], prompt_of_N: Int[Tensor, " N"], num_prompts: int
) -> Float[Tensor, " N"]:
    r"""Reward less the mean reward of the *other* completions of the prompt: a baseline that leaves no bias.

    $$A_i = r_i - \frac{1}{G - 1} \sum_{j \ne i} r_j$$

    A completion without another one that has a reward gets 0.

    Args:
        reward_N: as in `groups`.
        is_scored_N: as in `groups`.
        prompt_of_N: as in `groups`.
        num_prompts: P.

    Example:
        >>> reward, scored = torch.tensor([1.0, 0.0, 0.5]), torch.ones(3, dtype=torch.bool)
        >>> rloo_advantages(reward, scored, torch.zeros(3, dtype=torch.int64), 1).tolist()
        [0.75, -0.75, 0.0]

    Source: Kool et al. 2019 (DeepRLStructPred); Ahmadian et al. 2024, arXiv 2402.14740.
    """
    group = groups(reward_N, is_scored_N, prompt_of_N, num_prompts)
    count_N = group.count_P[prompt_of_N]
    # r - (G m - r) / (G - 1) = (r - m) G / (G - 1)
    advantage_N = (reward_N - group.mean_P[prompt_of_N]) * count_N / (count_N - 1).clamp_min(1)
    return torch.where(is_scored_N & (count_N > 1), advantage_N, torch.zeros_like(reward_N))


def grpo_advantages(
    reward_N: Float[Tensor, " N"],
    is_scored_N: Bool[Tensor, " N"],
    prompt_of_N: Int[Tensor, " N"],
    num_prompts: int,
    *,
    spread: Float[Tensor, ""] | None = None,
    scale_by_group: bool = True,
) -> Float[Tensor, " N"]:
    r"""Reward less the mean of the prompt's completions, divided by a spread.

    $$A_i = \frac{r_i - \mathrm{mean}(r)}{\mathrm{std}(r) + 10^{-4}}$$

    Without division (Dr. GRPO) prompts that are almost solved do not count more than others. The mean includes the
    completion itself, which makes the gradient (G − 1) / G of what it would be.

    Args:
        reward_N: as in `groups`.
        is_scored_N: as in `groups`.
        prompt_of_N: as in `groups`.
        num_prompts: P.
        spread: divide by this one number in place of each group's own.
        scale_by_group: divide by each group's spread, where `spread` is None.

    Sources: Shao et al. 2024, arXiv 2402.03300; Liu et al. 2025 (Dr. GRPO), arXiv 2503.20783.
    """
    group = groups(reward_N, is_scored_N, prompt_of_N, num_prompts)
    advantage_N = reward_N - group.mean_P[prompt_of_N]
    if spread is not None:
        advantage_N = advantage_N / (spread + GRPO_EPSILON)
    elif scale_by_group:
        advantage_N = advantage_N / (group.std_P[prompt_of_N] + GRPO_EPSILON)
    return torch.where(is_scored_N & (group.count_P[prompt_of_N] > 1), advantage_N, torch.zeros_like(reward_N))

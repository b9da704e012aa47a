"""What there is to know about a batch of completions and its rewards, under the names that TRL gives it.

Shapes: N completions, P prompts.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heeler.models.data_parallel import largest, total
from heeler.ops.group_advantages import groups
from heeler.ops.text_batch import TextBatch


def completion_metrics(batch: TextBatch) -> dict[str, float]:
    """Lengths of completions, of all processes.

    `completions/mean_length`, `min_length`, `max_length`, `clipped_ratio` (share that was cut), and the three lengths
    of those that ended by themselves (0 where none did).
    """
    length_N, ended_N = batch.length_N.double(), ~batch.truncated_N
    ended = length_N[ended_N]
    none = torch.full((1,), -torch.inf, dtype=torch.float64)
    sums = total(torch.stack([length_N.sum(), _count(length_N), ended.sum(), _count(ended)]))
    extremes = largest(torch.stack([torch.cat([none, part]).max() for part in (length_N, -length_N, ended, -ended)]))
    all_sum, all_count, ended_sum, ended_count = sums.tolist()
    longest, shortest, longest_ended, shortest_ended = extremes.tolist()
    return {
        "completions/mean_length": all_sum / all_count,
        "completions/min_length": -shortest,
        "completions/max_length": longest,
        "completions/clipped_ratio": 1 - ended_count / all_count,
        "completions/mean_terminated_length": ended_sum / ended_count if ended_count else 0.0,
        "completions/min_terminated_length": -shortest_ended if ended_count else 0.0,
        "completions/max_terminated_length": longest_ended if ended_count else 0.0,
        "num_tokens": all_sum,
    }


def reward_metrics(
    batch: TextBatch, reward_N: Float[Tensor, " N"], is_scored_N: Bool[Tensor, " N"]
) -> dict[str, float]:
    """Mean and spread of rewards, of all processes; completions without a reward are left out.

    `reward`, `reward_std` (unbiased, of all rewards) and `frac_reward_zero_std`: the share of prompts whose completions
    all got the same, and teach nothing.
    """
    seen = spread(reward_N[is_scored_N])
    group = groups(reward_N, is_scored_N, batch.prompt_of_N, len(batch.prompts))
    has_any_P = group.count_P > 0
    num_same = (has_any_P & (group.std_P < 1e-8)).sum()
    same, num_prompts = total(torch.stack([num_same, has_any_P.sum()]).double()).tolist()
    return {"reward": seen.mean, "reward_std": seen.std, "frac_reward_zero_std": same / num_prompts}


class Spread(NamedTuple):
    """How numbers lie."""

    mean: float
    std: float
    """Unbiased; 0 for fewer than two."""


def spread(value: Tensor) -> Spread:
    """Mean and standard deviation of the numbers of all processes."""
    value = value.detach().double()
    value_sum, count = total(torch.stack([value.sum(), _count(value)])).tolist()
    mean = value_sum / max(count, 1)
    squares = total((value - mean).square().sum()[None]).item()
    return Spread(mean, math.sqrt(squares / max(count - 1, 1)))


def _count(value: Tensor) -> Tensor:
    return torch.tensor(float(len(value)), dtype=torch.float64, device=value.device)

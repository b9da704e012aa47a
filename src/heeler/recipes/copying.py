"""Practice for a small model that is to read: to go on with a list, and to know what stands in one.

A model of a few layers that reads facts has to find a word again and say what follows it, or notice that it is not
there. On text about the facts alone that comes after many thousand steps or not at all; on rows of random tokens, short
ones first, after few, and text is learned from there. What such heads do: Olsson et al. 2022, arXiv 2209.11895.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from heeler.ops.micro_batches import stored
from heeler.ops.text_batch import TextBatch

SHORTEST, LONGEST = 4, 40
"""Tokens of a list."""
_NUM_TOKENS, _MIN_ROWS = 256, 8
"""Of all lists of a batch, about; and lists of one, at least."""
_AS_CONTEXT = 2
"""Tokens of the second copy that are given: where it begins is not to be known from the first one alone."""
_MAX_QUERIES = 8


def practice(
    num_updates: int, progress: float, *, first_token: int, vocabulary_size: int, generator: torch.Generator
) -> tuple[TextBatch, Bool[Tensor, " T"]]:
    """A batch, of the one kind and of the other in turn, and which of its tokens are learned.

    Args:
        num_updates: made so far.
        progress: share of the practice that is over, 0 to 1; lists grow with it.
        first_token: tokens before it, which are special, do not come up. It and the next say whether something stands
            in a list.
        vocabulary_size: tokens of the model.
        generator: where chance comes from.
    """
    longest = SHORTEST + round((LONGEST - SHORTEST) * min(1.0, progress / 0.7)) + 1
    length = int(torch.randint(SHORTEST, longest + 1, (), generator=generator))
    num_rows = max(_MIN_ROWS, _NUM_TOKENS // length)
    yes, no, first_listed = range(first_token, first_token + 3)
    scores = torch.rand(num_rows, vocabulary_size - first_listed, generator=generator)
    different = scores.topk(2 * length).indices + first_listed
    if num_updates % 2:
        return memberships(different, yes=yes, no=no, generator=generator)
    # Half of the longer lists say things again, so that more than the last token tells what comes next.
    num_different = length // 2 if length >= 3 * SHORTEST and num_updates % 4 else length
    return repetitions(different[:, :num_different], length, generator=generator)


def repetitions(
    pool_RN: Int[Tensor, "R N"], length: int, *, generator: torch.Generator
) -> tuple[TextBatch, Bool[Tensor, " T"]]:
    """Lists that are said twice; the second time is learned.

    Args:
        pool_RN: tokens that each is made of.
        length: of the lists; where it is N, all tokens stand there once.
        generator: where chance comes from.
    """
    num_rows, num_different = pool_RN.shape
    list_RL = pool_RN
    if length != num_different:
        list_RL = pool_RN.gather(1, torch.randint(0, num_different, (num_rows, length), generator=generator))
    prompts = torch.cat([list_RL, list_RL[:, :_AS_CONTEXT]], dim=1)
    batch = stored(tuple(prompts), tuple(list_RL[:, _AS_CONTEXT:]), torch.arange(num_rows))
    return batch, torch.ones(int(batch.length_N.sum()), dtype=torch.bool)


def memberships(
    different_RM: Int[Tensor, "R M"], *, yes: int, no: int, generator: torch.Generator
) -> tuple[TextBatch, Bool[Tensor, " T"]]:
    """Lists, and behind each some tokens with whether they stand in it, which is learned.

    Args:
        different_RM: tokens no two of which in a row are alike; the first half is the list.
        yes: token that says so.
        no: token that says that it does not.
        generator: where chance comes from.
    """
    num_rows, length = different_RM.shape[0], different_RM.shape[1] // 2
    num_queries = min(_MAX_QUERIES, length)
    is_in_RQ = torch.rand(num_rows, num_queries, generator=generator) < 0.5
    place_Q = torch.randperm(length, generator=generator)[:num_queries]
    query_RQ = torch.where(is_in_RQ, different_RM[:, place_Q], different_RM[:, length + place_Q])
    verdict_RQ = torch.where(is_in_RQ, yes, no)
    completions = torch.stack([query_RQ, verdict_RQ], dim=2).flatten(1)
    batch = stored(tuple(different_RM[:, :length]), tuple(completions), torch.arange(num_rows))
    return batch, torch.tensor([False, True]).repeat(num_rows * num_queries)

"""What a trunk that does not learn says of a completion, for a linear reward to weigh.

Shapes: N completions, T tokens of all of them together, D hidden numbers, F features.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from heeler.models.ngrams import SparseRows
from heeler.ops.text_batch import TextBatch, sequence_sum

if TYPE_CHECKING:
    from heeler.models.language.model import LanguageModel


def num_features(trunk: "LanguageModel") -> int:
    """F."""
    return 2 * trunk.hidden_size + 2


@torch.no_grad()
def trunk_features(trunk: "LanguageModel", batch: TextBatch) -> Float[Tensor, "N F"]:
    """Of each completion: the hidden state from which its last token was foretold, the mean of those of all its tokens,
    and its log-probability, whole and by the token; float32, on the CPU.

    Args:
        trunk: reads them.
        batch: of N completions.
    """
    outputs, device = trunk.outputs(batch), trunk.device
    length_N = batch.length_N.to(device)
    owner_T = torch.repeat_interleave(torch.arange(len(length_N), device=device), length_N)
    hidden_TD = outputs.hidden_TD.float()
    summed_ND = hidden_TD.new_zeros(len(length_N), hidden_TD.shape[1]).index_add(0, owner_T, hidden_TD)
    last_ND = hidden_TD[torch.cumsum(length_N, 0) - 1]
    whole_N = sequence_sum(outputs.logprob_T, length_N)
    parts = [last_ND, summed_ND / length_N[:, None], whole_N[:, None], (whole_N / length_N)[:, None]]
    return torch.cat(parts, 1).cpu()


def beside(rows: SparseRows | None, dense_NF: np.ndarray, *, first_bucket: int) -> SparseRows:
    """Rows with dense numbers after their sparse ones.

    Args:
        rows: N rows, or None for the dense numbers alone.
        dense_NF: float32.
        first_bucket: where the dense numbers stand: after all buckets of the sparse ones.
    """
    num, width = dense_NF.shape
    own_N = np.arange(num) * width
    bucket_X, value_X = np.tile(first_bucket + np.arange(width), num), dense_NF.ravel()
    if rows is None:
        return SparseRows(bucket_X=bucket_X, value_X=value_X, start_N=own_N)
    ends = np.append(rows.start_N[1:], len(rows.bucket_X))
    at_X = np.repeat(ends, width)
    return SparseRows(
        bucket_X=np.insert(rows.bucket_X, at_X, bucket_X),
        value_X=np.insert(rows.value_X, at_X, value_X),
        start_N=rows.start_N + own_N,
    )

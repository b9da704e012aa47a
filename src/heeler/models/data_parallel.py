"""Learning on several processes under `torch.distributed`, each with a share of the batch; alone where it is not begun.

Every process must make the same calls in the same order.
"""

import torch
import torch.distributed
from torch import Tensor


def is_parallel() -> bool:
    """Whether there are other processes."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def total(value: Tensor) -> Tensor:
    """Sum over all processes, in place where there are others."""
    if is_parallel():
        torch.distributed.all_reduce(value)
    return value


def largest(value: Tensor) -> Tensor:
    """Largest over all processes, in place where there are others."""
    if is_parallel():
        torch.distributed.all_reduce(value, op=torch.distributed.ReduceOp.MAX)
    return value


def totals(*values: float) -> list[float]:
    """Sums of numbers over all processes."""
    return total(torch.tensor(values, dtype=torch.float64)).tolist() if is_parallel() else list(values)


def from_first(value: Tensor) -> None:
    """Overwrite `value` with the first process's."""
    if is_parallel():
        torch.distributed.broadcast(value, 0)

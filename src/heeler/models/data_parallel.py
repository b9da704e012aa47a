"""Learning on several processes under `torch.distributed`, each with a share of the batch; alone where it is not begun.

Every process must make the same calls in the same order.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor

Item = TypeVar("Item")


def is_parallel() -> bool:
    """Whether there are other processes."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def num_processes() -> int:
    """How many there are."""
    return torch.distributed.get_world_size() if is_parallel() else 1


def process() -> int:
    """The number of this one, from 0 on; the first writes what there is to be written."""
    return torch.distributed.get_rank() if is_parallel() else 0


def is_started_by_torchrun() -> bool:
    """Whether `torchrun` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def is_first_to_be() -> bool:
    """Whether this is the first process, also before they have met."""
    return not is_started_by_torchrun() or os.environ["RANK"] == "0"


@contextmanager
def together() -> Generator[None]:
    """Meet the other processes that `torchrun` started, if it did, and part from them at the end."""
    if not is_started_by_torchrun() or is_parallel():
        yield
        return
    # Weights are added up where they are, and single numbers on the CPU.
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def own_device(device: str) -> str:
    """Where this process computes: `auto` is a GPU of its own, where this machine has as many as processes."""
    if device != "auto" or not is_parallel():
        return device
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return f"cuda:{os.environ['LOCAL_RANK']}" if here <= torch.cuda.device_count() else "cpu"


def wait_for_all() -> None:
    """Go on once every process has come to this point."""
    if is_parallel():
        torch.distributed.barrier()


def share_of(items: Sequence[Item], *, multiple: int = 1) -> Sequence[Item]:
    """This process's share of some items: as many as any other's, but for what the last one gets beside its own.

    Args:
        items: the same in every process.
        multiple: shares are of a multiple of this, but for the last one's.
    """
    num, number = num_processes(), process()
    groups = len(items) // multiple
    start, end = (multiple * (groups * place // num) for place in (number, number + 1))
    return items[start : len(items) if number == num - 1 else end]


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

"""How processes share what there is to learn from, and how they know of each other."""

import pytest
import torch

from heeler.models import data_parallel
from heeler.models.data_parallel import is_first_to_be, own_device, share_of, together


def shares(monkeypatch: pytest.MonkeyPatch, num_items: int, num: int, multiple: int) -> list[list[int]]:
    found: list[list[int]] = []
    for number in range(num):
        monkeypatch.setattr(data_parallel, "process", lambda number=number: number)
        monkeypatch.setattr(data_parallel, "num_processes", lambda: num)
        found.append(list(share_of(range(num_items), multiple=multiple)))
    return found


@pytest.mark.parametrize(("num_items", "num"), [(1, 1), (7, 1), (2, 2), (7, 2), (8, 3), (11, 4)])
@pytest.mark.parametrize("multiple", [1, 2])
def test_shares_are_even_and_hold_everything_once(
    num_items: int, num: int, multiple: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shares(monkeypatch, num_items, num, multiple)
    assert [item for share in found for item in share] == list(range(num_items))
    sizes = [len(share) for share in found]
    assert all(size % multiple == 0 for size in sizes[:-1])
    if num_items >= num * multiple:
        assert min(sizes) >= multiple
    assert max(sizes) - min(sizes) < 2 * multiple + 1


def test_a_process_alone_is_the_first_and_meets_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with together():
        assert is_first_to_be()
        assert not torch.distributed.is_initialized()
        assert own_device("auto") == "auto"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert not is_first_to_be()

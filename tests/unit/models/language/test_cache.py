import torch
from torch import Tensor

from heeler.models.language.cache import RowCache

torch.set_num_threads(1)


def states(*values: float) -> Tensor:
    """[rows, 1 head, 1 token, 1 number]."""
    return torch.tensor(values, dtype=torch.float32)[:, None, None, None]


def kept(cache: RowCache, layer: int = 0) -> list[list[float]]:
    return cache._keys[layer][:, 0, :, 0].tolist()


def written() -> RowCache:
    """Rows 1 2 3 and 4 5 6, and a third that is empty, of four places."""
    cache = RowCache(3, 4)
    cache.from_place(0, 3, slice(0, 2))
    new = torch.tensor([[1.0, 2, 3], [4, 5, 6]])[:, None, :, None]
    key, value = cache.update(new, -new, 0)
    assert key[:, 0, :, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert torch.equal(value, -key)
    return cache


def test_rows_are_written_at_their_own_places():
    cache = written()
    cache.at(torch.tensor([1, 3]), 4)
    key, value = cache.update(states(8, 9), states(-8, -9), 0)
    assert key[:, 0, :, 0].tolist() == [[1, 8, 3, 0], [4, 5, 6, 9]]
    assert torch.equal(value, -key)
    assert cache.get_seq_length() == 4


def test_a_stretch_is_written_to_some_rows_alone():
    cache = written()
    cache.from_place(1, 2, slice(2, 3))
    key, _ = cache.update(torch.tensor([[[[7.0], [8.0]]]]), torch.zeros(1, 1, 2, 1), 0)
    assert key[:, 0, :, 0].tolist() == [[0, 7, 8]]
    assert kept(cache) == [[1, 2, 3, 0], [4, 5, 6, 0], [0, 7, 8, 0]]


def test_taking_rows_in_any_order_and_more_than_once():
    cache = written()
    cache.take(torch.tensor([1, 0, 1]), 5)
    assert kept(cache) == [[4, 5, 6, 0, 0], [1, 2, 3, 0, 0], [4, 5, 6, 0, 0]]
    assert (cache.num_rows, cache.num_places) == (3, 5)


def test_room_is_never_less_and_what_was_written_stays():
    cache = written()
    cache.reserve(2, 6)
    assert kept(cache) == [[1, 2, 3, 0, 0, 0], [4, 5, 6, 0, 0, 0], [0] * 6]
    cache.reserve(4, 1)
    assert kept(cache)[3] == [0] * 6 and (cache.num_rows, cache.num_places) == (4, 6)


def test_moving_a_row():
    cache = written()
    cache.move(1, 0, 2)
    assert kept(cache)[0] == [4, 5, 3, 0]

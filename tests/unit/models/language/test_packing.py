import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from heeler.models.language.packing import Packed, RowLimits, pack
from tests.unit.models.language.batches import random_batch

groups = st.lists(
    st.tuples(st.integers(1, 9), st.lists(st.integers(1, 9), min_size=1, max_size=4)), min_size=1, max_size=5
)


def _text_seen_by(packed: Packed, place: int) -> tuple[list[int], list[int]]:
    """Tokens that a place sees, in the order of their positions, and these positions."""
    row, column = divmod(place, packed.token_RL.shape[1])
    seen: Tensor = packed.mask_R1LL[row, 0, column]
    order = packed.position_RL[row, seen].argsort()
    return packed.token_RL[row, seen][order].tolist(), packed.position_RL[row, seen][order].tolist()


@settings(max_examples=30)
@given(groups, st.booleans(), st.integers(0, 30), st.floats(0, 0.2))
def test_each_token_sees_its_own_text_and_nothing_else(
    lengths: list[tuple[int, list[int]]], shared_prefix: bool, max_row: int, pair_cost: float
):
    batch = random_batch([prompt for prompt, _ in lengths], [chosen for _, chosen in lengths])
    limits = RowLimits(max_row=max_row, pair_cost=pair_cost)
    packed = pack(batch, shared_prefix=shared_prefix, pad_id=0, limits=limits)
    place = 0
    for prompt, ids in zip(batch.prompt_of_N.tolist(), batch.completions, strict=True):
        text = [*batch.prompts[prompt].tolist(), *ids.tolist()]
        for at in range(len(ids)):
            end = len(batch.prompts[prompt]) + at
            own, positions = _text_seen_by(packed, int(packed.place_T[place]))
            assert own == text[: end + 1] and positions == list(range(end + 1))
            assert _text_seen_by(packed, int(packed.source_T[place]))[0] == text[:end]
            place += 1
    assert place == len(packed.place_T)
    assert int(packed.is_token_RL.sum()) <= sum(prompt * len(chosen) + sum(chosen) for prompt, chosen in lengths)


def test_a_prompt_stands_in_its_row_once():
    batch = random_batch((10,), ((2, 3, 4),))
    packed = pack(batch, shared_prefix=True, pad_id=0, limits=RowLimits())
    assert packed.token_RL.shape == (1, 19)
    alone = pack(batch, shared_prefix=False, pad_id=0, limits=RowLimits())
    assert alone.token_RL.shape == (3, 14)
    assert int(alone.is_token_RL.sum()) == 12 + 13 + 14


def test_short_groups_fill_up_rows():
    # 20 places; 11 and 9 fit together, and so do 12 and 8.
    batch = random_batch((10, 5, 6, 4, 4), ((10,), (6,), (3,), (8,), (4,)))
    packed = pack(batch, shared_prefix=True, pad_id=0, limits=RowLimits())
    assert packed.token_RL.shape == (3, 20) and bool(packed.is_token_RL.all())


def test_rows_end_at_their_limit():
    batch = random_batch((10,), ((5, 5, 5, 5),))
    packed = pack(batch, shared_prefix=True, pad_id=0, limits=RowLimits(max_row=20))
    assert packed.token_RL.shape == (2, 20)


def test_sharing_stops_where_looking_costs_more_than_the_prompt():
    batch = random_batch((10,), ((10, 10),))
    # Joined: 10 + c (30² - 20²) = 10 + 500 c; alone: 20 + 400 c. They are equal at c = 0.1.
    assert pack(batch, shared_prefix=True, pad_id=0, limits=RowLimits(pair_cost=0.09)).token_RL.shape == (1, 30)
    assert pack(batch, shared_prefix=True, pad_id=0, limits=RowLimits(pair_cost=0.11)).token_RL.shape == (2, 20)


def test_filling_sees_itself():
    batch = random_batch((2, 3), ((1,), (4,)))
    packed = pack(batch, shared_prefix=False, pad_id=0, limits=RowLimits())
    assert bool(packed.mask_R1LL.any(-1).all())
    assert torch.equal(packed.is_token_RL.sum(1), torch.tensor([3, 7]))

"""Features of linear models."""

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.errors import ConfigError
from heeler.models.bases import Basis, BasisConfig

SQUARE = Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 4.0], np.float32))
ENDLESS = Box(-np.inf, np.inf, (2,), np.float32)


def basis(kind, **settings):
    return Basis(BasisConfig(kind=kind, **settings), SQUARE)


def test_plain_numbers_stand_as_they_are():
    assert basis("plain")(torch.tensor([0.5, 3.0])).tolist() == [0.5, 3.0]
    assert basis("plain", columns=(1,))(torch.tensor([[0.5, 3.0]])).tolist() == [[3.0]]


def test_only_the_columns_that_are_named_are_seen():
    assert basis("scaled", columns=(1,))(torch.tensor([0.5, 3.0])).tolist() == [0.5, 1.0]
    assert basis("radial", columns=(1,), num_cells=3).size == 3


def test_scaled_numbers_go_from_minus_one_to_one():
    assert basis("scaled")(torch.tensor([[0.5, 3.0], [9.0, -9.0]])).tolist() == [[0.5, 0.5, 1.0], [1.0, -1.0, 1.0]]


def test_without_a_constant_the_middle_is_nothing():
    made = basis("scaled", constant=False)
    assert made.size == 2
    assert made(torch.tensor([0.0, 2.0])).tolist() == [0.0, 0.0]


def test_one_tiling_of_two_cells_by_hand():
    """Cells are 1 wide along the first number and 2 along the second; number 1 is at an upper bound, of its last."""
    one = basis("tiles", num_cells=2, num_tilings=1)
    assert one.size == 9
    places = [int(one(torch.tensor(seen)).argmax()) for seen in ([-0.5, 1.0], [0.5, 1.0], [-0.5, 3.0], [1.0, 4.0])]
    assert places == [0, 1, 3, 4]


@given(seed=st.integers(0, 10_000), num_cells=st.integers(1, 5), num_tilings=st.integers(1, 8))
def test_squares_of_tiles_and_radial_bases_sum_to_one(seed, num_cells, num_tilings):
    rng = np.random.default_rng(seed)
    seen = torch.from_numpy(rng.uniform([-1.5, -1], [1.5, 5], (10, 2)).astype(np.float32))
    for kind in ("tiles", "radial"):
        made = basis(kind, num_cells=num_cells, num_tilings=num_tilings)
        feature = made(seen)
        assert feature.shape == (10, made.size)
        torch.testing.assert_close(feature.square().sum(-1), torch.ones(10))


def test_tiles_against_a_naive_loop():
    made = basis("tiles", num_cells=3, num_tilings=4)
    rng = np.random.default_rng(0)
    for seen in rng.uniform([-1, 0], [1, 4], (20, 2)):
        wanted = torch.zeros(made.size)
        for tiling in range(4):
            place = 0
            for number, (least, most) in enumerate(((-1, 1), (0, 4))):
                share = (seen[number] - least) / (most - least)
                shift = tiling * (2 * number + 1) % 4 / 4
                place += math.floor(share * 3 * (1 - 1e-6) + shift) * 4**number
            wanted[tiling * 16 + place] = 0.5
        torch.testing.assert_close(made(torch.tensor(seen, dtype=torch.float32)), wanted)


def test_a_radial_basis_is_strongest_at_its_own_point():
    made = basis("radial", num_cells=3)
    for place, point in enumerate(made._centres_FO):
        seen = made.low + point * (made.high - made.low)
        assert int(made(seen).argmax()) == place


@pytest.mark.parametrize(
    ("config", "space", "words"),
    [
        ({"kind": "tiles"}, ENDLESS, "number 0 of an observation goes from -inf to inf"),
        ({"kind": "radial", "low": (0.0,), "high": (1.0,)}, SQUARE, "2 numbers each, got 1 and 1"),
        ({"kind": "scaled", "low": (1.0, 0.0), "high": (0.0, 1.0)}, SQUARE, "number 0"),
        ({"columns": (2,)}, SQUARE, "places among an observation's 2 numbers"),
        ({"kind": "plain", "low": (0.0, 0.0), "high": (1.0, 1.0)}, SQUARE, "would be ignored"),
        ({"kind": "tiles", "num_cells": 9}, Box(0.0, 1.0, (9,), np.float32), "more than 100,000"),
    ],
)
def test_what_does_not_fit_is_refused(config, space, words):
    with pytest.raises(ConfigError, match=words):
        Basis(BasisConfig(**config), space)


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "fourier"},
        {"columns": ()},
        {"columns": (1, 1)},
        {"constant": False},
        {"num_cells": 0},
        {"num_tilings": 0},
        {"low": (0.0,)},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ConfigError, match="basis"):
        BasisConfig(**bad)

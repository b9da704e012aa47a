"""Worlds and their files: what holds comes back as it was, and what does not is named by file, field and place."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import DataError
from heeler.rewards.inverse.grids import bumps, lava_world, open_grid
from heeler.rewards.inverse.world import from_dense, to_dense
from heeler.rewards.inverse.world_files import read_world, write_world
from tests.unit.rewards.inverse.worlds import random_world

DENSE = np.array([[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.25, 0.75]]])
GOOD: dict[str, Any] = {"transitions": DENSE, "start": np.array([1.0, 0.0]), "discount": np.float64(0.9)}


def written(folder: Path, **changes: Any) -> Path:
    arrays = {name: value for name, value in (GOOD | changes).items() if value is not None}
    np.savez(folder / "world.npz", **arrays)
    return folder / "world.npz"


def test_a_world_comes_back_as_it_was(tmp_path: Path) -> None:
    world = lava_world(("S.L", "...", "L.G"), slip=0.2, horizon=9)
    write_world(world, tmp_path / "world.npz")
    read = read_world(tmp_path / "world.npz")
    for name in ("next_SAM", "chance_SAM", "start_S", "terminal_S", "features", "cell_S2", "true_reward"):
        np.testing.assert_array_equal(getattr(read, name), getattr(world, name))
    for name in ("discount", "horizon", "feature_names", "state_names", "action_names"):
        assert getattr(read, name) == getattr(world, name)


def test_dense_and_sparse_rows_say_the_same(tmp_path: Path) -> None:
    np.testing.assert_allclose(to_dense(read_world(written(tmp_path))), DENSE)
    sparse = {"next_state": np.array([[[0, 1], [1, 0]], [[0, 0], [0, 1]]]), "transitions": None}
    sparse["probability"] = np.array([[[0.5, 0.5], [1.0, 0.0]], [[1.0, 0.0], [0.25, 0.75]]])
    np.testing.assert_allclose(to_dense(read_world(written(tmp_path, **sparse))), DENSE)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"transitions": DENSE * [[[1.0], [0.9]], [[1.0], [1.0]]]}, r"transitions\[0, 1\] must sum to 1, got 0.9"),
    (
        {"transitions": np.where(DENSE == 0.25, np.nan, DENSE)},
        r"transitions\[1, 1, 0\] must be a finite number, got nan",
    ),
    ({"transitions": DENSE - [[[0.6, -0.6]]]}, r"transitions\[0, 0, 0\] must be a probability"),
    ({"transitions": DENSE[:1]}, r"transitions must have shape \(S, A, S\), got \(1, 2, 2\)"),
    ({"transitions": None}, "transitions is missing; give transitions, or next_state and probability"),
    ({"transitions": None, "next_state": np.zeros((2, 2, 1), int)}, "probability is missing"),
    ({"next_state": np.zeros((2, 2, 1), int)}, "next_state would be ignored beside transitions"),
    (
        {"transitions": None, "next_state": np.full((2, 2, 1), 2), "probability": np.ones((2, 2, 1))},
        r"next_state\[0, 0, 0\] must be a state from 0 to 1, got 2",
    ),
    (
        {"transitions": None, "next_state": np.zeros((2, 2, 1)), "probability": np.ones((2, 2, 1))},
        "next_state must be whole numbers, got float64",
    ),
    ({"start": None}, "start is missing"),
    ({"start": np.array([0.5, 0.4])}, "start must sum to 1, got 0.9"),
    ({"start": np.array([1.0])}, r"start must have shape \(2,\), got \(1,\)"),
    ({"discount": None}, "discount is missing"),
    ({"discount": np.float64(1.0)}, "discount must be at least 0 and below 1, as there is no horizon, got 1"),
    ({"discount": np.float64(1.5), "horizon": np.int64(3)}, "discount must be at least 0 and at most 1, got 1.5"),
    ({"discount": np.float64(np.nan)}, "discount must be"),
    ({"horizon": np.float64(2.5)}, "horizon must be a whole number of steps, got 2.5"),
    ({"horizon": np.int64(0)}, "horizon must be a whole number of steps, at least 1"),
    ({"terminal": np.array([0, 1])}, "terminal must be booleans"),
    ({"terminal": np.array([True, True])}, "every state is terminal"),
    ({"features": np.zeros((3, 1))}, r"features must have shape \(2, 1\) or \(2, 2, 1\), got \(3, 1\)"),
    ({"features": np.array([[1.0], [np.inf]])}, r"features\[1, 0\] must be a finite number, got inf"),
    ({"feature_names": np.array(["x"])}, "feature_names would be ignored"),
    ({"state_names": np.array(["x", "x"])}, "'x' is there twice"),
    ({"state_names": np.array(["x"])}, "state_names must be 2 names, got 1"),
    ({"state_names": np.array([1, 2])}, "state_names must be strings"),
    ({"cells": np.array([[0, 0], [0, -2]])}, r"cells\[1, 1\] must be a row or column"),
    ({"true_reward": np.zeros(3)}, r"true_reward must have shape \(2,\) or \(2, 2\)"),
    ({"discuont": np.float64(1)}, "no field 'discuont'. Did you mean 'discount'"),
    ({"terminal": np.array([object()])}, "cannot be read as .npz, without pickle"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_what_does_not_hold_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as raised:
        read_world(path)
    assert str(path) in str(raised.value)


def test_a_torn_file_and_none_at_all_are_told(tmp_path: Path) -> None:
    whole = written(tmp_path).read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "world.npz").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"world\.npz cannot be read as \.npz"):
            read_world(tmp_path / "world.npz")
    with pytest.raises(DataError, match="does not exist"):
        read_world(tmp_path / "none.npz")
    np.save(tmp_path / "one.npy", DENSE)
    with pytest.raises(DataError, match=r"holds one array, as \.npy files do"):
        read_world(tmp_path / "one.npy")


def test_terminal_rows_may_be_anything_that_is_a_number() -> None:
    dense = DENSE.copy()
    dense[1] = 0.0
    world = from_dense(dense, start_S=[1.0, 0.0], discount=0.9, terminal_S=np.array([False, True]))
    assert not to_dense(world)[1].any()


def test_an_open_grid_goes_where_its_moves_lead() -> None:
    world = open_grid(2, 3, slip=0.2)
    dense = to_dense(world)
    # Right from the upper left corner; slipping goes up, which is the edge, or down.
    assert dense[0, 1] == pytest.approx([0.1, 0.8, 0, 0.1, 0, 0])
    assert dense.sum() == pytest.approx(24)


def test_the_lava_world_is_that_of_lava_grid() -> None:
    world = lava_world(("S#L", "..G"))
    assert world.true_reward == pytest.approx([-0.05, -0.05, -1.05, -0.05, -0.05, 1.0])
    assert world.start_S[0] == 1 and world.terminal_S.tolist() == [False] * 5 + [True]
    assert to_dense(world)[4, 1, 5] == 1 and to_dense(world)[0, 1, 0] == 1
    with pytest.raises(DataError, match="vase"):
        lava_world(("SVG",))


def test_bumps_are_one_at_their_centres() -> None:
    world = open_grid(9, 9)
    features = bumps(world, 2, width=2.0)
    assert features.shape == (81, 4) and features.max(0) == pytest.approx([1.0] * 4)
    with pytest.raises(DataError, match="cells are missing"):
        bumps(random_world(0), 2, width=2.0)

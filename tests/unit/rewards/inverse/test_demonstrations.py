"""Demonstrations: counted as a loop counts, and refused where the world cannot have made them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import DataError
from heeler.rewards.inverse.demonstrations import (
    demonstrations_from,
    read_demonstrations,
    sampled,
    write_demonstrations,
)
from heeler.rewards.inverse.grids import lava_world
from tests.unit.rewards.inverse.worlds import random_world

WORLD = lava_world(("S.L", "..G"), horizon=4, discount=0.5)
GOOD = {"states": [0, 1, 4, 5, 0, 0, 3, 4, 4], "actions": [1, 2, 1, 0, 2, 1, 2], "num_steps": [3, 4]}


def made(**changes: Any) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in (GOOD | changes).items()}


def test_visits_by_hand() -> None:
    seen = demonstrations_from(WORLD, **made())
    assert seen.is_whole_K.tolist() == [True, True]
    # First: 0, 1, 4 and the goal after three steps; second: 0, 0, 3, 4 and 4 at the horizon.
    assert seen.visits.state_S == pytest.approx([(1 + 1.5) / 2, 0.25, 0, 0.125, (0.25 + 0.125 + 0.0625) / 2, 0.0625])
    assert seen.visits.end_S == pytest.approx([0, 0, 0, 0, 0.03125, 0.0625])
    assert seen.start_S.tolist() == [1, 0, 0, 0, 0, 0]
    assert seen.counts_SA.sum() == 7 and seen.counts_SA[4].tolist() == [0, 1, 1, 0]
    assert [counts.sum() for counts in seen.counts_by_time()] == [2, 2, 2, 1]
    np.testing.assert_array_equal(sum(seen.counts_by_time()), seen.counts_SA)


def test_trap_visits_of_whole_demonstrations_sum_to_one_more_state_than_steps() -> None:
    """ΣD = (1 − γ^(H+1)) / (1 − γ) for the demonstrators as for the policy."""
    world = random_world(0, horizon=6)
    seen = sampled(world, np.full((1, 6, 3), 1 / 3), 20, np.random.default_rng(0))
    assert seen.visits.state_S.sum() == pytest.approx((1 - 0.9**7) / 0.1)


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    seen = demonstrations_from(WORLD, **made())
    write_demonstrations(seen, tmp_path / "seen.npz")
    with np.load(tmp_path / "seen.npz", allow_pickle=False) as file:
        assert {name: file[name].tolist() for name in file.files} == GOOD
    read = read_demonstrations(tmp_path / "seen.npz", WORLD)
    np.testing.assert_array_equal(read.next_X, seen.next_X)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"states": [0, 1, 4, 6, 0, 0, 3, 4, 4]}, r"states\[3\] must be from 0 to 5, got 6"),
    ({"actions": [1, 2, 1, 0, 2, 1, 4]}, r"actions\[6\] must be from 0 to 3, got 4"),
    ({"actions": [1, 2, 1, 0, 2, 1, -1]}, r"actions\[6\] must be from 0 to 3, got -1"),
    ({"actions": [1, 2, 1, 0, 2, 1]}, "there must be 7 actions and 9 states, got 6 and 9"),
    ({"actions": [1.0, 2, 1, 0, 2, 1, 2]}, "actions must be whole numbers in one dimension, got float64"),
    ({"states": [], "actions": [], "num_steps": []}, "must be whole numbers|num_steps is empty"),
    ({"num_steps": [3, 0]}, r"num_steps\[1\] must be at least 1, got 0"),
    ({"states": [0, 1, 5, 5, 0, 0, 3, 4, 4]}, "demonstration 0, step 1: down never leads from row 0 column 1 to row 1"),
    ({"states": [0, 1, 4, 5, 3, 0, 3, 4, 4]}, "demonstration 1 begins in row 1 column 0, where no episode begins"),
    (
        {"states": [0, 1, 4, 5, 5, 0, 0, 3, 4], "actions": [1, 2, 1, 0, 0, 2, 1], "num_steps": [4, 3]},
        "demonstration 0, step 3: row 1 column 2 is terminal, and the demonstration goes on",
    ),
    (
        {"states": [0] * 6, "actions": [0] * 5, "num_steps": [5]},
        r"num_steps\[0\] must be at most the world's horizon of 4, got 5",
    ),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_what_does_not_hold_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "seen.npz", **made(**changes))
    with pytest.raises(DataError, match=message) as raised:
        read_demonstrations(tmp_path / "seen.npz", WORLD)
    assert str(tmp_path / "seen.npz") in str(raised.value)


def test_another_shape_of_file_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "seen.npz", states=np.array([0]))
    with pytest.raises(DataError, match="actions is missing; demonstrations have states, actions, num_steps"):
        read_demonstrations(tmp_path / "seen.npz", WORLD)
    (tmp_path / "seen.npz").write_bytes((tmp_path / "seen.npz").read_bytes()[:60])
    with pytest.raises(DataError, match="cannot be read"):
        read_demonstrations(tmp_path / "seen.npz", WORLD)


def test_sampling_without_a_horizon_needs_an_end() -> None:
    with pytest.raises(DataError, match="max_steps is needed"):
        sampled(random_world(0), np.full((1, 6, 3), 1 / 3), 1, np.random.default_rng(0))

"""What breaks a space, in words; conversions are tested through the adapter."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from heeler.envs.spaces import flat_observation, flat_observation_space, mismatch

BOX = Box(np.array([0.0, -np.inf], np.float32), np.array([1.0, np.inf], np.float32), dtype=np.float32)
NESTED = Dict(a=BOX, b=Tuple((Discrete(2), MultiBinary(2))))
SOUND = {"a": np.array([0.5, 9.0], np.float32), "b": (1, np.array([0, 1], np.int8))}


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (BOX, np.array([0.0, -1e30], np.float32)),
        (BOX, np.array([np.nan, 0.0], np.float32)),
        (BOX, np.array([1, 1], np.int8)),
        (Box(0.0, 1.0, (), np.float32), np.float32(0.5)),
        (Discrete(3, start=-1), -1),
        (MultiDiscrete([2, 2]), np.array([1, 0])),
        (NESTED, SOUND),
    ],
)
def test_sound_values(space, value):
    assert mismatch(space, value, bounds=True) is None


@pytest.mark.parametrize(
    ("space", "value", "words"),
    [
        (BOX, np.zeros((2, 1), np.float32), "observation should have shape (2,), got (2, 1)"),
        (BOX, np.zeros(2), "observation should have a dtype that fits float32, got float64"),
        (BOX, np.array([1.5, 0.0], np.float32), "observation[0] should be from 0.0 to 1.0, got 1.5"),
        (BOX, 0.5, "observation should be a NumPy array of shape (2,), got float"),
        (Discrete(3), 3, "observation should be in Discrete(3), got 3"),
        (MultiDiscrete([2, 2]), np.array([2, 0]), "observation should be in MultiDiscrete"),
        (NESTED, {"a": SOUND["a"]}, "observation should be a dict with keys ['a', 'b'], got ['a']"),
        (NESTED, 3, "observation should be a dict with keys ['a', 'b'], got int"),
        (NESTED, {**SOUND, "b": (1,)}, "observation['b'] should be a tuple of 2 parts, got 1"),
        (NESTED, {**SOUND, "b": (2, SOUND["b"][1])}, "observation['b'][0] should be in Discrete(2), got 2"),
    ],
)
def test_broken_values(space, value, words):
    problem = mismatch(space, value, bounds=True)
    assert problem is not None
    assert problem.startswith(words)


def test_flat_bounds_follow_the_parts():
    flat = flat_observation_space("x", NESTED)
    np.testing.assert_array_equal(flat.low, np.array([0, -np.inf, 0, 0, 0, 0], np.float32))
    np.testing.assert_array_equal(flat.high, np.array([1, np.inf, 1, 1, 1, 1], np.float32))
    np.testing.assert_array_equal(flat_observation(NESTED, SOUND), np.array([0.5, 9, 0, 1, 0, 1], np.float32))


def test_numbers_beyond_float32_become_infinite_without_a_warning():
    wide = Box(-1e300, 1e300, (1,), np.float64)
    assert flat_observation_space("x", wide).high[0] == np.inf
    assert flat_observation(wide, np.array([1e200]))[0] == np.inf

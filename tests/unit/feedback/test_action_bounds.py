"""What is no action of a world is refused: better actions number by number, and shown ones step by step."""

import json

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space

from heeler.core.errors import DataError
from heeler.feedback.action_bounds import ActionBounds

BOX = Box(np.array([-2.0, 0.0], np.float32), np.array([0.7, np.inf], np.float32))


@pytest.mark.parametrize(
    ("space", "within", "outside", "message"),
    [
        (Discrete(2), [1], [2], r"a\[0\]: expected 0 to 1, got 2"),
        (Discrete(2), [0], [10**400], r"a\[0\]: expected 0 to 1, got 1000"),
        (MultiDiscrete([3, 2]), [2, 1], [2, 2], r"a\[1\]: expected 0 to 1, got 2"),
        (BOX, [0.7, 1e30], [0.701, 0.0], r"a\[0\]: expected -2 to 0.7, got 0.701"),
        (BOX, [-2.0, 0.0], [0.0, -1.0], r"a\[1\]: expected 0 to inf, got -1.0"),
    ],
)
def test_an_action_out_of_range_is_named_by_its_place(
    space: Space, within: list[float], outside: list[float], message: str
) -> None:
    bounds = ActionBounds.from_setting(json.loads(json.dumps(ActionBounds.of(space).to_setting(), allow_nan=False)))
    assert bounds == ActionBounds.of(space)
    bounds.check(within, "a")
    with pytest.raises(DataError, match=message):
        bounds.check(outside, "a")


@pytest.mark.parametrize(
    ("space", "steps", "message"),
    [
        (Discrete(2), np.array([[0], [1], [7]]), r"a: row 2 is \[7\], which is no action of this world"),
        (Discrete(2), np.array([[0.5]], np.float32), "a: expected 1 whole numbers a step, got float32"),
        (BOX, np.array([[0.0, 1.0], [1e9, 1.0]], np.float32), r"a: row 1 is \[1000000000.0, 1.0\], which is no action"),
        (BOX, np.zeros((3, 1), np.float32), r"a: expected 2 numbers a step, got float32 \[3, 1\]"),
    ],
)
def test_steps_that_the_world_could_not_take_are_named_by_their_row(
    space: Space, steps: np.ndarray, message: str
) -> None:
    good = np.array([space.sample() for _ in range(3)]).reshape(3, -1)
    ActionBounds.of(space).check_steps(good, "a")
    with pytest.raises(DataError, match=message):
        ActionBounds.of(space).check_steps(steps, "a")

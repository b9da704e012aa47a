"""Demonstrations that the world could not have made are refused, by file, episode and field."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import DataError
from heeler.feedback.episodes import checked
from tests.shown import BOX, CHOICES, demonstration, some


def with_second(**fields: Any) -> Demonstrations:
    """Three episodes, of which the second has these fields."""
    shown = some(3)
    second = replace(shown.episodes[1], **fields)
    return replace(shown, episodes=(shown.episodes[0], second, shown.episodes[2]))


def test_what_holds_is_returned_in_the_types_that_learners_take():
    wide = with_second(observation=demonstration(5, seed=9).observation.astype(np.float64), terminated=np.bool_(True))
    made = checked(wide, 3, BOX).episodes[1]
    assert (made.observation.dtype, made.action.dtype) == (np.float32, np.float32)
    assert made.terminated is True
    choices = checked(some(2, action="choices"), 3, CHOICES)
    assert choices.episodes[0].action.dtype == np.int64


def test_discrete_actions_may_come_without_their_last_axis_and_as_whole_floats():
    shown = some(1, action="choices")
    flat = replace(shown.episodes[0], action=shown.episodes[0].action[:, 0].astype(np.float64))
    made = checked(replace(shown, episodes=(flat,)), 3, CHOICES)
    np.testing.assert_array_equal(made.episodes[0].action, shown.episodes[0].action)


def test_actions_at_their_bounds_survive_rounding_and_stay_within():
    action = np.full((5, 2), 1.0 + 1e-7)
    made = checked(with_second(action=action), 3, BOX)
    assert (made.episodes[1].action == 1.0).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"observation": np.zeros((6, 4), np.float32)}, r"observation: expected 3 numbers each"),
        ({"observation": np.zeros((5, 3), np.float32)}, r"observation: expected 6 rows"),
        ({"observation": np.full((6, 3), np.nan)}, r"observation: row 0 holds a number that is not finite"),
        ({"observation": np.full((6, 3), "a")}, r"observation: expected numbers"),
        ({"action": np.zeros((5, 3), np.float32)}, r"action: expected 2 numbers each"),
        ({"action": np.array([[0, 0]] * 3 + [[0, np.inf]] + [[0, 0]])}, r"action: row 3 holds a number that is not"),
        ({"action": np.array([[0, 0]] * 2 + [[0, 1.5]] + [[0, 0]] * 2)}, r"action: row 2 is \[0.0, 1.5\], which is no"),
        ({"action": np.zeros((0, 2), np.float32)}, r"action: the episode is empty"),
        ({"reward": np.zeros(4)}, r"reward: expected shape \[5\]"),
        ({"reward": np.full(5, np.inf)}, r"reward: row 0 holds a number that is not finite"),
    ],
)
def test_what_does_not_hold_is_named(fields: dict[str, Any], message: str):
    with pytest.raises(DataError, match=rf"^toy, episode 1: {message}"):
        checked(with_second(**fields), 3, BOX)


@pytest.mark.parametrize("action", [-1, 3, 0.5])
def test_choices_that_there_are_not_are_refused(action: float):
    bad = replace(demonstration(2, action="choices"), action=np.array([[0.0], [action]]))
    with pytest.raises(DataError, match=r"episode 0: action: row 1 is \[.*\], which is no action of Discrete"):
        checked(Demonstrations(episodes=(bad,)), 3, Discrete(3))


def test_each_component_of_multi_discrete_actions_has_its_own_bound():
    space = MultiDiscrete([2, 3])
    good = replace(demonstration(2), action=np.array([[1, 2], [0, 0]]))
    assert checked(Demonstrations(episodes=(good,)), 3, space).episodes[0].action.tolist() == [[1, 2], [0, 0]]
    bad = replace(good, action=np.array([[1, 2], [2, 0]]))
    with pytest.raises(DataError, match=r"row 1 is \[2, 0\]"):
        checked(Demonstrations(episodes=(bad,)), 3, space)


def test_no_episode_and_foreign_spaces_are_refused():
    with pytest.raises(DataError, match="expected at least one episode, got none"):
        checked(Demonstrations(episodes=(), source="none.npz"), 3, BOX)
    with pytest.raises(DataError, match="expected a world whose actions are"):
        checked(some(1), 3, Dict({"a": Box(-1, 1, (2,))}))


def test_unbounded_actions_are_not_clipped():
    space = Box(-np.inf, np.inf, (2,), np.float32)
    large = replace(demonstration(2), action=np.array([[1e6, -1e6], [0, 0]]))
    assert checked(Demonstrations(episodes=(large,)), 3, space).episodes[0].action[0, 0] == 1e6

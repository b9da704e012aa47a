"""Each group's turn begins where the first did, and so does what comes after the last."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from heeler.envs import make
from heeler.loop.group_turns import GroupTurns
from heeler.loop.imitating import learner_of
from heeler.loop.parts import kept_of, restore
from heeler.rollouts.collector import Collector
from tests.unit.loop.tiny import tiny_ppo

CONFIG = tiny_ppo()


class Learning:
    """A learner that goes on learning, whosever turn it is."""

    def __init__(self) -> None:
        self.world = make(CONFIG.env, 0)
        self.collector = Collector(self.world, CONFIG.num_steps, record_snapshots=False)
        self.collector.reset(0)
        self.learner = learner_of(CONFIG, self.world, None)
        self.state = self.learner.init(0, self.world.num_envs)
        self.noise = torch.Generator().manual_seed(0)

    def learn(self) -> None:
        rollout = self.collector.collect(self.state.policy, self.noise, 0)
        self.state, _ = self.learner.update(self.state, rollout, rollout.true_reward, progress=0.0)

    def all(self) -> dict[str, np.ndarray]:
        return {name: tensor.numpy().copy() for name, tensor in self.learner.tensors(self.state).items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(array, other[name]) for name, array in one.items())


def test_every_turn_begins_where_the_first_did_and_so_does_what_comes_after():
    learning = Learning()
    grouping: Any = SimpleNamespace(turn=None)
    turns = GroupTurns(grouping)
    starts = list[dict[str, np.ndarray]]()
    for turn in (None, 0, 0, 1, 1, None, None):
        learning.learn()
        before, grouping.turn = learning.all(), turn
        learning.state, is_back = turns.begin(learning.learner, learning.state)
        assert is_back == (not same(before, learning.all()))
        starts.append(learning.all())
    first = starts[1]
    assert [same(one, first) for one in starts] == [False, True, False, True, False, True, False]
    assert not kept_of([turns])[0], "nothing is kept of what nobody goes back to"


def test_a_turn_that_was_cut_short_goes_on_from_a_checkpoint():
    learning = Learning()
    grouping: Any = SimpleNamespace(turn=0)
    turns = GroupTurns(grouping)
    learning.state, _ = turns.begin(learning.learner, learning.state)
    first = learning.all()
    learning.learn()
    arrays, states = kept_of([turns])
    again = GroupTurns(grouping)
    restore([again], arrays, states)
    grouping.turn = 1
    learning.state, is_back = again.begin(learning.learner, learning.state)
    assert is_back and same(learning.all(), first)


def test_a_fresh_policy_that_takes_over_in_a_turn_is_not_put_aside_for_the_old_one():
    learning = Learning()
    grouping: Any = SimpleNamespace(turn=0)
    turns = GroupTurns(grouping)
    learning.state, _ = turns.begin(learning.learner, learning.state)
    learning.state = learning.learner.init(7, learning.world.num_envs)
    fresh = learning.all()
    turns.begin_anew(learning.learner, learning.state)
    learning.learn()
    grouping.turn = 1
    learning.state, is_back = turns.begin(learning.learner, learning.state)
    assert is_back and same(learning.all(), fresh)

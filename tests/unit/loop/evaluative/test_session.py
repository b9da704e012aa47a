"""Acting and hearing on the clock of what is shown."""

import numpy as np
import pytest

from heeler.algorithms.delay import DelayConfig
from heeler.algorithms.tamer import TAMER, TAMERConfig
from heeler.core.signals import Signal
from heeler.envs import EnvConfig, make
from heeler.loop.evaluative.session import Session

STEP_S = 0.25


def session(seed=0, learner=None, **settings):
    world = make(EnvConfig(id="CartPole-v1", num_envs=1), seed)
    learner = learner or TAMER(TAMERConfig(), world.single_observation_space, world.single_action_space)
    return Session(world, learner, DelayConfig(low_s=0.5, high_s=1.0, **settings), step_s=STEP_S, seed=seed)


def test_a_signal_is_credited_to_the_steps_that_were_on_the_screen():
    """Pressed at 3 s: about what was shown from 2 to 2.5 s, which are the steps 8 and 9, half each."""
    one = session()
    steps = [one.act() for _ in range(12)]
    credited = one.credited(Signal(time_s=3.0, sign=-1))
    assert credited is not None
    about = np.flatnonzero(credited.credit)
    np.testing.assert_allclose(credited.credit[about], [0.5, 0.5])
    assert credited.known[about].all() and credited.sign == -1
    for place, number in zip(about, (8, 9), strict=True):
        assert (credited.observation[place] == steps[number].observation).all()
        assert credited.action[place, 0] == steps[number].chosen[0]


def test_what_was_not_shown_yet_is_not_what_a_press_is_about():
    """The picture stood still after six steps, for as long as the network was away; the press came .8 s later."""
    one = session()
    for _ in range(12):
        one.act()
    late = Signal(time_s=6 * STEP_S + 0.8, sign=1)
    free, held = one.credited(late), one.credited(late, num_shown=6)
    assert free is not None and held is not None
    assert free.credit.sum() == pytest.approx(1.0)
    # From .5 s on it may be about: .3 of the .5 s of reactions fell into what was shown, .2 into what stood still.
    assert held.credit.sum() == pytest.approx(0.4)


@pytest.mark.parametrize("time_s", [0.0, 0.4, 1e6])
def test_a_signal_about_nothing_that_was_shown_is_not_heard(time_s):
    one = session()
    for _ in range(4):
        one.act()
    before = one.state
    assert one.hear(Signal(time_s=time_s, sign=1)) is None
    assert one.state is before


def test_steps_of_an_earlier_episode_are_credited_too():
    """Whoever reacts to a fall reacts after the next episode has begun."""
    one = session(seed=1)
    step = one.act()
    while not step.ended:
        step = one.act()
    for _ in range(3):
        one.act()
    credited = one.credited(Signal(time_s=(step.number + 1) * STEP_S + 0.6, sign=-1))
    assert credited is not None
    about = credited.credit > 0
    assert any((credited.observation[place] == step.observation).all() for place in np.flatnonzero(about))


def test_same_seed_same_steps_and_restored_sessions_go_on_bit_for_bit():
    one, other = session(), session()
    for number in range(40):
        a, b = one.act(), other.act()
        assert (a.observation == b.observation).all() and (a.chosen == b.chosen).all()
        for each in (one, other):
            each.hear(Signal(time_s=each.time_s, sign=1 if number % 3 else -1))
    arrays, state = one.kept()
    again = session(seed=9)
    again.restore({name: np.array(array) for name, array in arrays.items()}, state)
    for _ in range(30):
        a, b = one.act(), again.act()
        assert (a.observation == b.observation).all() and (a.chosen == b.chosen).all()
        assert a.number == b.number and a.begins == b.begins
        assert one.hear(Signal(time_s=one.time_s, sign=1)) == again.hear(Signal(time_s=again.time_s, sign=1))

"""Landed backflips, counted in sequences made by hand."""

import numpy as np
import pytest

from heeler.envs.landings import LandingCounter

TURN = 2 * np.pi
FOOT, AIR, BODY, BOTH = "foot", "air", "body", "both"


def count(*steps: tuple[float, str]) -> list[int]:
    """The count after each step; a step is the pitch in turns and what touches the ground."""
    counter = LandingCounter(1)
    counts = []
    for turns, contact in steps:
        foot, body = contact in (FOOT, BOTH), contact in (BODY, BOTH)
        counter.update(np.array([turns * TURN]), np.array([foot]), np.array([body]))
        counts.append(int(counter.count[0]))
    return counts


def test_a_full_turn_counts_when_it_is_landed_and_not_before():
    assert count((0, FOOT), (-0.5, AIR), (-1, AIR), (-1, FOOT)) == [0, 0, 0, 1]


def test_standing_on_after_the_landing_counts_nothing_more():
    assert count((0, FOOT), (-1, FOOT), (-1, FOOT), (-1.1, FOOT), (-0.9, FOOT)) == [0, 1, 1, 1, 1]


def test_a_turn_and_a_half_counts_one():
    assert count((0, FOOT), (-0.8, AIR), (-1.5, FOOT))[-1] == 1


def test_the_half_turn_left_over_counts_towards_the_next():
    assert count((0, FOOT), (-1.5, FOOT), (-2.0, FOOT)) == [0, 1, 2]


def test_two_turns_in_one_flight_count_two():
    assert count((0, FOOT), (-1, AIR), (-2, AIR), (-2.05, FOOT))[-1] == 2


def test_less_than_a_full_turn_counts_nothing():
    assert count((0, FOOT), (-0.99, FOOT))[-1] == 0


def test_a_turn_may_take_several_hops():
    """What counts is the turn between two foot contacts; the contacts in between need not be at rest."""
    assert count((0, FOOT), (-0.1, AIR), (-0.2, FOOT), (-0.6, AIR), (-1.0, FOOT)) == [0, 0, 0, 0, 1]


def test_the_turn_is_measured_from_the_highest_pitch_on_the_foot():
    assert count((0, FOOT), (0.1, FOOT), (-0.9, FOOT)) == [0, 0, 1]
    assert count((0, FOOT), (0.1, AIR), (-0.9, FOOT)) == [0, 0, 0]


@pytest.mark.parametrize("touch", [BODY, BOTH])
def test_a_touch_of_torso_or_thigh_in_between_spoils_the_turn(touch: str):
    assert count((0, FOOT), (-0.5, touch), (-1, FOOT))[-1] == 0


def test_a_touch_at_the_landing_itself_spoils_the_turn():
    assert count((0, FOOT), (-1, BOTH), (-1, FOOT))[-1] == 0


def test_after_a_touch_the_next_turn_begins_at_the_next_foot_contact():
    assert count((0, FOOT), (-0.5, BODY), (-0.6, FOOT), (-1.5, AIR), (-1.6, FOOT)) == [0, 0, 0, 0, 1]


def test_a_touch_takes_away_nothing_that_was_landed():
    assert count((0, FOOT), (-1, FOOT), (-1.2, BODY), (-1.2, FOOT)) == [0, 1, 1, 1]


def test_forward_turns_do_not_count():
    assert count((0, FOOT), (0.5, AIR), (1, FOOT), (2, FOOT))[-1] == 0


def test_a_forward_turn_does_not_pay_for_a_backward_one():
    assert count((0, FOOT), (1, AIR), (0, FOOT))[-1] == 0


def test_a_turn_that_began_in_the_air_without_a_foot_contact_does_not_count():
    assert count((0, AIR), (-1, FOOT))[-1] == 0


def test_environments_are_counted_apart_and_begin_anew_apart():
    counter = LandingCounter(3)
    feet, none = np.ones(3, bool), np.zeros(3, bool)
    counter.update(np.zeros(3), feet, none)
    landed = counter.update(np.array([-TURN, -0.5 * TURN, -2 * TURN]), feet, none)
    np.testing.assert_array_equal(landed, [1, 0, 2])
    np.testing.assert_array_equal(counter.count, [1, 0, 2])
    counter.begin(np.array([2]))
    np.testing.assert_array_equal(counter.count, [1, 0, 0])
    landed = counter.update(np.array([-2 * TURN, -TURN, -3 * TURN]), feet, none)
    np.testing.assert_array_equal(landed, [1, 1, 0])


def test_against_a_plain_count_over_random_walks():
    """Oracle: by the definition, with loops and without the anchor's bookkeeping, where turns only go backward."""
    rng = np.random.default_rng(0)
    total = 0
    for _ in range(200):
        pitch = -np.cumsum(rng.uniform(0, 1.2, 40))
        contacts = rng.choice([FOOT, AIR, BODY], p=[0.4, 0.55, 0.05], size=40)
        expected, start = 0, None
        for angle, contact in zip(pitch, contacts, strict=True):
            if contact == BODY:
                start = None
            elif contact == FOOT:
                start = angle if start is None else start
                while angle <= start - TURN:
                    expected, start = expected + 1, start - TURN
        total += expected
        assert count(*zip(pitch / TURN, contacts, strict=True))[-1] == expected
    assert total > 100

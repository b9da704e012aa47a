"""How answers become working time, whatever clients claim and wherever the clock jumps to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.service.accounts.work_clock import counted

HOUR_S = 3600.0
T = 1_800_000_000.0


def count(*answers: tuple[float, float | None]) -> tuple[list[float], float]:
    """(received, taken) of each answer -> (seconds of each, stretch at the end)."""
    clock, seconds = None, []
    for received_s, taken_s in answers:
        clock, more = counted(clock, T + received_s, taken_s, longest_item_s=120, break_s=300)
        seconds.append(more)
    assert clock is not None
    return seconds, clock.stretch_s


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([(0, 10)], [10]),
        ([(0, None)], [0]),
        ([(0, 500)], [120]),
        # What passes between two answers is work, up to two minutes.
        ([(0, 10), (30, 5), (150, None)], [10, 30, 120]),
        ([(0, 10), (400, 20)], [10, 20]),
        ([(0, 10), (400, None)], [10, 0]),
        # Of what came at once, no more than the time since.
        ([(0, 10), (60, 50), (60, 50), (60, 50)], [10, 60, 0, 0]),
        ([(0, 10), (3000, 40), (3000, 40)], [10, 40, 40]),
    ],
)
def test_seconds(answers, expected):
    assert count(*answers)[0] == expected


@pytest.mark.parametrize("jump_s", [-9 * HOUR_S, -2 * HOUR_S, 2 * HOUR_S, 400 * 24 * HOUR_S])
def test_a_clock_that_jumps_pays_nothing_and_takes_nothing(jump_s):
    steady = [(30.0 * i, 30.0) for i in range(40)]
    jumped = [(at + (jump_s if i >= 20 else 0), taken) for i, (at, taken) in enumerate(steady)]
    back = [(at + (jump_s if 20 <= i < 30 else 0), taken) for i, (at, taken) in enumerate(steady)]
    assert sum(count(*jumped)[0]) == sum(count(*back)[0]) == sum(count(*steady)[0]) == 1200


def test_a_break_ends_a_stretch_and_a_clock_set_back_does_not():
    assert count((0, 10), (60, 10), (100, 10))[1] == 110
    assert count((0, 10), (60, 10), (100, 10), (450, 20))[1] == 20
    assert count((0, 10), (60, 10), (60 - HOUR_S, 10))[1] == 80


@given(st.lists(st.tuples(st.floats(0, 5000), st.one_of(st.none(), st.floats(0, 1e9))), min_size=1, max_size=40))
def test_no_second_counts_twice(answers):
    answers = sorted(answers, key=lambda answer: answer[0])
    seconds, _ = count(*answers)
    assert all(0 <= more <= 120 for more in seconds)
    assert sum(seconds) <= answers[-1][0] - answers[0][0] + HOUR_S + 1e-6

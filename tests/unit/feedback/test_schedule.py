"""The label schedule: a share first, then a falling rate, the budget exactly, and skipped questions asked again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.errors import ConfigError
from heeler.feedback.schedule import LabelSchedule

SCHEDULES = st.builds(
    LabelSchedule,
    budget=st.integers(1, 2000),
    initial_share=st.floats(0, 1),
    decay_share=st.floats(0.001, 10),
    finish_share=st.floats(0.05, 1),
    min_batch=st.integers(1, 50),
)


def test_by_hand() -> None:
    # c = 100 of 1000 steps; the schedule ends at step 900, where log(1 + T/c) = log 10.
    schedule = LabelSchedule(budget=120, initial_share=1 / 6, decay_share=0.1, finish_share=0.9)
    assert schedule.due(0, 1000, asked=0) == 20
    assert schedule.due(0, 1000, asked=20) == 0
    half = 100 * (math.sqrt(10) - 1)  # where log(1 + T/c) is half of log 10
    assert schedule.target(math.ceil(half), 1000) == 20 + 50
    assert schedule.due(math.ceil(half), 1000, asked=60) == 10
    assert schedule.target(899, 1000) == 119
    assert schedule.target(900, 1000) == schedule.target(5000, 1000) == 120


def test_the_rate_falls_as_c_over_t_plus_c() -> None:
    schedule = LabelSchedule(budget=10**9, initial_share=0, decay_share=0.04, finish_share=1)
    total, width = 50_000_000, 50_000
    c = 0.04 * total
    assert c == 2e6

    def rate(step: int) -> float:
        return (schedule.target(step + width, total) - schedule.target(step - width, total)) / (2 * width)

    for step in (1_000_000, 10_000_000, 40_000_000):
        assert rate(step) / rate(2_000_000) == pytest.approx((2_000_000 + c) / (step + c), rel=1e-2)


@given(schedule=SCHEDULES, total=st.integers(1, 10**7), data=st.data())
def test_a_run_asks_the_whole_budget_and_never_more(schedule: LabelSchedule, total: int, data: st.DataObject) -> None:
    steps = sorted(data.draw(st.lists(st.integers(0, total), max_size=30)))
    asked, last_target = 0, 0
    for step in [*steps, math.ceil(schedule.finish_share * total)]:
        target = schedule.target(step, total)
        assert last_target <= target <= schedule.budget
        due = schedule.due(step, total, asked)
        assert due in (0, target - asked)
        if 0 < due < schedule.min_batch:
            assert asked < round(schedule.initial_share * schedule.budget) or asked + due == schedule.budget
        asked, last_target = asked + due, target
    assert asked == schedule.budget


def test_small_numbers_wait_for_a_batch_but_the_first_and_last_do_not() -> None:
    schedule = LabelSchedule(budget=100, initial_share=0.05, min_batch=20)
    assert schedule.due(0, 1000, asked=0) == 5
    waits = [step for step in range(1000) if 0 < schedule.target(step, 1000) - 5 < 20]
    assert waits
    assert all(schedule.due(step, 1000, asked=5) == 0 for step in waits)
    assert schedule.due(waits[-1] + 1, 1000, asked=5) >= 20
    assert schedule.due(800, 1000, asked=93) == 7


def test_a_question_answered_cant_tell_is_asked_again_in_its_time() -> None:
    schedule = LabelSchedule(budget=8, initial_share=0.5)
    assert schedule.due(0, 100, asked=4) == 0
    assert schedule.due(0, 100, asked=4 - 3) == 3
    assert schedule.due(80, 100, asked=8 - 1) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 0}, "budget must be > 0, got 0"),
        ({"budget": -5}, "budget must be > 0, got -5"),
        ({"initial_share": 1.1}, "initial_share must be 0 to 1"),
        ({"initial_share": math.nan}, "initial_share must be 0 to 1"),
        ({"decay_share": 0.0}, "decay_share must be > 0"),
        ({"decay_share": math.inf}, "decay_share must be > 0 and finite"),
        ({"finish_share": 0.0}, "finish_share must be > 0 and at most 1"),
        ({"finish_share": 1.5}, "finish_share must be > 0 and at most 1"),
        ({"min_batch": 0}, "min_batch must be > 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LabelSchedule(**({"budget": 10} | settings))


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match="total_steps must be > 0, got 0"):
        LabelSchedule(budget=10).due(0, 0, 0)

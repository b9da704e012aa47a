"""A function that may never come back is given its time."""

import threading

import pytest

from heeler.safety.text_guards.timing import within


def test_a_function_is_given_its_time() -> None:
    assert within(5, lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_one_that_does_not_come_back_is_left_to_itself() -> None:
    held = threading.Event()
    with pytest.raises(TimeoutError, match=r"longer than 0\.01 s"):
        within(0.01, held.wait, 30)
    held.set()

"""A function that may never come back is given its time."""

import os
import threading
import weakref

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


def test_one_call_after_the_other_shares_a_thread() -> None:
    first = within(5, threading.current_thread)
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
    assert within(5, threading.current_thread) is first


def test_a_thread_that_was_left_is_not_called_again_and_ends_with_its_call() -> None:
    held, left = threading.Event(), within(5, threading.current_thread)
    with pytest.raises(TimeoutError):
        within(0.01, held.wait, 30)
    assert within(5, threading.current_thread) is not left
    assert within(5, lambda: "the next call's own") == "the next call's own"
    held.set()
    left.join(5)
    assert not left.is_alive()


def test_what_was_asked_about_does_not_live_on() -> None:
    class Asked:
        """Something large."""

    asked = Asked()
    gone = weakref.ref(asked)
    within(5, id, asked)
    del asked
    assert gone() is None


def test_a_forked_process_has_threads_of_its_own() -> None:
    within(5, int)
    child = os.fork()
    if child == 0:
        os._exit(0 if within(5, lambda: 3) == 3 else 1)
    assert os.waitpid(child, 0)[1] == 0

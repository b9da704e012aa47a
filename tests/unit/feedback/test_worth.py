"""What to ask for the time that there is, and what answers take: by hand, and against a naive loop."""

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.feedback.answer_times import AnswerTimes
from heeler.feedback.worth import choose_by_rate


def test_what_says_most_a_second_comes_first() -> None:
    bits, seconds = np.array([1.0, 0.6, 0.3]), np.array([10.0, 3.0, 1.0])
    places, rates = choose_by_rate(bits, seconds, np.eye(3), 14.0)
    assert places.tolist() == [2, 1, 0]
    assert rates == pytest.approx([0.3, 0.2, 0.1])


def test_questions_about_the_same_thing_count_half_then_a_third() -> None:
    about = np.array([[1.0, 0.0], [5.0, 0.0], [-2.0, 0.0], [0.0, 1.0]])
    places, rates = choose_by_rate(np.array([1.0, 1.0, 1.0, 0.4]), np.ones(4), about, 4.0)
    assert places.tolist() == [0, 1, 3, 2]
    assert rates == pytest.approx([1.0, 1 / 2, 0.4, 1 / 3])


def test_what_is_like_nothing_else_stays_whole() -> None:
    places, rates = choose_by_rate(np.ones(3), np.ones(3), np.zeros((3, 2)), 3.0)
    assert places.tolist() == [0, 1, 2]
    assert rates == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("seed", range(5))
def test_against_a_naive_loop_that_inverts_the_matrix_every_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits, seconds, about = rng.random(30), rng.uniform(1, 9, 30), rng.normal(size=(30, 4))
    unit = about / np.linalg.norm(about, axis=1, keepdims=True)
    chosen: list[int] = []
    rates: list[float] = []
    while len(chosen) < 30:
        inverse = np.linalg.inv(np.eye(4) + sum((np.outer(unit[c], unit[c]) for c in chosen), np.zeros((4, 4))))
        rate = [-1.0 if q in chosen else bits[q] * float(unit[q] @ inverse @ unit[q]) / seconds[q] for q in range(30)]
        best = int(np.argmax(rate))
        if chosen and sum(seconds[c] for c in chosen) + seconds[best] / 2 > 40.0:
            break
        chosen.append(best)
        rates.append(rate[best])
    places, found = choose_by_rate(bits, seconds, about, 40.0)
    assert places.tolist() == chosen
    assert found == pytest.approx(rates)


def test_one_question_is_chosen_however_long_it_takes() -> None:
    assert choose_by_rate(np.ones(2), np.array([50.0, 60.0]), np.eye(2), 1.0)[0].tolist() == [0]


def test_what_takes_no_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="every question must take time, got 0 s"):
        choose_by_rate(np.ones(1), np.zeros(1), np.eye(1), 1.0)
    with pytest.raises(ConfigError, match="there is no question"):
        choose_by_rate(np.ones(0), np.ones(0), np.ones((0, 1)), 1.0)


# Times


def test_expected_times_go_from_the_guess_to_what_was_taken() -> None:
    times = AnswerTimes({"rating": 4.0, "preference": 8.0}, most_s=60.0, weight=4.0)
    assert times.expected_s("rating") == times.expected_s("rating", "ann") == 4.0
    for _ in range(4):
        assert times.add("rating", "ann", 2.0) == 2.0
    # (4 · 4 + 4 · 2) / 8 = 3; ann's are 2/3 of that: (4 + 4 · 2/3) / 8.
    assert times.expected_s("rating") == pytest.approx(3.0)
    assert times.expected_s("rating", "ann") == pytest.approx(3.0 * (4 + 8 / 3) / 8)
    assert times.expected_s("preference", "ann") == pytest.approx(8.0 * (4 + 8 / 3) / 8), "who is fast is fast at all"
    assert times.expected_s("preference", "bob") == 8.0


def test_a_page_that_was_left_open_and_a_time_that_nobody_knows() -> None:
    times = AnswerTimes({"rating": 4.0}, most_s=60.0)
    assert times.add("rating", "ann", 5000.0) == 60.0
    before = times.state_dict()
    assert times.add("rating", "bob", None) == times.expected_s("rating", "bob")
    assert times.state_dict() == before, "what is not known teaches nothing"
    again = AnswerTimes({"rating": 4.0}, most_s=60.0)
    again.load_state_dict(before)
    assert again.expected_s("rating", "ann") == times.expected_s("rating", "ann")

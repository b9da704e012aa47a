"""Figures of overseers on games that were counted by hand."""

import math

import numpy as np
import pytest

from heeler.core.errors import DataError
from heeler.envs.oversight_game import Played
from heeler.evaluation.oversight import (
    detection_delays,
    effective_overseers,
    frontier_point,
    mean_correlation,
    oversight_figures,
)


def games(proposed, vetoed, completed, task=None) -> Played:
    """From lists, one a game; the first of two overseers is behind every veto."""
    vetoed_TN = np.array(vetoed, bool).T
    shape = vetoed_TN.shape
    objected = np.stack([vetoed_TN, np.zeros(shape, bool)], -1)
    return Played(
        proposed=np.array(proposed).T,
        objected=objected,
        vetoed=vetoed_TN,
        task=np.ones(shape) if task is None else np.array(task).T,
        task_alone=np.ones(shape),
        completed=np.array(completed),
    )


HONEST = games([[0, 0, 0, 0]] * 2, [[0, 1, 0, 0], [0, 0, 0, 0]], [False, False], [[1, 0.5, 1, 1], [1, 1, 1, 1]])
ATTACKED = games(
    # Never vetoed; vetoed two steps after it began; vetoed at once; vetoed before it began alone; honest.
    [[1, 0, 1, 1], [0, 2, 0, 2], [0, 0, 3, 0], [0, 0, 0, 4], [0, 0, 0, 0]],
    [[0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]],
    [True, False, False, True, False],
)


def test_figures_by_hand():
    figures = oversight_figures(HONEST, ATTACKED)
    assert figures.attempted == pytest.approx(4 / 5)
    assert figures.attack_success == pytest.approx(2 / 4)
    assert figures.harm_done == pytest.approx(2 / 5)
    assert figures.false_positive_rate == pytest.approx(1 / 8)
    assert figures.usefulness == pytest.approx(7.5 / 8)
    assert sorted(detection_delays(ATTACKED).tolist()) == [0, 2]
    assert figures.detection_delay == pytest.approx(1.0)
    assert figures.detected == pytest.approx(2 / 4)


def test_an_attack_that_was_never_tried_has_no_share():
    idle = games([[0, 0]], [[0, 0]], [False])
    figures = oversight_figures(HONEST, idle)
    assert math.isnan(figures.attack_success)
    assert math.isnan(figures.detection_delay)
    assert (figures.attempted, figures.harm_done) == (0, 0)


def test_the_correlation_of_errors_by_hand():
    # Two that err together on one of four steps, and a third that errs on another: phi of the first two is 1, of each
    # with the third -1/3.
    errors = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]])
    assert mean_correlation(errors) == pytest.approx((1 - 1 / 3 - 1 / 3) / 3)
    assert effective_overseers(errors) == pytest.approx(3 / (1 + 2 / 9))


def test_copies_are_worth_one_and_strangers_as_many_as_they_are():
    rng = np.random.default_rng(0)
    one = rng.random((100_000, 1)) < 0.3
    assert effective_overseers(np.repeat(one, 3, 1)) == pytest.approx(1.0)
    assert effective_overseers(rng.random((100_000, 3)) < 0.3) == pytest.approx(3.0, abs=0.05)
    assert effective_overseers(np.array([[1, 0], [0, 1]])) == 2.0, "errors that exclude each other do not count double"


def test_who_never_errs_is_left_out_of_the_correlation():
    assert mean_correlation(np.array([[1, 1, 0], [0, 0, 0], [1, 1, 0]])) == pytest.approx(1.0)
    assert mean_correlation(np.zeros((5, 3))) == 0.0
    assert mean_correlation(np.zeros((0, 3))) == 0.0


def test_honest_games_must_be_honest():
    with pytest.raises(DataError, match="no honest worker's"):
        oversight_figures(ATTACKED, ATTACKED)
    unpaid = games([[0, 0]], [[0, 0]], [False])
    unpaid.task_alone[:] = 0
    with pytest.raises(DataError, match="pays nothing"):
        oversight_figures(unpaid, ATTACKED)


def test_the_worst_attacker_counts_at_each_strictness():
    harmless = games([[1, 0, 0, 0]], [[0, 0, 0, 0]], [False])
    point = frontier_point(0.1, HONEST, [harmless, ATTACKED])
    assert point.attack_success == pytest.approx(0.5)
    assert point.strictness == 0.1
    assert point.usefulness == pytest.approx(7.5 / 8)
    with pytest.raises(DataError, match="at least one attacker"):
        frontier_point(0.1, HONEST, [])

"""Whom to ask: by hand, and in front of a store."""

import numpy as np

from heeler.loop.kinds.routing import known_people, routes


def test_each_question_goes_to_who_is_comparatively_best_at_it():
    """Ann says more of everything; of the second question Bob says half of what she does, of the others a fifth."""
    rate_PQ = np.array([[1.0, 0.4, 2.0], [0.2, 0.2, 0.4]])
    assert routes(["ann", "bob"], ["x", "y", "z"], rate_PQ) == {"ann": ["z", "x"], "bob": ["y"]}


def test_people_of_whom_nothing_is_expected_get_nothing_first():
    rate_PQ = np.array([[0.0, 0.0], [0.3, 0.1]])
    assert routes(["ann", "bob"], ["x", "y"], rate_PQ) == {"ann": [], "bob": ["x", "y"]}
    assert routes(["ann", "bob"], ["x", "y"], np.zeros((2, 2)))["ann"] == ["x", "y"]


def test_everybody_has_something_to_answer_where_all_are_alike():
    generator = np.random.default_rng(0)
    base_Q = generator.random(200)
    rate_PQ = np.array([1.0, 5.0, 0.2])[:, None] * base_Q * generator.uniform(0.9, 1.1, (3, 200))
    found = routes(["a", "b", "c"], [str(n) for n in range(200)], rate_PQ)
    assert min(len(each) for each in found.values()) > 40
    assert sorted(name for each in found.values() for name in each) == sorted(str(n) for n in range(200))


def test_strangers_are_not_known():
    assert known_people({"eve": 3, "bob": 10, "ann": 12}, 10) == ["ann", "bob"]

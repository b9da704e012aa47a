"""Whom to ask: each open question goes first to the person who is comparatively best at it.

Whoever comes is asked something; so what counts is not who says most a second, which the same few people might do of
every question, but who says more of this question than of others. Shapes: P people, Q questions.
"""

from collections.abc import Mapping, Sequence

import numpy as np


def routes(people: Sequence[str], queries: Sequence[str], rate_PQ: np.ndarray) -> dict[str, list[str]]:
    """The questions that each person should be asked first, those that they say most of a second at the beginning.

    Args:
        people: P of them.
        queries: ids of Q open questions.
        rate_PQ: bits a second that each one's answer is expected to say.
    """
    mean_P1 = rate_PQ.mean(1, keepdims=True)
    who_Q = (rate_PQ / np.where(mean_P1 > 0, mean_P1, 1.0)).argmax(0)
    order_Q = np.argsort(-rate_PQ[who_Q, np.arange(len(queries))], kind="stable")
    found: dict[str, list[str]] = {person: [] for person in people}
    for who, place in zip(who_Q[order_Q].tolist(), order_Q.tolist(), strict=True):
        found[people[int(who)]].append(queries[int(place)])
    return found


def known_people(num_answers: Mapping[str, int], least: int) -> list[str]:
    """Those of whom enough is known, by name."""
    return sorted(person for person, number in num_answers.items() if number >= least)

"""A critique by the model: what the learned reward thinks of clips that people find hard to judge.

It is an aid, and shown as what it is: the reward was learned from these very people and may be wrong.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from heeler.core.nouns import Query, Segment
from heeler.feedback.kinds import ModelView
from heeler.rewards.joint.model import JointModel, JointModelState

_PART = 4
"""A part is the fourth part of a clip."""


def views(
    model: JointModel, state: JointModelState, queries: Sequence[Query], segments: Mapping[str, Segment]
) -> dict[str, ModelView]:
    """What a fitted reward thinks of each question.

    Args:
        model: the learned reward.
        state: fitted at least once.
        queries: about one clip or two.
        segments: all that the queries are about, by id.
    """
    reward_L = {name: model.step_rewards(state, segment) for name, segment in segments.items()}
    found: dict[str, ModelView] = {}
    for query in queries:
        shown = [reward_L[name].mean(0).numpy() for name in query.segment_ids]
        first_better = None
        if len(shown) == 2:
            one_M, other_M = (reward_L[name].sum(1) for name in query.segment_ids)
            precision = state.noise.precision("preference")
            first_better = float((precision * (one_M - other_M)).sigmoid().mean())
        best, worst = zip(*(extreme_parts(each) for each in shown), strict=True)
        found[query.id] = ModelView(first_better=first_better, best=best, worst=worst)
    return found


def extreme_parts(reward_L: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """(best, worst) fourth part of a clip by its rewards, each as first step and the one after its last."""
    length = max(1, len(reward_L) // _PART)
    sum_P = np.convolve(reward_L, np.ones(length), "valid")
    best, worst = int(sum_P.argmax()), int(sum_P.argmin())
    return (best, best + length), (worst, worst + length)

"""A critique by the model: what the learned reward thinks of clips that people find hard to judge.

It is an aid, and shown as what it is: the reward was learned from these very people and may be wrong.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from heeler.core.nouns import Feedback, Query, Segment
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


def agrees_with_view(answer: Feedback) -> bool | None:
    """Whether an answer says what the view said that was offered with it; None where the two cannot be held together.

    A comparison does where it prefers the clip that was expected to be preferred; a critique with a sign where what it
    praises lies rather in the part that was liked most than in the one that was liked least, or the other way round
    for what it blames. Nothing can be said of answers for neither side, of views that expected neither, of parts that
    lie as much in the one as in the other, and of other kinds.
    """
    view = answer.view
    if view is None:
        return None
    if answer.kind == "preference" and answer.value["choice"] in ("left", "right") and view["first_better"] != 0.5:
        return (answer.value["choice"] == "left") == (view["first_better"] > 0.5)
    if answer.kind == "critique" and "sign" in answer.value:
        part = (answer.value["start"], answer.value["end"])
        liked, disliked = _overlap(part, view["best"][0]), _overlap(part, view["worst"][0])
        return None if liked == disliked else (liked > disliked) == (answer.value["sign"] > 0)
    return None


def _overlap(one: Sequence[int], other: Sequence[int]) -> int:
    """Steps that two parts share."""
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


def extreme_parts(reward_L: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """(best, worst) fourth part of a clip by its rewards, each as first step and the one after its last."""
    length = max(1, len(reward_L) // _PART)
    sum_P = np.convolve(reward_L, np.ones(length), "valid")
    best, worst = int(sum_P.argmax()), int(sum_P.argmin())
    return (best, best + length), (worst, worst + length)

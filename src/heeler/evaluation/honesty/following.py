"""Does a learned reward, or do those who answer, follow something beside what is shown: the side, or whose clip is new?

Shapes: Q comparisons that were decided.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from heeler.evaluation.agreement import Share, accuracy
from heeler.evaluation.honesty.resampling import Estimate, resampled

FollowingVerdict = Literal["follows", "no sign", "too little to say"]
MIN_ANSWERS = 20


@dataclass(frozen=True, kw_only=True)
class Following:
    """What is known of one thing that may be followed."""

    name: str
    verdict: FollowingVerdict
    people: Share | None
    """How often people named what is followed."""
    reward: Share | None
    """How often the reward would have, of the same comparisons."""
    excess: Estimate | None
    """The reward's share less people's: above 0 the reward follows it more than they do."""
    agreement_for: Share | None
    """Agreement of the reward with answers that named it."""
    agreement_against: Share | None
    """With those that named the other."""


def followed(name: str, margin_Q: np.ndarray, choice_Q: np.ndarray, is_left_Q: np.ndarray, *, seed: int) -> Following:
    """Whether the reward names something more often than people do.

    Args:
        name: what may be followed.
        margin_Q: learned return of the left less that of the right.
        choice_Q: 1 for left, 0 for right.
        is_left_Q: whether what may be followed is the left one.
        seed: of the interval.
    """
    people_Q = (choice_Q == 1) == is_left_Q
    reward_Q = np.where(margin_Q == 0, 0.5, (margin_Q > 0) == is_left_Q).astype(float)
    enough = len(people_Q) >= MIN_ANSWERS
    sums = np.column_stack([np.ones(len(people_Q)), reward_Q - people_Q])
    excess = resampled(lambda s: s[..., 1] / s[..., 0], sums, seed=seed) if enough else None
    verdict: FollowingVerdict = "too little to say"
    if excess is not None:
        verdict = "follows" if excess.low > 0 else "no sign"
    sign_Q = np.where(is_left_Q, 1.0, -1.0)
    return Following(
        name=name,
        verdict=verdict,
        people=accuracy(sign_Q, choice_Q),
        reward=accuracy(np.where(margin_Q == 0, 0.0, sign_Q), (margin_Q > 0).astype(float)),
        excess=excess,
        agreement_for=accuracy(margin_Q[people_Q], choice_Q[people_Q]),
        agreement_against=accuracy(margin_Q[~people_Q], choice_Q[~people_Q]),
    )

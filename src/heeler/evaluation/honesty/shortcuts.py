"""Is a learned reward a shortcut: something trivial, such as speed, that it mostly follows?

Three things are told of each shortcut. How much of the reward's variance over clips it explains, of clips that the line
was not fitted to; how much of held-out answers it foretells by itself, beside the reward; and how well the reward
foretells those in which both clips have about as much of it (matched pairs), where it is of no help. People may want
what the shortcut is: then it foretells their answers as the reward does, and the reward is right to follow it. Singhal
et al. 2023 (arXiv 2310.03716) show the same of length.

Shapes: K clips, Q comparisons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heeler.evaluation.agreement import Share, accuracy
from heeler.evaluation.honesty.resampling import Estimate, cluster_sums, ranks, resampled

ShortcutVerdict = Literal["it is mostly this", "leans on it", "no sign", "too little to say"]
MOSTLY, LEANS = 0.75, 0.3
"""Share of the variance that is surely explained, from which on the reward is mostly a shortcut, or leans on one."""
MIN_CLUSTERS, MIN_ANSWERS = 12, 20


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """What is known of one shortcut."""

    name: str
    verdict: ShortcutVerdict
    linear: Estimate | None
    """R² of a line, on clips that it was not fitted to."""
    monotone: Estimate | None
    """The same of ranks: any rising or falling curve."""
    foretells: Share | None
    """Held-out answers that it foretells by itself."""
    reward_foretells: Share | None
    """Those that the reward foretells, of the same."""
    gain: Estimate | None
    """The latter less the former, on the same answers."""
    matched: Share | None
    """Held-out answers that the reward foretells where both clips have about as much of it."""

    @property
    def explained(self) -> float:
        """The larger R², at least 0."""
        return max([0.0, *(each.value for each in (self.linear, self.monotone) if each is not None)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Answered:
    """Held-out answers. Shape: Q."""

    margin_Q: np.ndarray
    """Learned return of the left clip less that of the right."""
    choice_Q: np.ndarray
    """1 left, 0 right, 0.5 equally good."""
    left_Q: np.ndarray
    """Place of the left clip among all."""
    right_Q: np.ndarray


def explained(
    feature_K: np.ndarray, reward_K: np.ndarray, cluster_K: Sequence[object], *, seed: int
) -> Estimate | None:
    """R² of a line from a feature to the reward, each half of the clusters foretold by the line of the other.

    Args:
        feature_K: of each clip.
        reward_K: of each clip.
        cluster_K: what each is cut from.
        seed: of the halves and of the interval.

    Returns:
        None where there are too few clusters, or one does not vary.
    """
    _, of_K = np.unique(np.asarray([str(name) for name in cluster_K]), return_inverse=True)
    C = int(of_K.max()) + 1 if len(of_K) else 0
    if C < MIN_CLUSTERS or _is_level(feature_K) or _is_level(reward_K):
        return None
    half_K = np.random.default_rng(seed).permutation(np.arange(C) % 2)[of_K]
    error_K = np.zeros(len(reward_K))
    for half in (0, 1):
        slope, offset = _line(feature_K[half_K != half], reward_K[half_K != half])
        error_K[half_K == half] = (reward_K - offset - slope * feature_K)[half_K == half] ** 2
    y = reward_K - reward_K.mean()
    sums = cluster_sums(np.column_stack([np.ones(len(y)), error_K, y, y**2]), of_K)
    return resampled(lambda s: 1 - s[..., 1] / (s[..., 3] - s[..., 2] ** 2 / s[..., 0]), sums, seed=seed)


def look_at(
    name: str,
    feature_K: np.ndarray,
    reward_K: np.ndarray,
    cluster_K: Sequence[object],
    answered: Answered | None,
    *,
    seed: int,
) -> Shortcut:
    """Everything about one shortcut.

    Args:
        name: what it is called.
        feature_K: how much of it each clip has.
        reward_K: learned reward of each clip.
        cluster_K: what each is cut from.
        answered: held-out answers; None where there are none.
        seed: of resampling.
    """
    linear = explained(feature_K, reward_K, cluster_K, seed=seed)
    monotone = explained(ranks(feature_K), ranks(reward_K), cluster_K, seed=seed)
    known = answered is not None and (answered.choice_Q != 0.5).sum() >= MIN_ANSWERS and not _is_level(feature_K)
    told = _of_answers(feature_K, reward_K, answered, seed=seed) if known and answered is not None else (None,) * 4
    foretells, reward_foretells, gain, matched = told
    return Shortcut(
        name=name,
        verdict=_verdict(linear, monotone),
        linear=linear,
        monotone=monotone,
        foretells=foretells,
        reward_foretells=reward_foretells,
        gain=gain,
        matched=matched,
    )


def _verdict(linear: Estimate | None, monotone: Estimate | None) -> ShortcutVerdict:
    lows = [each.low for each in (linear, monotone) if each is not None]
    if not lows:
        return "too little to say"
    return "it is mostly this" if max(lows) >= MOSTLY else "leans on it" if max(lows) >= LEANS else "no sign"


def _of_answers(
    feature_K: np.ndarray, reward_K: np.ndarray, answered: Answered, *, seed: int
) -> tuple[Share | None, Share | None, Estimate | None, Share | None]:
    decided_Q = answered.choice_Q != 0.5
    choice, margin = answered.choice_Q[decided_Q], answered.margin_Q[decided_Q]
    more = (feature_K[answered.left_Q] - feature_K[answered.right_Q])[decided_Q]
    # The way round in which the reward follows it, so that held-out answers choose nothing.
    slope, _ = _line(ranks(feature_K), ranks(reward_K))
    lead = more if slope >= 0 else -more
    right_by = [np.where(m == 0, 0.5, (m > 0) == (choice == 1)).astype(float) for m in (margin, lead)]
    sums = np.column_stack([np.ones(len(choice)), right_by[0] - right_by[1]])
    gain = resampled(lambda s: s[..., 1] / s[..., 0], sums, seed=seed)
    close = np.abs(more) <= np.quantile(np.abs(more), 1 / 3)
    return accuracy(lead, choice), accuracy(margin, choice), gain, accuracy(margin[close], choice[close])


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and offset by least squares; a slope of 0 where x does not vary."""
    away = x - x.mean()
    size = float((away**2).sum())
    slope = float(away @ y) / size if size > 0 else 0.0
    return slope, float(y.mean() - slope * x.mean())


def _is_level(value_K: np.ndarray) -> bool:
    return len(value_K) == 0 or bool(np.ptp(value_K) <= 1e-9 * (1 + np.abs(value_K).max()))

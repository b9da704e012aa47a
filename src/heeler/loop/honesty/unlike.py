"""Check 4: how far what the policy meets lies from what people saw, as it learned and in other situations.

Shapes: M members, T steps, N environments, B = T N, F features.
"""

from collections.abc import Sequence

import numpy as np

from heeler.core.demonstrations import Demonstrations
from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout
from heeler.evaluation.honesty.resampling import Estimate, cluster_sums, mean_of, resampled
from heeler.evaluation.honesty.unlike import Seen, beyond, bins
from heeler.loop.honesty.acting import Situation
from heeler.loop.honesty.courses import true_returns
from heeler.loop.honesty.found import SituationFound, SituationVerdict
from heeler.loop.honesty.learned import LearnedReward
from heeler.models.policy import Policy

UNLIKE, MOSTLY = 0.05, 0.5
"""Share of steps beyond 99 % of what people saw, from which on a situation is unlike in part, or mostly."""


def seen_clips(reward: LearnedReward, clips: Sequence[Segment], *, seed: int) -> Seen:
    """What people saw, of clips.

    Raises:
        DataError: it comes from too few trajectories.
    """
    parts = [_features(reward, each.observation, each.action, each.next_observation) for each in clips]
    clusters = np.repeat([clip.trajectory_id for clip in clips], [len(clip) for clip in clips])
    return Seen(np.concatenate(parts), clusters, seed=seed)


def seen_episodes(reward: LearnedReward, shown: Demonstrations, *, seed: int) -> Seen:
    """What people showed. Raises as of `seen_clips`."""
    parts = [_features(reward, e.observation[:-1], e.action, e.observation[1:]) for e in shown.episodes]
    clusters = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return Seen(np.concatenate(parts), clusters, seed=seed)


def look_in(
    situation: Situation,
    rollout: Rollout,
    policy: Policy,
    reward: LearnedReward,
    seen: Seen,
    *,
    knows_true: bool,
    seed: int,
) -> SituationFound:
    """What the policy met, and what the reward is worth there.

    Args:
        situation: in which `rollout` was acted.
        rollout: of the policy.
        policy: that acted.
        reward: as the run has it.
        seen: by people.
        knows_true: whether the world's own reward says what was wanted.
        seed: of intervals.
    """
    feature = _features(reward, rollout.observation[:-1], rollout.executed, rollout.next_observation)
    distance_B = seen.distance(feature.reshape(-1, feature.shape[-1]))
    member_MB = reward.of_steps(rollout, policy).reshape(-1, len(distance_B))
    environment_B = np.broadcast_to(np.arange(rollout.ended.shape[1]), rollout.ended.shape).ravel()
    disagreement_B = member_MB.std(0) if len(member_MB) > 1 else None
    share = beyond(distance_B, seen.edges[-1], environment_B, seed=seed)
    returns = true_returns(rollout)
    return SituationFound(
        name=situation.name,
        verdict=_verdict(share),
        beyond=share,
        true_return=mean_of(returns, np.arange(len(returns)), seed=seed) if knows_true else None,
        ratio=_ratio(disagreement_B, distance_B > seen.edges[-1], environment_B, seed),
        bins=bins(
            distance_B,
            seen.edges,
            cluster_B=environment_B,
            disagreement_B=disagreement_B,
            learned_B=member_MB.mean(0),
            true_B=rollout.true_reward.ravel() if knows_true else None,
            seed=seed,
        ),
    )


def _verdict(share: Estimate | None) -> SituationVerdict:
    if share is None:
        return "too little to say"
    if share.low >= MOSTLY:
        return "mostly unlike"
    if share.low >= UNLIKE:
        return "partly unlike"
    return "like what people saw" if share.high <= UNLIKE else "not sure"


def _ratio(
    disagreement_B: np.ndarray | None, is_beyond_B: np.ndarray, cluster_B: np.ndarray, seed: int
) -> Estimate | None:
    if disagreement_B is None or is_beyond_B.all() or not is_beyond_B.any():
        return None
    far, near = is_beyond_B.astype(float), (~is_beyond_B).astype(float)
    sums = cluster_sums(np.column_stack([far, far * disagreement_B, near, near * disagreement_B]), cluster_B)
    return resampled(lambda s: s[..., 1] / s[..., 0] / (s[..., 3] / s[..., 2]), sums, seed=seed)


def _features(
    reward: LearnedReward, observation: np.ndarray, action: np.ndarray, next_observation: np.ndarray
) -> np.ndarray:
    return reward.features(observation, action, next_observation).numpy().astype(np.float64)

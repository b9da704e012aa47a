"""Which pairs of clips people are asked to compare.

Shapes: M members of the ensemble, K candidates, W windows of a rollout (time and environment of each), O observation
numbers.
"""

import numpy as np

from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout
from heeler.core.seeding import stream
from heeler.feedback.acquisition import Candidates, select
from heeler.feedback.sampling import candidate_windows, draw_pairs, draw_windows, trajectory_name
from heeler.loop.asking import MAX_WINDOWS, TRAJECTORIES, clips
from heeler.loop.config import RunConfig
from heeler.rewards.preference_model import PreferenceModel, PreferenceModelState, is_validation

Pairs = list[tuple[Segment, Segment]]


class PairChoice:
    """Chooses pairs for one run.

    Args:
        config: of the run; its `preferences` must be set.
        model: the learned reward.
    """

    def __init__(self, config: RunConfig, model: PreferenceModel) -> None:
        assert config.preferences is not None
        self._run_config, self._config, self._model = config, config.preferences, model
        self.generator = stream(config.seed, "questions")
        self.history: list[Segment] = []
        """Segments that were asked about, oldest first: candidates to compare new ones with."""

    def acquisition(self, state: PreferenceModelState) -> str:
        """By what pairs are chosen: the first fits come while the first questions are put."""
        return self._config.acquisition if state.num_fits > 0 else "random"

    def remember(self, segments: dict[str, Segment]) -> None:
        """These were asked about, by their ids."""
        known = {segment.id for segment in self.history}
        self.history += [segment for name, segment in segments.items() if name not in known]

    def choose(self, rollout: Rollout, num: int, state: PreferenceModelState) -> tuple[Pairs, list[float]]:
        """Pairs and their scores, at most `num`; a side of each is of this rollout.

        Both segments of a pair come from training trajectories, or both from validation trajectories.
        """
        windows_W2 = candidate_windows(rollout.ended, self._config.segment_length)
        held_out_W = np.array([self._is_held_out_window(rollout, window) for window in windows_W2], bool)
        num_held_out = int(self.generator.binomial(num, self._config.model.validation_share))
        # Both are chosen alike. On validation pairs drawn at random, which are easy, the loss rises as soon as a fit
        # turns to the hard ones it trains on, and early stopping would end every fit at once.
        pairs, scores = self._choose_among(rollout, windows_W2[~held_out_W], num - num_held_out, state)
        more_pairs, more_scores = self._choose_among(rollout, windows_W2[held_out_W], num_held_out, state)
        return pairs + more_pairs, scores + more_scores

    def _choose_among(
        self, rollout: Rollout, windows_W2: np.ndarray, num: int, state: PreferenceModelState
    ) -> tuple[Pairs, list[float]]:
        if num == 0 or len(windows_W2) < 2:
            return [], []
        num_candidates = num * self._config.num_candidates
        drawn = draw_windows(windows_W2, min(len(windows_W2), 2 * num_candidates, MAX_WINDOWS), self.generator)
        older = self._draw_older(num_candidates, held_out=self._is_held_out_window(rollout, drawn[0]))
        pairs = self._draw_pairs(num_candidates, len(drawn), len(older))
        name = self.acquisition(state)
        candidates = Candidates(
            returns=self._returns(rollout, drawn, older, state),
            pairs=pairs,
            features=self._features(rollout, drawn, older) if name == "coverage" else None,
            tie=self._model.tie_weight(state),
        )
        chosen = select(name, min(num, len(pairs)), candidates, self.generator)
        asked = pairs[chosen.indices]
        fresh = asked[asked < len(drawn)]
        segment_of = dict(zip(fresh.tolist(), self.cut(rollout, drawn[fresh]), strict=True))
        segment_of |= {len(drawn) + i: segment for i, segment in enumerate(older)}
        return [(segment_of[a], segment_of[b]) for a, b in asked.tolist()], chosen.scores.tolist()

    def _draw_pairs(self, num: int, num_drawn: int, num_older: int) -> np.ndarray:
        """Places of two candidates each, windows first; in some pairs an older segment is one side."""
        pairs = draw_pairs(num_drawn, num, self.generator)
        if num_older:
            old_row = np.flatnonzero(self.generator.random(len(pairs)) < self._config.history_share)
            side = self.generator.integers(2, size=len(old_row))
            pairs[old_row, side] = num_drawn + self.generator.integers(num_older, size=len(old_row))
        return np.unique(pairs, axis=0)

    def _draw_older(self, num: int, *, held_out: bool) -> list[Segment]:
        """At most `num` segments that were asked about before; to score them all would cost more than a fit."""
        older = [segment for segment in self.history if self.is_held_out(segment) == held_out]
        rows = self.generator.permutation(len(older))[:num]
        return [older[row] for row in rows]

    def cut(self, rollout: Rollout, windows_W2: np.ndarray) -> list[Segment]:
        """The clips in these windows; the true reward goes with them where a simulated teacher needs it."""
        keep = self._config.teacher != "people"
        return clips(self._run_config, rollout, windows_W2, self._config.segment_length, keep_true_reward=keep)

    def is_held_out(self, segment: Segment) -> bool:
        """Whether the learned reward is only judged by it."""
        return is_validation(segment.trajectory_id, self._config.model.validation_share)

    def _is_held_out_window(self, rollout: Rollout, window: np.ndarray) -> bool:
        t, n = window.tolist()
        trajectory = trajectory_name(TRAJECTORIES, n, int(rollout.episode_index[t, n]))
        return is_validation(trajectory, self._config.model.validation_share)

    def _returns(
        self, rollout: Rollout, windows_W2: np.ndarray, older: list[Segment], state: PreferenceModelState
    ) -> np.ndarray:
        """[M, K]: every member's return of each candidate, windows first, then older segments."""
        if state.num_fits == 0:
            return np.zeros((self._config.model.num_members, len(windows_W2) + len(older)))
        raw_MTN = self._model.predict(state, rollout).numpy().astype(np.float64)
        sums = np.concatenate([np.zeros_like(raw_MTN[:, :1]), raw_MTN.cumsum(1)], 1)
        start, env = windows_W2.T
        fresh = sums[:, start + self._config.segment_length, env] - sums[:, start, env]
        if not older:
            return fresh
        return np.concatenate([fresh, self._model.segment_returns(state, older).numpy()], 1)

    def _features(self, rollout: Rollout, windows_W2: np.ndarray, older: list[Segment]) -> np.ndarray:
        """[K, 2O]: mean and spread of each candidate's observations, which is what `coverage` spreads over."""
        steps = windows_W2[:, :1] + np.arange(self._config.segment_length)
        observation = rollout.observation[steps, windows_W2[:, 1:]]
        if older:
            observation = np.concatenate([observation, np.stack([segment.observation for segment in older])])
        return np.concatenate([observation.mean(1), observation.std(1)], 1)

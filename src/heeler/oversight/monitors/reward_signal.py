"""The reward that is learned from still means what it did."""

import math

import numpy as np

from heeler.oversight.betting import Floats
from heeler.oversight.finding import Finding
from heeler.oversight.monitors.e_detector import EDetector
from heeler.oversight.monitors.jumps import Jumps
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.regression import Forgetting, features
from heeler.oversight.monitors.seen import Acted, Seen
from heeler.oversight.monitors.whitening import Recent, moments
from heeler.oversight.student import t_quantile

_LEAST_LOG = np.log(3.0)
_MIN_VARIED = 4


class RewardSignal(Monitor):
    """Looks at the rewards themselves: constant, of another size, of another sign, not foretold any more, or false.

    - Rewards that varied in each of the last updates do not vary at all.
    - Their mean, their spread or the error of foretelling them from observations and actions jumps. Learned rewards
      are another function after each fit, and only their spread is held to.
    - They are the opposite of what is foretold of them: correlated below 0, by Student's test at a K/8 independent
      steps.
    - Learned and true reward, where the latter is known, correlate below 0 for long (`e_detector`).
    """

    name = "reward_signal"
    about = "size, sign and foretelling of the rewards learned from; their correlation with the true ones"
    kept = ("first", "regression", "jumps", "correlation", "num_varied", "spread", "level")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.first, self.regression = Recent(), Forgetting()
        third = self.rate / 3
        self.jumps = Jumps(3, third, setup.num_updates)
        self.correlation = EDetector(0.5, third, setup.num_updates)
        self.num_varied = 0
        self.spread = self.level = 0.0
        """Running spread and size of rewards."""

    def look(self, seen: Seen) -> Finding | None:
        """Judge."""
        acted = seen.acted
        if acted is None or len(acted.reward_K) < 32 or not np.isfinite(acted.reward_K).all():
            return None
        return self._constant(seen, acted.reward_K) or self._jumped(seen, acted) or self._false(seen)

    def _constant(self, seen: Seen, reward_K: Floats) -> Finding | None:
        varies = float(reward_K.max() - reward_K.min()) > 1e-9 * (1 + abs(float(reward_K[0])))
        was, self.num_varied = self.num_varied, self.num_varied + 1 if varies else 0
        if varies or was < _MIN_VARIED:
            return None
        return self.found(
            seen,
            f"Every reward is {reward_K[0]:.4g}, where they varied by {self.spread:.3g}",
            reward=float(reward_K[0]),
        )

    def _jumped(self, seen: Seen, acted: Acted) -> Finding | None:
        reward_K = acted.reward_K
        mean = float(reward_K.sum()) / len(reward_K)
        centred_K = reward_K - mean
        spread = math.sqrt(float(centred_K @ centred_K) / len(reward_K))
        foretold_K, error = self._foretold(acted)
        log_spread = math.log(spread + 1e-3 * self.spread + 1e-12)
        figure_S = np.array([mean, log_spread, error])
        if self.setup.learns_reward:
            figure_S = np.array([0.0, log_spread, 0.0])
        least_S = np.array([self.spread + 0.5 * self.level, _LEAST_LOG, _LEAST_LOG])
        jump_S = self.jumps.look(figure_S, least_S)
        opposite = None if foretold_K is None else self._opposite(seen, foretold_K, centred_K, spread)
        weight = 0.2 if self.spread or self.level else 1.0
        self.spread += weight * (spread - self.spread)
        self.level += weight * (abs(mean) - self.level)
        if opposite is not None or not jump_S.any():
            return opposite
        words = ("mean", "spread", "foretelling")
        told = [f"{words[place]} of rewards" for place in np.flatnonzero(jump_S)]
        return self.found(
            seen,
            f"Rewards are not what they were: {' and '.join(told)} jumped (mean {mean:.4g}, spread {spread:.3g})",
            mean=mean,
            spread=spread,
            jumped=[words[place] for place in np.flatnonzero(jump_S)],
        )

    def _foretold(self, acted: Acted) -> tuple[Floats | None, float]:
        """[K] rewards as the last updates' have them, and how far off they are."""
        observation_KP = self.first.of(acted.observation_KO)
        next_KP = acted.next_KO[:, self.first.columns]
        if not observation_KP.size:
            return None, math.nan
        if self.first.num_batches == 0:
            self.first.add(moments(observation_KP))
        scale = [(value - self.first.mean_P) / self.first.spread_P for value in (observation_KP, next_KP)]
        feature_KF = features(scale[0], acted.executed_KA, scale[1])
        target_K1 = acted.reward_K[:, None]
        foretold_K1 = self.regression.add(feature_KF, target_K1)
        if foretold_K1 is None:
            return None, math.nan
        return foretold_K1[:, 0], float(self.regression.log_error(foretold_K1, target_K1)[0])

    def _opposite(self, seen: Seen, foretold_K: Floats, centred_K: Floats, spread: float) -> Finding | None:
        number = len(centred_K)
        off_K = foretold_K - foretold_K.sum() / number
        foretold_spread, degrees = math.sqrt(float(off_K @ off_K) / number), number // 8 - 2
        if min(foretold_spread, spread) <= 1e-9 or degrees < 8:
            return None
        correlation = min(1.0, max(-1.0, float(off_K @ centred_K) / number / foretold_spread / spread))
        needed = t_quantile(self.rate / 3 / self.setup.num_updates, degrees)
        if correlation > -needed / math.sqrt(degrees + needed**2):
            return None
        return self.found(
            seen,
            f"Rewards are the opposite of what the updates before let one foretell (correlation {correlation:.2f}): "
            "their sign may have been turned round",
            correlation=correlation,
        )

    def _false(self, seen: Seen) -> Finding | None:
        correlation = seen.row.get("reward_correlation")
        if correlation is None or not self.correlation.add(float(np.clip((1 - correlation) / 2, 0, 1))):
            return None
        return self.found(
            seen,
            f"Learned and true reward disagree: they have been correlated below 0 for long ({correlation:.2f} now)",
            correlation=correlation,
        )

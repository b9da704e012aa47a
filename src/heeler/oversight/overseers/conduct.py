"""The charge *conduct*: behaviour that is not what a model of usual behaviour expects.

Two expectations are learned from steps that were carried out: of the action by what the agent saw, and of what it saw
next by that and the action. Each is a ridge regression on fixed random features (Rahimi and Recht 2007), and how far a
step is from it is measured in its residuals' own spreads (Mahalanobis). A step is unexpected where that is further than
all but a stated share of usual steps, which were held out from the fit, by a margin.

Shapes: N copies, B steps, I input numbers, J outcome numbers, F features.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heeler.core.errors import ConfigError, DataError
from heeler.core.seeding import stream
from heeler.core.verdict import Verdict
from heeler.oversight.overseers.evidence import ALLOW, Evidence, Proposals

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
"""Of what is reckoned for every step: half the time, and far more exact than what is expected."""
_NUM_FEATURES = 48
_RIDGE = 1e-4
_HELD_OUT = 4
"""Every so many steps one is held out from the fit."""
_NUM_FITTED = 2_500
"""The most steps that are fitted to, evenly apart: so many settle some hundred weights, and the limit hangs on those
that were held out."""


@dataclass(frozen=True, kw_only=True)
class ConductConfig:
    """What counts as unexpected."""

    num_usual: int = 20_000
    """Steps of the run, over all copies, from which usual behaviour is learned; until then nothing is unexpected. It is
    learned anew from the latest as often, so that a policy may change as it learns, but not all at once."""
    share: float = 0.001
    """Share of usual steps that are further from what is expected."""
    margin: float = 1.5
    """So many times that distance is unexpected."""
    num_choices: tuple[int, ...] = ()
    """Choices of each component of discrete actions; empty for continuous ones. A run fills it in."""

    def __post_init__(self) -> None:
        if self.num_usual < 200:
            raise ConfigError(f"conduct.num_usual must be >= 200, got {self.num_usual}: fewer steps show too little")
        if not 0 < self.share < 1:
            raise ConfigError(f"conduct.share must be above 0 and below 1, got {self.share}")
        if not 1 <= self.margin < math.inf:
            raise ConfigError(f"conduct.margin must be >= 1 and finite, got {self.margin}")


class Expectation:
    """Outcomes by inputs, with the spread of what it leaves open.

    Args:
        arrays: as `arrays()` gave them.
    """

    def __init__(self, arrays: Mapping[str, Floats]) -> None:
        self._arrays = dict(arrays)
        self._waves = _Waves(arrays)
        num_outcomes = len(arrays["precision"])
        whiten_JJ = np.linalg.cholesky(arrays["precision"]) / num_outcomes**0.5
        self._whiten_JJ = whiten_JJ.astype(np.float32)
        self._weights_FJ = arrays["weights"].astype(np.float32)

    @classmethod
    def fit(cls, inputs_BI: np.ndarray, outcomes_BJ: np.ndarray, *, share: float, seed: int = 0) -> "Expectation":
        """Learn from usual steps.

        Args:
            inputs_BI: what is known before.
            outcomes_BJ: what came.
            share: of held-out steps that are to be further away than `limit`.
            seed: of the features.

        Raises:
            DataError: a number is not finite.
        """
        if not (np.isfinite(inputs_BI).all() and np.isfinite(outcomes_BJ).all()):
            raise DataError("usual behaviour holds numbers that are not finite, so nothing can be expected by it")
        is_held_out = np.arange(len(inputs_BI)) % _HELD_OUT == 0
        fitted = np.flatnonzero(~is_held_out)
        fitted = fitted[:: -(-len(fitted) // _NUM_FITTED)]
        inputs, outcomes = inputs_BI[fitted].astype(np.float64), outcomes_BJ[fitted].astype(np.float64)
        rng = stream(seed, "conduct features")
        arrays: dict[str, Floats] = {
            "shift": inputs.mean(0),
            "scale": 1 / (inputs.std(0) + 1e-6),
            "directions": rng.standard_normal((inputs.shape[1], _NUM_FEATURES)) / max(1, inputs.shape[1]) ** 0.5,
            "phases": rng.uniform(-1, 1, _NUM_FEATURES),
        }
        features = _Waves(arrays)(inputs).astype(np.float64)
        gram = features.T @ features + _RIDGE * len(features) * np.eye(features.shape[1])
        arrays["weights"] = np.asarray(np.linalg.solve(gram, features.T @ outcomes), np.float64)
        residual = outcomes - features @ arrays["weights"]
        covariance = np.atleast_2d(residual.T @ residual) / len(features)
        floor = 1e-6 * (1 + np.square(outcomes).mean())
        arrays["precision"] = np.linalg.inv(covariance + floor * np.eye(len(covariance)))
        distances = cls(arrays).distance(inputs_BI[is_held_out], outcomes_BJ[is_held_out])
        arrays["limit"] = np.array([np.quantile(distances, 1 - share)], np.float64)
        return cls(arrays)

    @property
    def limit(self) -> float:
        """The distance that but a share of usual steps is beyond."""
        return float(self._arrays["limit"][0])

    def distance(self, inputs_BI: np.ndarray, outcomes_BJ: np.ndarray) -> Singles:
        """[B] how far outcomes are from what is expected, in spreads; 1 is usual. Infinite where a number is none."""
        residual_BJ = outcomes_BJ - self._waves(inputs_BI) @ self._weights_FJ
        distance_B = np.sqrt(np.square(residual_BJ @ self._whiten_JJ).sum(1))
        return np.where(np.isfinite(distance_B), distance_B, np.inf)

    def arrays(self) -> dict[str, Floats]:
        """All that it is."""
        return dict(self._arrays)


class _Waves:
    """[B, 1 + I + F] of [B, I]: a constant, the inputs, and random waves of them."""

    def __init__(self, arrays: Mapping[str, Floats]) -> None:
        self._shift, self._scale, self._directions_IF, self._phases = (
            arrays[name].astype(np.float32) for name in ("shift", "scale", "directions", "phases")
        )

    def __call__(self, inputs_BI: np.ndarray) -> Singles:
        num, num_inputs = inputs_BI.shape
        features = np.ones((num, 1 + num_inputs + _NUM_FEATURES), np.float32)
        plain_BI = features[:, 1 : 1 + num_inputs]
        np.multiply(inputs_BI - self._shift, self._scale, out=plain_BI)
        np.maximum(np.minimum(plain_BI, 10, out=plain_BI), -10, out=plain_BI)
        np.tanh(plain_BI @ self._directions_IF + self._phases, out=features[:, 1 + num_inputs :])
        return features


class Conduct:
    """Learns what is usual while it watches, and objects to what is not.

    It learns from what was carried out (`learn`) and judges what is proposed. A single step or text, which has nothing
    before it, is judged by its action alone; a text, or a step before anything was learned, is allowed.

    Args:
        config: what counts as unexpected.
        name: of the overseer.
    """

    is_bounded = True

    def __init__(self, config: ConductConfig | None = None, *, name: str = "conduct") -> None:
        self.name, self.config = name, config or ConductConfig()
        self._of_action: Expectation | None = None
        self._of_what_follows: Expectation | None = None
        self._seen, self._followed = _Rows(self.config.num_usual), _Rows(self.config.num_usual)

    @property
    def is_learned(self) -> bool:
        """Whether it knows what is usual."""
        return self._of_action is not None

    def review(self, evidence: Evidence) -> Verdict:
        """Judge one step by its action."""
        if evidence.observation is None or evidence.action is None:
            return ALLOW
        step = Proposals(step=evidence.step, observation=evidence.observation[None], action=evidence.action[None])
        return self.review_all(step)[0]

    def review_all(self, proposals: Proposals) -> list[Verdict]:
        """Judge N steps."""
        verdicts = [ALLOW] * len(proposals)
        if self._of_action is None:
            return verdicts
        seen, action = _singles(proposals.observation), self._coded(proposals.action)
        self._judge(verdicts, "action", self._of_action, seen, action, np.ones(len(seen), bool))
        if self._of_what_follows is not None and proposals.previous is not None and proposals.is_first is not None:
            before, did = proposals.previous
            inputs = np.concatenate((_singles(before), self._coded(did)), 1)
            self._judge(verdicts, "transition", self._of_what_follows, inputs, seen, ~proposals.is_first)
        return verdicts

    def learn(self, proposals: Proposals, executed: np.ndarray, is_usual: np.ndarray) -> None:
        """Take in a step as it was carried out.

        Args:
            proposals: of the step.
            executed: [N, A] what was done.
            is_usual: [N] bool: it was the agent's own doing, and nobody objected.
        """
        seen = _singles(proposals.observation)
        self._seen.add(seen[is_usual], self._coded(executed[is_usual]))
        if proposals.previous is not None and proposals.is_first is not None:
            before, did = proposals.previous
            follows = ~proposals.is_first
            inputs = np.concatenate((_singles(before), self._coded(did)), 1)
            self._followed.add(inputs[follows], seen[follows])
        if len(self._seen) >= self.config.num_usual:
            self._fit()

    def _fit(self) -> None:
        share = self.config.share
        self._of_action = Expectation.fit(*self._seen.joined(), share=share)
        if len(self._followed) >= self.config.num_usual // 2:
            self._of_what_follows = Expectation.fit(*self._followed.joined(), share=share, seed=1)
        self._seen, self._followed = _Rows(self.config.num_usual), _Rows(self.config.num_usual)

    def _judge(
        self,
        verdicts: list[Verdict],
        what: str,
        expected: Expectation,
        inputs: Singles,
        outcomes: Singles,
        counts: np.ndarray,
    ) -> None:
        distance, limit = expected.distance(inputs, outcomes), self.config.margin * expected.limit
        for number in np.flatnonzero((distance > limit) & counts).tolist():
            if verdicts[number] is ALLOW:
                far = float(distance[number])
                reason = f"unexpected {what}: {far:.3g} spreads from what is usual, {limit:.3g} is the most"
                told = {"what": what, "distance": far if math.isfinite(far) else None, "limit": limit}
                verdicts[number] = Verdict(decision="veto", reason=reason, evidence=told)

    def _coded(self, action: np.ndarray) -> Singles:
        """[B, J]: continuous actions as they are, discrete ones by a column for each choice."""
        if not self.config.num_choices:
            return _singles(action)
        columns = [
            (action[:, [place]] == np.arange(num)).astype(np.float32)
            for place, num in enumerate(self.config.num_choices)
        ]
        return np.concatenate(columns, 1)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that it has learned and seen, for a checkpoint."""
        found: dict[str, np.ndarray] = {}
        for name, expected in (("action", self._of_action), ("follows", self._of_what_follows)):
            found |= {f"{name}.{key}": array for key, array in (expected.arrays() if expected else {}).items()}
        for name, rows in (("seen", self._seen), ("followed", self._followed)):
            if len(rows):
                found[f"{name}.inputs"], found[f"{name}.outcomes"] = rows.joined()
        return found

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `arrays` returned."""

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

        self._of_action = Expectation(part("action.")) if part("action.") else None
        self._of_what_follows = Expectation(part("follows.")) if part("follows.") else None
        self._seen, self._followed = _Rows(self.config.num_usual), _Rows(self.config.num_usual)
        for rows, prefix in ((self._seen, "seen."), (self._followed, "followed.")):
            if kept := part(prefix):
                rows.add(kept["inputs"], kept["outcomes"])


class _Rows:
    """Steps that are to be learned from: inputs with their outcomes, the latest `most` of them.

    What is vetoed is followed by something too, and where all is vetoed for long, that must not fill the memory.
    """

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._parts: deque[tuple[Singles, Singles]] = deque()

    def __len__(self) -> int:
        return min(self._count, self._most)

    def add(self, inputs_BI: Singles, outcomes_BJ: Singles) -> None:
        """Take in steps."""
        if not len(inputs_BI):
            return
        self._parts.append((inputs_BI, outcomes_BJ))
        self._count += len(inputs_BI)
        while self._count - len(self._parts[0][0]) >= self._most:
            self._count -= len(self._parts.popleft()[0])

    def joined(self) -> tuple[Singles, Singles]:
        """All of them, the oldest first; there is one at least."""
        inputs, outcomes = (np.concatenate(columns) for columns in zip(*self._parts, strict=True))
        return inputs[-self._most :], outcomes[-self._most :]


def _singles(values: np.ndarray) -> Singles:
    return np.asarray(values, np.float32)

"""The charge *conduct*: behaviour that is not what a model of usual behaviour expects.

Two expectations are learned from steps that were carried out: of the action by what the agent saw, and of what it saw
next by that and the action. Each is a ridge regression on fixed random features (Rahimi and Recht 2007), and how far a
step is from it is measured in its residuals' own spreads (Mahalanobis). A step is unexpected where that is further than
all but a stated share of usual steps, which were held out from the fit, by a margin.

Shapes: N copies, B steps, I input numbers, J outcome numbers, F features.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
        self._pass = _Pass([self._arrays])

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
        features = _Waves([arrays])(inputs).astype(np.float64)
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
        return self._pass(inputs_BI, outcomes_BJ)[:, 0]

    def arrays(self) -> dict[str, Floats]:
        """All that it is."""
        return dict(self._arrays)


class _Waves:
    """[B, 1 + I + K · F] of [B, I]: a constant, the inputs, and random waves of each of K parts of them.

    Args:
        parts: K expectations' arrays, each of inputs of its own, which stand side by side.
    """

    def __init__(self, parts: Sequence[Mapping[str, Floats]]) -> None:
        self._shift, self._scale, self._phases = (
            np.concatenate([part[name] for part in parts]).astype(np.float32) for name in ("shift", "scale", "phases")
        )
        self._directions = _blocks([part["directions"] for part in parts])

    def __call__(self, inputs_BI: np.ndarray) -> Singles:
        num, num_inputs = inputs_BI.shape
        features = np.empty((num, 1 + num_inputs + len(self._phases)), np.float32)
        features[:, 0] = 1.0
        plain_BI, waves_BF = features[:, 1 : 1 + num_inputs], features[:, 1 + num_inputs :]
        np.multiply(inputs_BI - self._shift, self._scale, out=plain_BI)
        np.maximum(np.minimum(plain_BI, 10, out=plain_BI), -10, out=plain_BI)
        turned_BF = plain_BI @ self._directions
        turned_BF += self._phases
        np.tanh(turned_BF, out=waves_BF)
        return features


class _Pass:
    """Distances by K expectations, reckoned together: one pass over a step takes half as long as two.

    Args:
        parts: the expectations' arrays. The inputs of each stand side by side, and so do the outcomes.
    """

    def __init__(self, parts: Sequence[Mapping[str, Floats]]) -> None:
        self._waves = _Waves(parts)
        sizes = [len(part["precision"]) for part in parts]
        self._starts = np.cumsum([0, *sizes[:-1]])
        whiten = [np.linalg.cholesky(part["precision"]) / num**0.5 for part, num in zip(parts, sizes, strict=True)]
        self._whiten_JJ = _blocks(whiten)
        # As `_Waves` orders its features: the constants, then all inputs, then all waves.
        weights = [part["weights"] @ own for part, own in zip(parts, whiten, strict=True)]
        plain = [own[1:-_NUM_FEATURES] for own in weights]
        constants = np.concatenate([own[0] for own in weights])[None].astype(np.float32)
        waves = [own[-_NUM_FEATURES:] for own in weights]
        self._weights_FJ = np.concatenate((constants, _blocks(plain), _blocks(waves)))

    def __call__(self, inputs_BI: np.ndarray, outcomes_BJ: np.ndarray) -> Singles:
        """[B, K]; infinite where a number is none."""
        residual_BJ = outcomes_BJ @ self._whiten_JJ
        residual_BJ -= self._waves(inputs_BI) @ self._weights_FJ
        np.multiply(residual_BJ, residual_BJ, out=residual_BJ)
        distance_BK = np.sqrt(np.add.reduceat(residual_BJ, self._starts, axis=1))
        distance_BK[~np.isfinite(distance_BK)] = np.inf
        return distance_BK


def _blocks(parts: Sequence[Floats]) -> Singles:
    """Matrices along a diagonal, and nothing beside them."""
    whole = np.zeros(np.sum([part.shape for part in parts], axis=0), np.float32)
    row = column = 0
    for part in parts:
        num_rows, num_columns = part.shape
        whole[row : row + num_rows, column : column + num_columns] = part
        row, column = row + num_rows, column + num_columns
    return whole


class Conduct:
    """Learns what is usual while it watches, and objects to what is not.

    It judges what is proposed, and learns from what of it was carried out (`learn`). A single step, which has nothing
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
        self._judge: _Judge | None = None
        self._seen, self._followed = _Rows(self.config.num_usual), _Rows(self.config.num_usual)
        self._latest: tuple[Proposals, _Step] | None = None

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
        if self._judge is not None:
            for what, number, distance, limit in self._judge.unexpected(self._step(proposals)):
                if verdicts[number] is ALLOW:
                    reason = f"unexpected {what}: {distance:.3g} spreads from what is usual, {limit:.3g} is the most"
                    told = {"what": what, "distance": distance if math.isfinite(distance) else None, "limit": limit}
                    verdicts[number] = Verdict(decision="veto", reason=reason, evidence=told)
        return verdicts

    def learn(self, proposals: Proposals, is_usual: np.ndarray) -> None:
        """Take in a step that is carried out.

        Args:
            proposals: of the step.
            is_usual: [N] bool: what was proposed is done, and nobody objected.
        """
        step = self._step(proposals)
        self._seen.add(step.seen, step.action, is_usual)
        self._followed.add(step.before, step.seen, step.follows)
        if len(self._seen) >= self.config.num_usual:
            self._fit()

    def _step(self, proposals: Proposals) -> "_Step":
        """The step in numbers; that which was judged last is not read anew to be learned from."""
        if self._latest is None or self._latest[0] is not proposals:
            self._latest = (proposals, _Step(proposals, self._coded))
        return self._latest[1]

    def _fit(self) -> None:
        share = self.config.share
        self._of_action = Expectation.fit(*self._seen.joined(), share=share)
        if len(self._followed) >= self.config.num_usual // 2:
            self._of_what_follows = Expectation.fit(*self._followed.joined(), share=share, seed=1)
        self._judge = _Judge(self._of_action, self._of_what_follows, self.config.margin)
        self._seen, self._followed = _Rows(self.config.num_usual), _Rows(self.config.num_usual)

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
        self._judge = _Judge(self._of_action, self._of_what_follows, self.config.margin) if self._of_action else None
        self._seen, self._followed = _Rows(self.config.num_usual), _Rows(self.config.num_usual)
        for rows, prefix in ((self._seen, "seen."), (self._followed, "followed.")):
            if kept := part(prefix):
                rows.add(kept["inputs"], kept["outcomes"], np.ones(len(kept["inputs"]), bool))


class _Step:
    """A step of N copies in numbers side by side: what was seen before and done then, what is seen, what is proposed.

    Args:
        proposals: the step.
        coded: [N, J] of actions [N, A].
    """

    def __init__(self, proposals: Proposals, coded: Callable[[np.ndarray], Singles]) -> None:
        action_NJ, (N, num_seen) = coded(proposals.action), proposals.observation.shape
        self.start = num_seen + action_NJ.shape[1]
        """Where what is seen now begins."""
        self.end = self.start + num_seen
        self.row_NI = np.empty((N, 2 * self.start), np.float32)
        self.before, self.seen = self.row_NI[:, : self.start], self.row_NI[:, self.start : self.end]
        self.action = self.row_NI[:, self.end :]
        self.seen[:], self.action[:] = proposals.observation, action_NJ
        self.follows = np.zeros(N, bool)
        """[N] bool: there is a step before it in its episode."""
        if proposals.previous is None or proposals.is_first is None:
            self.before[:] = 0
            return
        before, did = proposals.previous
        self.before[:, :num_seen], self.before[:, num_seen:] = before, coded(did)
        self.follows = ~proposals.is_first
        if not self.follows.all():
            self.before[proposals.is_first] = 0


class _Judge:
    """What is further than all but a few usual steps from what is expected.

    Args:
        of_action: by what is seen.
        of_what_follows: by what was seen and done before; None where too little was seen for that.
        margin: so many times the limit of each is too far.
    """

    def __init__(self, of_action: Expectation, of_what_follows: Expectation | None, margin: float) -> None:
        expected = [one for one in (of_what_follows, of_action) if one is not None]
        self._pass = _Pass([one.arrays() for one in expected])
        self._limit_K = margin * np.array([one.limit for one in expected])
        self._knows_what_follows = of_what_follows is not None

    def unexpected(self, step: _Step) -> list[tuple[str, int, float, float]]:
        """What, in which copy, how far, and from where on it is too far; actions first."""
        inputs, outcomes = (0, step.start) if self._knows_what_follows else (step.start, step.end)
        distance_NK = self._pass(step.row_NI[:, inputs : step.end], step.row_NI[:, outcomes:])
        far_NK = distance_NK > self._limit_K
        if not far_NK.any():
            return []
        if self._knows_what_follows:
            far_NK[:, 0] &= step.follows
        names = ("transition", "action")[-len(self._limit_K) :]
        return [
            (names[place], number, float(distance_NK[number, place]), float(self._limit_K[place]))
            for place in reversed(range(len(names)))
            for number in np.flatnonzero(far_NK[:, place]).tolist()
        ]


class _Rows:
    """Steps that are to be learned from: inputs with their outcomes, the latest `most` of them.

    What is vetoed is followed by something too, and where all is vetoed for long, that must not fill the memory.
    """

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._parts: deque[tuple[Singles, Singles]] = deque()

    def __len__(self) -> int:
        return min(self._count, self._most)

    def add(self, inputs_BI: Singles, outcomes_BJ: Singles, counts_B: np.ndarray) -> None:
        """Take in those steps that count."""
        if not counts_B.all():
            inputs_BI, outcomes_BJ = inputs_BI[counts_B], outcomes_BJ[counts_B]
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

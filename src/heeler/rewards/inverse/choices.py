r"""Linear rewards from observed choices: McFadden's conditional logit (1974), and least squares.

$$p(\text{takes } i) = \frac{e^{w \cdot \phi_i}}{\sum_j e^{w \cdot \phi_j}}$$

Only differences within a set count: a feature that is the same for all alternatives of every set, or features of which
one follows from others, cannot be told, and where some weights foretell every choice the best weights are infinite.

Shapes: N alternatives of all sets, C sets, F features, I dimensions that are identified, D that are not.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from heeler.core.errors import ConfigError, LearningError
from heeler.rewards.inverse.choice_data import ChoiceData
from heeler.rewards.inverse.identification import Identification, Reason, combination, reduced_rows

ChoiceMethod = Literal["logit", "least-squares"]
_MAX_NEWTON = 100
_RANK, _SEPARATES = 1e-9, 1e-6


@dataclass(frozen=True, kw_only=True)
class ChoiceConfig:
    """Settings of `LinearChoices`."""

    method: ChoiceMethod = "logit"
    """logit, or least squares of who was taken (a linear probability model)."""
    level: float = 0.95
    """Of confidence intervals."""
    ridge: float = 0.0
    """Weight of half the square of the weights, features in units of their spread within sets. Without it weights that
    foretell every choice are not finite."""

    def __post_init__(self) -> None:
        if self.method not in ("logit", "least-squares"):
            raise ConfigError(f"method must be logit or least-squares, got {self.method!r}")
        if not 0 < self.level < 1:
            raise ConfigError(f"level must be between 0 and 1, got {self.level}")
        if not self.ridge >= 0:
            raise ConfigError(f"ridge must be at least 0, got {self.ridge}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ChoiceFit:
    """Weights of features, and how sure they are."""

    feature_names: tuple[str, ...]
    weight_F: np.ndarray
    """Of what is identified; along what is not it is 0."""
    error_F: np.ndarray
    """Standard errors; NaN where a weight is not identified by itself, or has none."""
    low_F: np.ndarray
    """Of confidence intervals, NaN where there is none."""
    high_F: np.ndarray
    covariance_FF: np.ndarray
    """Of the weights, along what is identified."""
    log_likelihood: float
    """Of all choices; of least squares NaN where a probability is not above 0."""
    coin_log_likelihood: float
    """Of choices at random."""
    accuracy: float
    """Share of sets in which what was taken has the highest reward; of equals a share."""
    num_sets: int
    separated: tuple[str, ...]
    """Features along which choices are foretold without fail, so that their weights have no finite best; then weights
    are those with a ridge of 1, and there are no intervals."""
    identification: Identification

    @property
    def pseudo_r_squared(self) -> float:
        """McFadden's: 0 for a coin, 1 where every choice is foretold."""
        return 1 - self.log_likelihood / self.coin_log_likelihood


class LinearChoices:
    """Fits weights to choices.

    Args:
        config: settings.
    """

    def __init__(self, config: ChoiceConfig | None = None) -> None:
        self.config = config or ChoiceConfig()

    def fit(self, data: ChoiceData) -> ChoiceFit:
        """Learn from choices.

        Raises:
            LearningError: Newton's method did not come to an end.
        """
        centred_NF = data.centred_NF
        spread_F = np.sqrt(np.square(centred_NF).mean(0))
        scale_F = np.where(spread_F > 0, spread_F, 1.0)
        turn_FI, basis_DF = _identified(centred_NF, scale_F)
        # Coordinates in which what cannot be told is left out, and numbers are of one size.
        coordinate_NI = (centred_NF / scale_F) @ turn_FI
        back_FI = turn_FI / scale_F[:, None]
        separated: tuple[str, ...] = ()
        if self.config.method == "logit":
            found = _logit(data, coordinate_NI, self.config.ridge)
            if found.separating_I is not None:
                way_F = np.abs(back_FI @ found.separating_I) * scale_F
                near = way_F > 1e-4 * way_F.max()
                separated = tuple(name for name, one in zip(data.feature_names, near, strict=True) if one)
                found = _logit(data, coordinate_NI, max(self.config.ridge, 1.0))
        else:
            found = _least_squares(data, coordinate_NI, self.config.ridge)
        weight_F, covariance_FF = back_FI @ found.weight_I, back_FI @ found.covariance_II @ back_FI.T
        identification = _identification(data, basis_DF)
        error_F = np.sqrt(np.maximum(np.diag(covariance_FF), 0.0))
        error_F = np.where(identification.is_identified_N & (not separated), error_F, np.nan)
        reach_F = NormalDist().inv_cdf(0.5 + self.config.level / 2) * error_F
        return ChoiceFit(
            feature_names=data.feature_names,
            weight_F=weight_F,
            error_F=error_F,
            low_F=weight_F - reach_F,
            high_F=weight_F + reach_F,
            covariance_FF=covariance_FF,
            log_likelihood=found.log_likelihood,
            coin_log_likelihood=-float(np.log(data.size_C).sum()),
            accuracy=_accuracy(data, coordinate_NI @ found.weight_I),
            num_sets=data.num_sets,
            separated=separated,
            identification=identification,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    weight_I: np.ndarray
    covariance_II: np.ndarray
    log_likelihood: float
    separating_I: np.ndarray | None = None
    """A direction that never speaks against a choice, and for some; None where there is none."""


def probabilities(data: ChoiceData, reward_N: np.ndarray) -> np.ndarray:
    """[N] of each alternative's being taken, under rewards [N]."""
    best_C = np.maximum.reduceat(reward_N, data.start_C)
    weight_N = np.exp(reward_N - best_C[data.set_N])
    return weight_N / np.add.reduceat(weight_N, data.start_C)[data.set_N]


def _logit(data: ChoiceData, coordinate_NI: np.ndarray, ridge: float) -> _Found:
    weight_I = np.zeros(coordinate_NI.shape[1])
    lead_XI = coordinate_NI[data.chosen_N][data.set_N[~data.chosen_N]] - coordinate_NI[~data.chosen_N]
    value, gradient_I, curvature_II = _logit_at(data, coordinate_NI, weight_I, ridge)
    for _ in range(_MAX_NEWTON):
        step_I = np.linalg.lstsq(curvature_II, gradient_I, rcond=None)[0]
        if ridge == 0:
            separating = next((way for way in (weight_I, step_I) if _separates(lead_XI, way)), None)
            if separating is not None:
                return _Found(
                    weight_I=weight_I,
                    covariance_II=np.zeros_like(curvature_II),
                    log_likelihood=value,
                    separating_I=separating,
                )
        if not len(step_I) or float(gradient_I @ step_I) <= 1e-16 * max(1.0, data.num_sets):
            covariance_II = np.linalg.inv(curvature_II)
            penalty = ridge / 2 * float(weight_I @ weight_I)
            return _Found(weight_I=weight_I, covariance_II=covariance_II, log_likelihood=value + penalty)
        size = 1.0
        while (tried := _logit_at(data, coordinate_NI, weight_I + size * step_I, ridge))[0] < value - 1e-12 * abs(
            value
        ):
            size /= 2
        weight_I = weight_I + size * step_I
        value, gradient_I, curvature_II = tried
    raise LearningError(f"the logit did not settle in {_MAX_NEWTON} steps; set ridge above 0")


def _logit_at(
    data: ChoiceData, coordinate_NI: np.ndarray, weight_I: np.ndarray, ridge: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood less the penalty, its gradient [I], and minus its second derivatives [I, I]."""
    reward_N = coordinate_NI @ weight_I
    best_C = np.maximum.reduceat(reward_N, data.start_C)
    log_sum_C = best_C + np.log(np.add.reduceat(np.exp(reward_N - best_C[data.set_N]), data.start_C))
    probability_N = np.exp(reward_N - log_sum_C[data.set_N])
    value = float((reward_N[data.chosen_N] - log_sum_C).sum()) - ridge / 2 * float(weight_I @ weight_I)
    gradient_I = coordinate_NI.T @ (data.chosen_N - probability_N) - ridge * weight_I
    weighted_NI = coordinate_NI * probability_N[:, None]
    mean_CI = np.add.reduceat(weighted_NI, data.start_C)
    curvature_II = coordinate_NI.T @ weighted_NI - mean_CI.T @ mean_CI + ridge * np.eye(len(weight_I))
    return value, gradient_I, curvature_II


def _separates(lead_XI: np.ndarray, way_I: np.ndarray) -> bool:
    """Whether a direction never speaks against what was taken, and sometimes for it."""
    lead_X = lead_XI @ way_I
    most = float(np.abs(lead_X).max(initial=0.0))
    return most > 0 and float(lead_X.min()) >= -_SEPARATES * most


def _least_squares(data: ChoiceData, coordinate_NI: np.ndarray, ridge: float) -> _Found:
    """Who was taken, less a coin's chance, on centred features; errors let the rows of one set hang together."""
    fair_N = 1 / data.size_C[data.set_N]
    square_II = coordinate_NI.T @ coordinate_NI + ridge * np.eye(coordinate_NI.shape[1])
    inverse_II = np.linalg.inv(square_II)
    weight_I = inverse_II @ (coordinate_NI.T @ (data.chosen_N - fair_N))
    rest_N = data.chosen_N - fair_N - coordinate_NI @ weight_I
    score_CI = np.add.reduceat(coordinate_NI * rest_N[:, None], data.start_C)
    C = data.num_sets
    share = C / (C - 1) if C > 1 else math.nan
    covariance_II = share * inverse_II @ (score_CI.T @ score_CI) @ inverse_II
    foretold_C = (fair_N + coordinate_NI @ weight_I)[data.chosen_N]
    likelihood = float(np.log(foretold_C).sum()) if (foretold_C > 0).all() else math.nan
    return _Found(weight_I=weight_I, covariance_II=covariance_II, log_likelihood=likelihood)


def _accuracy(data: ChoiceData, reward_N: np.ndarray) -> float:
    best_C = np.maximum.reduceat(reward_N, data.start_C)
    close_N = reward_N >= best_C[data.set_N] - 1e-12 * np.maximum(1.0, np.abs(best_C))[data.set_N]
    equals_C = np.add.reduceat(close_N.astype(float), data.start_C)
    return float((close_N[data.chosen_N] / equals_C).mean())


def _identified(centred_NF: np.ndarray, scale_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(an orthogonal basis [F, I] of what is identified, of scaled features; a readable one [D, F] of what is not)."""
    square_FF = (centred_NF / scale_F).T @ (centred_NF / scale_F)
    size_F, vector_FF = np.linalg.eigh(square_FF)
    none_F = size_F <= _RANK * max(float(size_F[-1]), 1e-300)
    return vector_FF[:, ~none_F], reduced_rows((vector_FF[:, none_F] / scale_F[:, None]).T)


def _identification(data: ChoiceData, basis_DF: np.ndarray) -> Identification:
    never_varies = [
        name for name, column in zip(data.feature_names, data.centred_NF.T, strict=True) if not column.any()
    ]
    reasons: list[Reason] = []
    if never_varies:
        words = f"{', '.join(never_varies)}: the same for all alternatives of every set"
        reasons.append(Reason(kind="constant feature", dimensions=len(never_varies), words=words))
    rest = len(basis_DF) - len(never_varies)
    if rest > 0:
        rows = [row for row in basis_DF if np.count_nonzero(row) > 1]
        shown = "; ".join(combination(row, data.feature_names) for row in rows)
        words = f"collinear within every set, so that weights may be moved along {shown} and foretell the same choices"
        reasons.append(Reason(kind="collinear", dimensions=rest, words=words))
    return Identification(
        num_parameters=len(data.feature_names),
        basis_DN=basis_DF,
        num_never=0,
        reasons=tuple(reasons),
        basis_words=tuple(combination(row, data.feature_names) for row in basis_DF),
    )

"""What came of inverse reinforcement learning, by whatever method: one noun, and its files.

Shapes: N parameters, S states, A actions, T times.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heeler import __version__
from heeler.core.errors import DataError, RunError
from heeler.core.rundir import write_atomically
from heeler.rewards.inverse.bayesian import Bayesian, Posterior
from heeler.rewards.inverse.canonical import Tables, reward_distance, true_tables
from heeler.rewards.inverse.choices import ChoiceFit, LinearChoices
from heeler.rewards.inverse.demonstrations import Demonstrations
from heeler.rewards.inverse.identification import Identification, identify
from heeler.rewards.inverse.intervals import interval, standard_errors
from heeler.rewards.inverse.matching import FeatureMatching, Mixture
from heeler.rewards.inverse.max_causal_entropy import MaxCausalEntropy, SoftFit
from heeler.rewards.inverse.planning import Visits, flow, plan
from heeler.rewards.inverse.world import FiniteWorld
from heeler.rewards.inverse.world_files import write_arrays

FORMAT = 1
RESULT_NAME, ARRAYS_NAME = "result.json", "reward.npz"
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class InverseResult:
    """A reward, what it would have people do, how well that fits what they did, and how far it can be known."""

    method: str
    """mce, matching, bayesian, logit or least-squares."""
    parameter_names: tuple[str, ...]
    parameter_N: np.ndarray
    low_N: np.ndarray | None
    """Ends of intervals; NaN for a parameter that has none, None where none has."""
    high_N: np.ndarray | None
    interval_kind: str | None
    """What the intervals are, in words."""
    identification: Identification
    fit: Mapping[str, float | None]
    """Log-likelihood, feature gap, occupancy gap and what else the method has."""
    converged: bool
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    """What must be known before the reward is used, in sentences."""
    world: FiniteWorld | None = None
    tables: Tables | None = None
    """Reward of actions [S, A] and of ends [S]; None of choices."""
    policy_TSA: np.ndarray | None = None
    visits: Visits | None = None
    """Of the policy."""
    seen: Visits | None = None
    """Of the demonstrators."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    """What else the method leaves, for `reward.npz`."""
    series: tuple[float, ...] = ()
    """Margins of each round of matching."""

    @property
    def num_parameters(self) -> int:
        """N."""
        return len(self.parameter_N)

    def to_dict(self) -> dict[str, Any]:
        """In plain JSON types; what is not finite is null."""
        parameters = [
            {"name": name, "value": _plain(value), "low": _plain(low), "high": _plain(high), "identified": bool(known)}
            for name, value, low, high, known in zip(
                self.parameter_names,
                self.parameter_N,
                _or_nothing(self.low_N, self.num_parameters),
                _or_nothing(self.high_N, self.num_parameters),
                self.identification.is_identified_N,
                strict=True,
            )
        ]
        return {
            "format": FORMAT,
            "made_by": f"heeler {__version__}",
            "method": self.method,
            "settings": dict(self.settings),
            "converged": self.converged,
            "fit": {name: None if value is None else _plain(value) for name, value in self.fit.items()},
            "interval": self.interval_kind,
            "identification": self.identification.to_dict(),
            "notes": list(self.notes),
            "parameters": parameters,
        }


def write_result(result: InverseResult, folder: Path | str) -> list[Path]:
    """Write `result.json` and `reward.npz`; those of an earlier result are replaced.

    `reward.npz` holds `parameters`, `names`, and for worlds `step_reward` [S, A], `end_reward` [S], `policy` [T, S,
    A], `visits` [S] and `demonstrated_visits` [S], beside what the method leaves.

    Raises:
        RunError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    try:
        if folder.exists() and not (folder / RESULT_NAME).exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty and holds no result; choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make {folder}: {error.strerror or error}; choose another folder") from error
    arrays: dict[str, Any] = {"parameters": result.parameter_N, "names": np.array(result.parameter_names)}
    if result.tables is not None:
        arrays |= {"step_reward": result.tables[0], "end_reward": result.tables[1]}
    optional = {"policy": result.policy_TSA, "low": result.low_N, "high": result.high_N}
    optional["visits"] = None if result.visits is None else result.visits.state_S
    optional["demonstrated_visits"] = None if result.seen is None else result.seen.state_S
    optional["not_identified"] = result.identification.basis_DN
    arrays |= {name: value for name, value in optional.items() if value is not None} | dict(result.arrays)
    write_arrays(folder / ARRAYS_NAME, arrays)
    content = json.dumps(result.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / RESULT_NAME, content.encode())
    return [folder / RESULT_NAME, folder / ARRAYS_NAME]


def soft_result(fit: SoftFit, learner: MaxCausalEntropy, demonstrations: Demonstrations) -> InverseResult:
    """The result of maximum causal entropy."""
    world = demonstrations.world
    identification = identify(world, fit.form, fit.plan, demonstrations)
    error_N = standard_errors(fit, demonstrations, identification)
    low_N, high_N = (None, None) if error_N is None else interval(fit.parameter_N, error_N, LEVEL)
    tables = fit.form.tables(fit.parameter_N)
    likelihood = demonstrations.log_likelihood(fit.plan.log_policy_TSA)
    measures = _measures(demonstrations, likelihood, fit.gap_N, fit.visits) | _distance(world, tables)
    notes = list(_cut_words(demonstrations))
    if not fit.converged:
        notes.append("the search did not come to an end: raise the ridge, or allow more evaluations")
    if fit.aim == "match" and measures["feature_gap"] > 1e-2:
        notes.append(
            "no behaviour in this world visits on average what the demonstrators visited, as chance was kind to them "
            "or they were few; fit their likelihood instead"
        )
    return InverseResult(
        method="mce",
        parameter_names=fit.form.parameter_names,
        parameter_N=fit.parameter_N,
        low_N=low_N,
        high_N=high_N,
        interval_kind=None if error_N is None else f"{100 * LEVEL:g} % confidence",
        identification=identification,
        fit=measures | {"evaluations": fit.num_evaluations, "seconds": fit.seconds},
        converged=fit.converged,
        settings=asdict(learner.config) | {"reward": fit.form.name, "aim": fit.aim},
        notes=tuple(notes),
        world=world,
        tables=tables,
        policy_TSA=fit.plan.policy_TSA,
        visits=fit.visits,
        seen=demonstrations.visits,
    )


def mixture_result(found: Mixture, learner: FeatureMatching, demonstrations: Demonstrations) -> InverseResult:
    """The result of feature matching; without a horizon its policy is the mixture's, put together by visits."""
    world = demonstrations.world
    tables = found.form.tables(found.parameter_N)
    soft = plan(world, *tables)
    notes = [*_cut_words(demonstrations)]
    notes.append("the reward is the last one that a policy was sought for; what matches is the mixture, not the reward")
    if found.is_nearest:
        notes.append("no policy in this world comes nearer to the demonstrators than the mixture does")
    elif not found.converged:
        notes.append("the rounds were used up before the margin was within the tolerance")
    arrays = {
        "mixture_actions": found.action_RTS,
        "mixture_weights": found.weight_R,
        "margins": np.array(found.margins),
    }
    measures = _measures(demonstrations, None, found.gap_N, found.visits)
    own = {"margin": found.margins[-1], "rounds": len(found.margins) - 1, "policies": len(found.weight_R)}
    return InverseResult(
        method="matching",
        parameter_names=found.form.parameter_names,
        parameter_N=found.parameter_N,
        low_N=None,
        high_N=None,
        interval_kind=None,
        identification=identify(world, found.form, soft, demonstrations),
        fit=measures | own | _distance(world, tables) | {"seconds": found.seconds},
        converged=found.converged,
        settings=asdict(learner.config) | {"reward": found.form.name},
        notes=tuple(notes),
        world=world,
        tables=tables,
        policy_TSA=_mixed_policy(found) if world.horizon is None else None,
        visits=found.visits,
        seen=demonstrations.visits,
        arrays=arrays,
        series=found.margins,
    )


def posterior_result(found: Posterior, learner: Bayesian, demonstrations: Demonstrations) -> InverseResult:
    """The result of Bayesian inverse reinforcement learning; its policy is the best under the posterior mean."""
    world, tables = demonstrations.world, found.form.tables(found.mean_N)
    visits = flow(world.starting(demonstrations.start_S), found.plan.policy_TSA)
    gap_N = found.form.gathered(visits) - found.form.gathered(demonstrations.visits)
    notes = list(_cut_words(demonstrations))
    if not found.converged:
        notes.append("the chains have not come together: take more draws before the intervals are used")
    notes.append("what is not identified has the prior's word alone: its intervals say what was believed beforehand")
    measures = _measures(demonstrations, found.log_likelihood, gap_N, visits)
    own = {"r_hat_max": float(np.max(found.r_hat_N)), "effective_sample_size_min": float(np.min(found.sample_size_N))}
    return InverseResult(
        method="bayesian",
        parameter_names=found.form.parameter_names,
        parameter_N=found.mean_N,
        low_N=found.low_N,
        high_N=found.high_N,
        interval_kind=f"{100 * learner.config.level:g} % credible",
        identification=identify(world, found.form, found.plan, demonstrations),
        fit=measures | own | _distance(world, tables) | {"seconds": found.seconds},
        converged=found.converged,
        settings=asdict(learner.config) | {"reward": found.form.name},
        notes=tuple(notes),
        world=world,
        tables=tables,
        policy_TSA=found.plan.policy_TSA,
        visits=visits,
        seen=demonstrations.visits,
        arrays={"draws": found.draws_CDN, "r_hat": found.r_hat_N, "effective_sample_size": found.sample_size_N},
    )


def choice_result(found: ChoiceFit, learner: LinearChoices) -> InverseResult:
    """The result of observed choices."""
    notes: tuple[str, ...] = ()
    if found.separated:
        notes = (
            f"{', '.join(found.separated)} foretell choices without fail, so that no finite weights are best: those "
            "shown are held back by a ridge, and have no intervals",
        )
    measures: dict[str, float | None] = {
        "log_likelihood": found.log_likelihood,
        "coin_log_likelihood": found.coin_log_likelihood,
        "pseudo_r_squared": found.pseudo_r_squared,
        "accuracy": found.accuracy,
        "choices": found.num_sets,
    }
    return InverseResult(
        method=learner.config.method,
        parameter_names=found.feature_names,
        parameter_N=found.weight_F,
        low_N=found.low_F,
        high_N=found.high_F,
        interval_kind=f"{100 * learner.config.level:g} % confidence",
        identification=found.identification,
        fit=measures,
        converged=True,
        settings=asdict(learner.config),
        notes=notes,
        arrays={"covariance": found.covariance_FF, "standard_errors": found.error_F},
    )


def read_parameters(folder: Path | str) -> dict[str, float]:
    """The parameters of a written result, by their names.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    path = Path(folder) / RESULT_NAME
    try:
        content = json.loads(path.read_bytes())
        return {str(one["name"]): float(one["value"]) for one in content["parameters"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {error}; expected a folder that `heeler infer` wrote") from error


def _measures(
    demonstrations: Demonstrations, likelihood: float | None, gap_N: np.ndarray, visits: Visits
) -> dict[str, Any]:
    num = demonstrations.num_steps
    gap_S = visits.state_S - demonstrations.visits.state_S
    return {
        "log_likelihood": likelihood,
        "log_likelihood_per_step": None if likelihood is None else likelihood / num,
        "coin_log_likelihood_per_step": -math.log(demonstrations.world.num_actions),
        "feature_gap": float(np.abs(gap_N).max()),
        "occupancy_gap": float(np.abs(gap_S).max()),
        "demonstrations": demonstrations.num_demonstrations,
        "steps": num,
    }


def _distance(world: FiniteWorld, tables: Tables) -> dict[str, float]:
    true = true_tables(world)
    return {} if true is None else {"distance_to_true_reward": reward_distance(world, tables, true)}


def _cut_words(demonstrations: Demonstrations) -> tuple[str, ...]:
    num = int((~demonstrations.is_whole_K).sum())
    if not num:
        return ()
    return (
        f"{num} of {demonstrations.num_demonstrations} demonstrations were cut short, so that gaps count what they did "
        "not get to do",
    )


def _mixed_policy(found: Mixture) -> np.ndarray:
    """[1, S, A] the policy with the mixture's visits; a coin where it never comes."""
    step_SA = found.visits.step_SA
    sum_S1 = step_SA.sum(1, keepdims=True)
    coin = np.full_like(step_SA, 1 / step_SA.shape[1])
    return np.divide(step_SA, sum_S1, out=coin, where=sum_S1 > 0)[None]


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _or_nothing(values: np.ndarray | None, num: int) -> np.ndarray:
    return np.full(num, np.nan) if values is None else values

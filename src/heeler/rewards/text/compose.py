"""Several scores made one reward: a weighted sum of parts, with costs beside it that are held within budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, sqrt
from typing import Any

from heeler.core.errors import CheckpointError, ConfigError
from heeler.core.texts import TextSample
from heeler.rewards.text.normalisation import Moments, Normalisation
from heeler.rewards.text.part import Part, Scores, Telling, scores_of
from heeler.safety.multipliers import MultiplierConfig, MultiplierState, first_state, moved


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """A part of the reward."""

    part: Part
    weight: float = 1.0
    """Of its normalised score; below 0 for what is bad."""
    normalise: Normalisation = "running"
    """How its score is brought to the scale of the others before it is summed."""
    half_life: int | None = None
    """For `running`: after so many samples what was seen weighs half, so that the scale keeps up with a policy that
    changes; None keeps all."""

    def __post_init__(self) -> None:
        if not isfinite(self.weight) or self.weight == 0:
            raise ConfigError(f"weight of {self.part.name!r} must be a number other than 0, got {self.weight}")
        if self.normalise not in ("running", "batch", "none"):
            raise ConfigError(f"normalise must be running, batch or none, got {self.normalise!r}")
        if self.half_life is not None and (self.normalise != "running" or self.half_life < 1):
            raise ConfigError("half_life must be >= 1 and goes with normalise='running' alone")


@dataclass(frozen=True, kw_only=True)
class Budgeted:
    """A cost whose mean over the samples is to stay within a budget."""

    part: Part
    budget: float
    """In the cost's own numbers: 0.005 for a toxicity of at most 0.5 %."""
    at_least: bool = False
    """Whether the part is good and the budget its lowest mean; what it lacks to that is the cost then."""
    unit: float = 1.0
    """How much of the cost counts as one. Cost and budget are divided by it, so that the multiplier means the same
    whatever the cost is measured in."""
    multiplier: MultiplierConfig = field(default_factory=MultiplierConfig)
    """How its multiplier moves."""

    def __post_init__(self) -> None:
        if not isfinite(self.budget):
            raise ConfigError(f"budget of {self.part.name!r} must be a number, got {self.budget}")
        if not 0 < self.unit < float("inf"):
            raise ConfigError(f"unit of {self.part.name!r} must be > 0, got {self.unit}")

    def in_units(self, score: float) -> float:
        """The cost that a score of the part is."""
        return (self.budget - score if self.at_least else score) / self.unit

    @property
    def budget_in_units(self) -> float:
        """What the cost may be."""
        return 0.0 if self.at_least else self.budget / self.unit


@dataclass(frozen=True, kw_only=True)
class ComposedState:
    """All that a composed reward remembers."""

    moments: Mapping[str, Moments]
    """By part."""
    multipliers: Mapping[str, MultiplierState]
    """By cost."""

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint keeps, in plain JSON types; numbers come back to the last bit."""
        return {
            "moments": {name: moments.to_json() for name, moments in self.moments.items()},
            "multipliers": {name: state.to_json() for name, state in self.multipliers.items()},
        }


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A batch's rewards."""

    rewards: Scores
    """One a sample; None where no part and no cost has anything to say of it: to be left out of the baseline."""
    parts: Mapping[str, Scores]
    """What each part and each cost gave, before normalising."""
    metrics: Mapping[str, float]
    """`reward`, `reward_std`, and of each part and cost alone."""


class ComposedReward:
    r"""One reward of many parts.

    $$r = \frac{\sum_k w_k z_k - \sum_j \lambda_j c_j}{1 + \sum_j \lambda_j}$$

    with z_k a part's normalised score, c_j a cost in its unit, and λ_j its multiplier, as in Safe-RLHF (Dai et al.
    2023, arXiv 2310.12773), where rewards and costs are models; here they are any parts. A part that has no score for a
    sample adds nothing to it. Costs are not normalised: their budgets are in their own numbers.

    Args:
        parts: one or more.
        costs: any number. One part may be weighed and be a cost too, and is asked once; otherwise all names differ.

    Raises:
        ConfigError: there is no part, or two have the same name, or a name cannot stand in a metric's.
    """

    def __init__(self, parts: Sequence[Weighted], costs: Sequence[Budgeted] = ()) -> None:
        self.parts, self.costs = tuple(parts), tuple(costs)
        if not self.parts:
            raise ConfigError("a reward needs at least one part besides its costs")
        both = (*self.parts, *self.costs)
        different = {id(one.part): one.part.name for one in both}.values()
        for some in (list(different), *([one.part.name for one in few] for few in (self.parts, self.costs))):
            for name in some:
                if not name or "/" in name or name != name.strip():
                    raise ConfigError(f"a part's name must be text without '/', got {name!r}")
                if some.count(name) > 1:
                    raise ConfigError(
                        f"parts and costs must have different names, got {name!r} {some.count(name)} times"
                    )
        self._asked = {one.part.name: one.part for one in both}

    def init(self) -> ComposedState:
        """Before any batch."""
        return ComposedState(
            moments={one.part.name: Moments() for one in self.parts if one.normalise == "running"},
            multipliers={one.part.name: first_state(one.multiplier) for one in self.costs},
        )

    def state_from_json(self, saved: Any) -> ComposedState:
        """What `ComposedState.to_json` gave.

        Raises:
            CheckpointError: it is of other parts or costs, or of another form.
        """
        expected = self.init()
        try:
            moments, multipliers = dict(saved["moments"]), dict(saved["multipliers"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError("a saved reward must hold moments and multipliers") from error
        for what, had, wants in (("parts", moments, expected.moments), ("costs", multipliers, expected.multipliers)):
            if had.keys() != wants.keys():
                raise CheckpointError(f"the saved reward has the {what} {sorted(had)}, this one has {sorted(wants)}")
        return ComposedState(
            moments={name: Moments.from_json(one) for name, one in moments.items()},
            multipliers={name: MultiplierState.from_json(one) for name, one in multipliers.items()},
        )

    def score(
        self, state: ComposedState, samples: Sequence[TextSample], *, learn: bool = True
    ) -> tuple[ComposedState, Composed]:
        """Score a batch.

        The batch's own scores are in the moments that it is normalised by; its costs move the multipliers for the next.

        Args:
            state: before.
            samples: to score.
            learn: whether the state goes on; evaluation leaves it as it is.

        Returns:
            The state after, and the rewards.

        Raises:
            RewardError: a part failed or gave something else than scores.
        """
        given = {name: scores_of(part, samples) for name, part in self._asked.items()}
        after = self._learned(state, given) if learn else state
        totals: Scores = [None] * len(samples)
        for one in self.parts:
            _add(totals, one.weight, self._normalised(one, after, given[one.part.name]))
        for cost in self.costs:
            scores = [None if score is None else cost.in_units(score) for score in given[cost.part.name]]
            _add(totals, -state.multipliers[cost.part.name].value, scores)
        divisor = 1 + sum(multiplier.value for multiplier in state.multipliers.values())
        rewards = [None if total is None else total / divisor for total in totals]
        metrics = self._metrics(rewards, given, after)
        return after, Composed(rewards=rewards, parts=given, metrics=metrics)

    def _learned(self, state: ComposedState, given: Mapping[str, Scores]) -> ComposedState:
        moments = dict(state.moments)
        for one in self.parts:
            if one.normalise == "running":
                values = _there(given[one.part.name])
                keep = 1.0 if one.half_life is None else 0.5 ** (len(values) / one.half_life)
                moments[one.part.name] = moments[one.part.name].merged(values, keep=keep)
        multipliers = dict(state.multipliers)
        for cost in self.costs:
            mean = _mean(given[cost.part.name])
            in_units = None if mean is None else cost.in_units(mean)
            before = multipliers[cost.part.name]
            multipliers[cost.part.name] = moved(cost.multiplier, before, in_units, cost.budget_in_units)
        return replace(state, moments=moments, multipliers=multipliers)

    def _normalised(self, one: Weighted, state: ComposedState, scores: Scores) -> Scores:
        if one.normalise == "none":
            return scores
        is_batch = one.normalise == "batch"
        moments = Moments().merged(_there(scores)) if is_batch else state.moments[one.part.name]
        return [None if score is None else moments.normalised(score) for score in scores]

    def _metrics(self, rewards: Scores, given: Mapping[str, Scores], after: ComposedState) -> dict[str, float]:
        metrics = _spread("reward", "reward_std", rewards)
        for one in self.parts:
            name = one.part.name
            metrics |= _spread(f"rewards/{name}/mean", f"rewards/{name}/std", given[name])
            metrics[f"rewards/{name}/applicable"] = len(_there(given[name])) / max(len(rewards), 1)
        for cost in self.costs:
            name = cost.part.name
            metrics |= _spread(f"costs/{name}/mean", f"costs/{name}/std", given[name])
            metrics[f"costs/{name}/budget"] = cost.budget
            metrics[f"multipliers/{name}"] = after.multipliers[name].value
        for one in (*self.parts, *self.costs):
            if isinstance(one.part, Telling):
                group = "rewards" if isinstance(one, Weighted) else "costs"
                metrics |= {f"{group}/{one.part.name}/{name}": value for name, value in one.part.metrics().items()}
        return metrics


def _add(totals: Scores, weight: float, scores: Scores) -> None:
    for row, score in enumerate(scores):
        if score is not None:
            totals[row] = (totals[row] or 0.0) + weight * score


def _there(scores: Scores) -> list[float]:
    return [score for score in scores if score is not None]


def _mean(scores: Scores) -> float | None:
    values = _there(scores)
    return sum(values) / len(values) if values else None


def _spread(mean_name: str, std_name: str, scores: Scores) -> dict[str, float]:
    """Mean and standard deviation; nothing where no sample has a score, as there is no such number."""
    values, mean = _there(scores), _mean(scores)
    if mean is None:
        return {}
    return {mean_name: mean, std_name: sqrt(sum((value - mean) ** 2 for value in values) / len(values))}

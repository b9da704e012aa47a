"""The gate of policies that act in worlds: fresh episodes of a candidate, beside as many of the policy in use.

Released is what is shown, with high confidence, to keep every cost within its budget and to earn no less than the one
in use by the margin or more (Thomas et al. 2015, "High confidence policy improvement", ICML). Each is shown by a bound
that fails with probability error rate / number of bounds; none is looked at before all episodes are there.

Which bound:

- *Costs whose range is stated*: betting (`betting`). Whatever the costs are like, seldom and large ones among them. The
  price is episodes: where an episode may cost 40 budgets at most, one in 40 that does so is over the budget, and it
  takes about 40 log(1/level) episodes without any to show that there are no such. Student's bound would see none and
  call them none.
- *Returns*: the mean difference of pairs, which share the seed of their first states; by betting where the range of
  returns is stated, else by Student's bound: returns have mostly no bound that anybody could name, and the differences
  of hundreds of pairs are summed. Where all differences are the same, nothing tells how sure that is, and nothing is
  shown.
- *Costs without a range*: Student's bound too, said so.

Per step: a budget b of a step is kept where E[cost of an episode − b · its length] ≤ 0.

Shapes: K episodes.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from heeler.core.errors import DataError
from heeler.oversight import betting, student
from heeler.oversight.betting import BOLD_G, Floats, log_capital
from heeler.oversight.control_gate_config import ControlGateConfig, CostClaim
from heeler.oversight.control_gate_nouns import ControlGateResult, Episodes, Method, Shown
from heeler.oversight.control_gate_words import reasons

_PRECISION = 1e-4


def judge_control(
    config: ControlGateConfig, claims: Sequence[CostClaim], candidate: Episodes, current: Episodes
) -> ControlGateResult:
    """Decide about a candidate.

    Args:
        config: of the gate.
        claims: costs to be shown within their budgets.
        candidate: its episodes.
        current: as many of the policy in use, with the same first states in the same order.

    Raises:
        DataError: numbers of episodes differ, or a figure is missing or not finite.
    """
    _check("candidate", candidate, claims, len(candidate.returns))
    # Costs of the policy in use are told beside, and decide nothing.
    _check("current", current, (), len(candidate.returns))
    level = config.level(len(claims))
    shown = (
        _return_shown(config, candidate.returns, current.returns, level),
        *(_cost_shown(claim, candidate, level) for claim in claims),
    )
    means = {
        "candidate": float(candidate.returns.mean()),
        "current": float(current.returns.mean()),
        "candidate_low": _lowest_mean(config, candidate.returns, level),
    }
    passed = all(each.is_shown for each in shown)
    pairs = list(zip(shown, ("", *(claim.per for claim in claims)), strict=True))
    words = reasons(pairs, means, len(candidate.returns))
    if candidate.num_halted:
        # What such an episode would have come to is not known, and nobody is to act in earnest only to be halted.
        halted = f"overseers halted {candidate.num_halted:,} of {len(candidate.returns):,} episodes"
        passed, words = False, (halted, *(() if passed else words))
    return ControlGateResult(passed=passed, reasons=words, shown=shown, means=means)


def _check(who: str, episodes: Episodes, claims: Sequence[CostClaim], num: int) -> None:
    columns = {"returns": episodes.returns, "lengths": episodes.lengths, **episodes.costs}
    for claim in claims:
        if claim.name not in episodes.costs:
            raise DataError(f"{who}: its episodes do not tell of the cost {claim.name!r}")
    for name, values in columns.items():
        if len(values) != num:
            raise DataError(f"{who}, {name}: expected {num} episodes, got {len(values)}")
        for row in np.flatnonzero(~np.isfinite(values)):
            raise DataError(f"{who}, {name}, row {row}: expected a finite number, got {values[row]}")


def _return_shown(config: ControlGateConfig, candidate_K: Floats, current_K: Floats, level: float) -> Shown:
    difference_K = candidate_K - current_K
    method: Method = "student" if config.return_range is None else "betting"
    problem = ""
    if config.return_range is None:
        low, high = student.bounds(difference_K, level)
        if not math.isfinite(low):
            problem = "all differences are the same, and nothing tells how sure that is; state gate.return_range"
    else:
        least, most = config.return_range
        seen = np.concatenate([candidate_K, current_K])
        if seen.min() < least or seen.max() > most:
            problem = f"an episode's return lies outside gate.return_range ({least:g} to {most:g})"
        low, high = _bet(difference_K, least - most, most - least, level)
    return Shown(
        name="return",
        method=method,
        limit=-config.margin,
        estimate=float(difference_K.mean()),
        low=finite(low),
        high=finite(high),
        is_shown=not problem and low >= -config.margin,
        problem=problem,
    )


def _cost_shown(claim: CostClaim, episodes: Episodes, level: float) -> Shown:
    cost_K = episodes.costs[claim.name]
    length_K = np.ones_like(cost_K) if claim.per == "episode" else episodes.lengths
    problem = ""
    if cost_K.max() > claim.most:
        problem = f"an episode cost {cost_K.max():g}, more than gate.max_costs says that it can ({claim.most:g})"
    elif not math.isfinite(claim.most) and cost_K.std() == 0:
        problem = "all episodes cost the same, and nothing tells how sure that is; state gate.max_costs"

    def is_within(budget: float) -> bool:
        return _is_within(cost_K - budget * length_K, claim.most - budget, level)

    estimate = float(cost_K.sum() / length_K.sum())
    return Shown(
        name=claim.name,
        method="betting" if math.isfinite(claim.most) else "student",
        limit=claim.budget,
        estimate=estimate,
        low=finite(_cost_low(claim, cost_K, level)) if claim.per == "episode" else None,
        high=finite(_least_within(is_within, estimate, claim.most)),
        is_shown=not problem and is_within(claim.budget),
        problem=problem,
    )


def _is_within(excess_K: Floats, most: float, level: float) -> bool:
    """Whether a mean of at most 0 is shown; `most` is what an excess can be."""
    if not math.isfinite(most):
        return student.bounds(excess_K, level)[1] <= 0
    # Bets pay −excess / most each: how low an excess can be does not matter to them.
    lowest = max(most, 1.0, float(-excess_K.min()))
    share_K = np.clip((most - excess_K) / (most + lowest), 0.0, 1.0)
    return bool(log_capital(share_K, most / (most + lowest), BOLD_G)[-1] >= -math.log(level))


def _least_within(is_within: Callable[[float], bool], estimate: float, most: float) -> float:
    """The upper bound: the smallest budget that would have been shown to be kept."""
    low, high = max(0.0, estimate), most if math.isfinite(most) else 1.0 + 2 * abs(estimate)
    for _ in range(60):
        if math.isfinite(most) or is_within(high):
            break
        high *= 2
    else:
        return math.inf
    while high - low > _PRECISION * (1e-3 + abs(high)):
        middle = (low + high) / 2
        low, high = (low, middle) if is_within(middle) else (middle, high)
    return high


def _cost_low(claim: CostClaim, cost_K: Floats, level: float) -> float:
    if not math.isfinite(claim.most):
        return student.bounds(cost_K, level)[0]
    return _bet(cost_K, 0.0, claim.most, level)[0]


def _bet(value_K: Floats, least: float, most: float, level: float) -> tuple[float, float]:
    """Bounds of the mean of values between `least` and `most`."""
    share_K = np.clip((value_K - least) / (most - least), 0.0, 1.0)
    low, high = betting.interval(share_K, 2 * level)
    return least + (most - least) * low, least + (most - least) * high


def _lowest_mean(config: ControlGateConfig, return_K: Floats, level: float) -> float:
    if config.return_range is not None:
        return _bet(return_K, *config.return_range, level)[0]
    low = student.bounds(return_K, level)[0]
    return low if math.isfinite(low) else float(return_K.mean())


def finite(value: float) -> float | None:
    """The number, or None for an infinite one, which JSON does not know."""
    return value if math.isfinite(value) else None

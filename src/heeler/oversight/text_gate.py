"""The gate: a candidate against the version in use, item by item, until it is decided.

Released is what is shown to be worse nowhere by the margin or more, and better somewhere. Each claim is tested by
betting (`betting`), which stays true however often one looks and whenever one stops:

- *Not worse*, suite by suite, at the full error rate. All of them must be shown, so that who is worse somewhere has to
  beat the very test that would tell (intersection-union test: Berger 1982, Technometrics 24).
- *Better*, on the goals, at Holm's levels (Holm 1979, Scand. J. Statist. 6): one of several would do, so several are
  several chances.
- *Worse by more than the margin*, at the error rate over the number of suites: ends the gate early.

Why betting: scores are bounded, often yes or no, and mostly equal; bets find out how little they vary, where a bound by
their range alone (Hoeffding) needs many times as many items, and a t-test would not stand repeated looks.

The items of a suite are taken as drawn from all prompts of their kind, in an order that does not depend on answers.
The decision is a function of the scores alone, so that anybody can come to it again from the record.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from heeler.core.errors import DataError
from heeler.oversight.betting import Floats, interval, log_capital
from heeler.oversight.gate_config import Check, GateConfig
from heeler.oversight.gate_nouns import CheckResult, Evidence, GateDecision, GateResult, Pair
from heeler.oversight.gate_words import reasons_to_keep, reasons_to_release

Draw = Callable[[str, int, int], Sequence[Pair]]
"""Scores of items `start` to `stop` (excluded) of a suite."""


def run_gate(
    config: GateConfig,
    draw: Draw,
    sizes: Mapping[str, int],
    *,
    evidence: Evidence | None = None,
    after_round: Callable[[Evidence], None] = lambda evidence: None,
) -> tuple[GateResult, Evidence]:
    """Take batches of items of the suites that are still open until the gate is decided.

    Args:
        config: of the gate.
        draw: scores items; the same items get the same scores again.
        sizes: how many items each suite has.
        evidence: of a gate that was interrupted, to go on from.
        after_round: is given all evidence after each round, to save it.

    Returns:
        The result, whose decision is `release` or `keep`, and all scores that it follows from.

    Raises:
        DataError: a score is not a number, or an item came twice.
    """
    taken = {check.suite: list((evidence or {}).get(check.suite, ())) for check in config.checks}
    claims = _claims(config, taken)
    while _decision(config, claims, sizes) == "go on":
        for suite in _wanted(config, claims, sizes):
            start = len(taken[suite])
            stop = min(start + config.batch_size, sizes[suite])
            taken[suite] += draw(suite, start, stop)
            assert len(taken[suite]) == stop, "a pair for each item asked for"
        claims = _claims(config, taken)
        after_round(taken)
    return judge(config, taken, sizes), taken


def judge(config: GateConfig, evidence: Evidence, sizes: Mapping[str, int]) -> GateResult:
    """What the evidence says so far.

    Args:
        config: of the gate.
        evidence: pairs of each suite; a suite that is missing has none yet.
        sizes: how many items each suite has.

    Raises:
        DataError: a score is not a number, or an item came twice.
    """
    claims = _claims(config, evidence)
    checks = tuple(_result(config, check, evidence, claims[check.suite]) for check in config.checks)
    decision = _decision(config, claims, sizes)
    reasons = {"release": reasons_to_release, "keep": reasons_to_keep}.get(decision, lambda config, checks: ())
    return GateResult(decision=decision, reasons=reasons(config, checks), checks=checks)


class _Claims(NamedTuple):
    """What one suite has shown."""

    num_items: int
    is_not_worse: bool
    is_better: bool
    is_worse: bool


def _claims(config: GateConfig, evidence: Evidence) -> dict[str, _Claims]:
    gain_by_suite = {check.suite: _gains(check, evidence.get(check.suite, ())) for check in config.checks}
    better = _shown_better(config, gain_by_suite)
    found: dict[str, _Claims] = {}
    for check in config.checks:
        gain_N = gain_by_suite[check.suite]
        not_worse = _evidence_above(check, gain_N, -check.margin)
        worse = _evidence_above(check, -gain_N, check.margin)
        found[check.suite] = _Claims(
            num_items=len(evidence.get(check.suite, ())),
            is_not_worse=not_worse >= -math.log(config.error_rate),
            is_better=check.suite in better,
            is_worse=worse >= math.log(len(config.checks) / config.error_rate),
        )
    return found


def _decision(config: GateConfig, claims: Mapping[str, _Claims], sizes: Mapping[str, int]) -> GateDecision:
    # One suite that has run out without showing that it is not worse decides it, too.
    is_lost = any(
        shown.is_worse or (shown.num_items >= sizes[suite] and not shown.is_not_worse)
        for suite, shown in claims.items()
    )
    if is_lost:
        return "keep"
    if any(shown.is_better for shown in claims.values()) and all(shown.is_not_worse for shown in claims.values()):
        return "release"
    return "go on" if _wanted(config, claims, sizes) else "keep"


def _wanted(config: GateConfig, claims: Mapping[str, _Claims], sizes: Mapping[str, int]) -> list[str]:
    """Suites of which more items would tell something, and which have more."""
    has_gain = any(shown.is_better for shown in claims.values())
    return [
        check.suite
        for check in config.checks
        if claims[check.suite].num_items < sizes[check.suite]
        and (not claims[check.suite].is_not_worse or (check.is_goal and not has_gain))
    ]


def _gains(check: Check, pairs: Sequence[Pair]) -> Floats:
    """[N] differences in the direction that is better, cut."""
    seen: set[str] = set()
    for row, pair in enumerate(pairs):
        if pair.item in seen:
            raise DataError(f"{check.suite}, row {row}, item: {pair.item!r} came before; each item counts once")
        seen.add(pair.item)
        for name, score in (("candidate", pair.candidate), ("current", pair.current)):
            if score is not None and not math.isfinite(score):
                raise DataError(f"{check.suite}, row {row}, {name}: expected a finite score or None, got {score}")
    sign = 1.0 if check.better == "higher" else -1.0
    gains = [sign * (c - u) for _, c, u in pairs if c is not None and u is not None]
    return np.clip(np.array(gains, np.float64), -check.max_difference, check.max_difference)


def _as_share(check: Check, gain: Floats | float) -> Floats:
    """From [−max_difference, max_difference] to [0, 1]."""
    return np.asarray(0.5 + np.asarray(gain) / (2 * check.max_difference), np.float64)


def _evidence_above(check: Check, gain_N: Floats, bound: float) -> float:
    """The highest log capital that was ever reached against "the mean gain is at most `bound`"."""
    capital = log_capital(_as_share(check, gain_N), float(_as_share(check, bound)))
    return float(capital.max(initial=0.0))


def _shown_better(config: GateConfig, gain_by_suite: Mapping[str, Floats]) -> set[str]:
    """Goals where the candidate is better, by Holm's step-down."""
    capital = {
        check.suite: _evidence_above(check, gain_by_suite[check.suite], 0.0) for check in config.checks if check.is_goal
    }
    shown: set[str] = set()
    for suite in sorted(capital, key=lambda name: -capital[name]):
        if capital[suite] < math.log((len(capital) - len(shown)) / config.error_rate):
            break
        shown.add(suite)
    return shown


def _result(config: GateConfig, check: Check, evidence: Evidence, shown: _Claims) -> CheckResult:
    pairs = evidence.get(check.suite, ())
    scored = [(c, u) for _, c, u in pairs if c is not None and u is not None]
    gain_N = _gains(check, pairs)
    low, high = interval(_as_share(check, gain_N), config.error_rate)
    width = 2 * check.max_difference
    return CheckResult(
        suite=check.suite,
        num_pairs=len(scored),
        num_left_out=len(pairs) - len(scored),
        candidate_mean=float(np.mean([c for c, _ in scored])) if scored else None,
        current_mean=float(np.mean([u for _, u in scored])) if scored else None,
        gain=float(gain_N.mean()) if scored else None,
        gain_low=width * (low - 0.5),
        gain_high=width * (high - 0.5),
        is_not_worse=shown.is_not_worse,
        is_better=shown.is_better,
        is_worse=shown.is_worse,
    )

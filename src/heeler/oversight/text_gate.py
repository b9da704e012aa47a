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
    result = judge(config, taken, sizes)
    while result.decision == "go on":
        for suite in wanted(config, result.checks, sizes):
            start = len(taken[suite])
            taken[suite] += draw(suite, start, min(start + config.batch_size, sizes[suite]))
        result = judge(config, taken, sizes)
        after_round(taken)
    return result, taken


def wanted(config: GateConfig, checks: Sequence[CheckResult], sizes: Mapping[str, int]) -> list[str]:
    """Suites of which more items would tell something, and which have more."""
    has_gain = any(seen.is_better for seen in checks)
    return [
        check.suite
        for check, seen in zip(config.checks, checks, strict=True)
        if seen.num_items < sizes[check.suite] and (not seen.is_not_worse or (check.is_goal and not has_gain))
    ]


def judge(config: GateConfig, evidence: Evidence, sizes: Mapping[str, int]) -> GateResult:
    """What the evidence says so far.

    Args:
        config: of the gate.
        evidence: pairs of each suite; a suite that is missing has none yet.
        sizes: how many items each suite has.

    Raises:
        DataError: a score is not a number, or an item came twice.
    """
    gain_by_suite = {check.suite: _gains(check, evidence.get(check.suite, ())) for check in config.checks}
    better = _shown_better(config, gain_by_suite)
    checks = tuple(
        _result(config, check, evidence.get(check.suite, ()), gain_by_suite[check.suite], check.suite in better)
        for check in config.checks
    )
    decision, reasons = _decide(config, checks, sizes)
    return GateResult(decision=decision, reasons=reasons, checks=checks)


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


def _result(config: GateConfig, check: Check, pairs: Sequence[Pair], gain_N: Floats, is_better: bool) -> CheckResult:
    scored = [(c, u) for _, c, u in pairs if c is not None and u is not None]
    low, high = interval(_as_share(check, gain_N), config.error_rate) if scored else (0.0, 1.0)
    width = 2 * check.max_difference
    not_worse = _evidence_above(check, gain_N, -check.margin)
    worse = _evidence_above(check, -gain_N, check.margin)
    return CheckResult(
        suite=check.suite,
        num_pairs=len(scored),
        num_left_out=len(pairs) - len(scored),
        candidate_mean=float(np.mean([c for c, _ in scored])) if scored else None,
        current_mean=float(np.mean([u for _, u in scored])) if scored else None,
        gain=float(gain_N.mean()) if scored else None,
        gain_low=width * (low - 0.5),
        gain_high=width * (high - 0.5),
        is_not_worse=not_worse >= -math.log(config.error_rate),
        is_better=is_better,
        is_worse=worse >= math.log(len(config.checks) / config.error_rate),
    )


def _decide(
    config: GateConfig, checks: Sequence[CheckResult], sizes: Mapping[str, int]
) -> tuple[GateDecision, tuple[str, ...]]:
    # One suite that has run out without showing that it is not worse decides it, too.
    is_lost = any(seen.is_worse or (seen.num_items >= sizes[seen.suite] and not seen.is_not_worse) for seen in checks)
    if is_lost:
        return "keep", reasons_to_keep(config, checks)
    if any(seen.is_better for seen in checks) and all(seen.is_not_worse for seen in checks):
        return "release", reasons_to_release(config, checks)
    if not wanted(config, checks, sizes):
        return "keep", reasons_to_keep(config, checks)
    return "go on", ()

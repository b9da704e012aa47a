"""What the benchmark of shields makes of what its jobs print."""

from typing import Any

from benchmarks.harness import holds
from benchmarks.shield import BENCHMARK, summarize

PRINTED: dict[str, Any] = {
    "violations": 0.0,
    "bare_violations": 40.0,
    "shielded_return": 9.0,
    "bare_return": 10.0,
    "shielded_share": 0.2,
    "nothing_safe": 1.0,
}


def both(*rows: dict[str, Any], **unaware: Any) -> dict[str, list[dict[str, Any]]]:
    return {"": [two_ways(row) for row in rows], "unaware_": [two_ways(PRINTED | unaware)]}


def two_ways(sampled: dict[str, Any], likeliest: dict[str, Any] = PRINTED) -> dict[str, Any]:
    return {"sampled": sampled, "likeliest": likeliest}


def test_violations_are_summed_over_all_episodes_and_returns_are_medians_of_ratios() -> None:
    rows = [PRINTED, PRINTED | {"shielded_return": 12.0}, PRINTED | {"shielded_return": 5.0}]
    figures = summarize(both(*rows, violations=2.0, shielded_return=4.0, bare_violations=90.0))
    assert (figures["violations"], figures["nothing_safe"]) == (2.0, 8.0)
    assert (figures["return_share"], figures["unaware_return_share"]) == (0.9, 0.4)
    assert (figures["bare_violations"], figures["unaware_bare_violations"]) == (120.0, 90.0)


def test_likeliest_actions_have_figures_of_their_own_and_their_violations_count() -> None:
    own = two_ways(PRINTED, PRINTED | {"violations": 3.0, "shielded_return": 2.0, "bare_violations": 7.0})
    figures = summarize({"": [own], "unaware_": [two_ways(PRINTED)]})
    assert (figures["violations"], figures["bare_violations"], figures["likeliest_bare_violations"]) == (3.0, 40.0, 7.0)
    assert (figures["return_share"], figures["likeliest_return_share"]) == (0.9, 0.2)


def test_one_violation_of_any_policy_or_too_little_return_is_too_much() -> None:
    assert holds(BENCHMARK.targets, summarize(both(PRINTED)))
    assert holds(BENCHMARK.targets, summarize(both(PRINTED, shielded_return=5.0)))
    assert not holds(BENCHMARK.targets, summarize(both(PRINTED, violations=1.0)))
    assert not holds(BENCHMARK.targets, summarize(both(PRINTED | {"violations": 1.0})))
    assert not holds(BENCHMARK.targets, summarize(both(PRINTED | {"shielded_return": 8.9})))

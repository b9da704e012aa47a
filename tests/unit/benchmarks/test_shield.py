"""What the benchmark of shields makes of what its jobs print."""

import pytest

from benchmarks.harness import holds
from benchmarks.shield import BENCHMARK, summarize

PRINTED = {
    "violations": 0.0,
    "bare_violations": 40.0,
    "shielded_return": 9.0,
    "bare_return": 10.0,
    "shielded_share": 0.2,
    "nothing_safe": 0.0,
}


def test_one_violation_of_one_seed_is_one_too_many():
    rows = [PRINTED, PRINTED | {"shielded_return": 12.0}, PRINTED | {"shielded_return": 5.0}]
    figures = summarize(rows)
    assert figures["return_share"] == pytest.approx(0.9)
    assert figures["bare_violations"] == 120.0
    assert holds(BENCHMARK.targets, figures)
    assert not holds(BENCHMARK.targets, summarize([*rows[:2], PRINTED | {"violations": 1.0}]))
    assert not holds(BENCHMARK.targets, summarize([PRINTED | {"shielded_return": 8.9}]))

"""The figures of `honesty`, from what its jobs printed; and its cases, which are what they are called."""

import numpy as np
import pytest

from benchmarks import honesty
from benchmarks.harness import holds
from benchmarks.jobs.honesty import is_called_unlike, reward_verdict, run_verdict


def printed(caught: int, false: int) -> dict[str, object]:
    return {
        "cases": 10,
        "caught": {"run": caught, "reward": 10, "situation": 10},
        "false": {"run": 0, "reward": 0, "situation": false},
        "sound": {"run": 20, "reward": 10, "situation": 10},
    }


def test_figures_are_of_all_seeds_and_of_the_worst_kind():
    figures = honesty.summarize([printed(10, 0), printed(8, 2)])
    assert figures["caught_share"] == figures["caught_share_run"] == pytest.approx(0.9)
    assert figures["false_alarms"] == figures["false_alarms_situation"] == pytest.approx(0.1)
    assert (figures["false_alarms_run"], figures["cases"]) == (0.0, 20.0)
    assert not holds(honesty.BENCHMARK.targets, figures)
    assert holds(honesty.BENCHMARK.targets, honesty.summarize([printed(9, 0)]))


def test_planted_faults_are_named_and_faultless_ones_mostly_not():
    rng = np.random.default_rng(0)
    assert [run_verdict("over-optimised", rng) for _ in range(3)] == ["over-optimised"] * 3
    assert run_verdict("sound", rng) != "over-optimised"
    assert all(reward_verdict("shortcut", rng) for _ in range(3))
    assert not any(reward_verdict("honest", rng) for _ in range(3))
    assert is_called_unlike("unlike", rng)
    assert not is_called_unlike("like", rng)

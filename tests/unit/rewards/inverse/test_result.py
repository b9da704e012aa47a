"""Results of every method: one noun, JSON that any program reads, and files that are whole."""

import json
from pathlib import Path

import numpy as np
import pytest

from heeler.core.errors import DataError, RunError
from heeler.rewards.inverse.bayesian import Bayesian, BayesianConfig
from heeler.rewards.inverse.choices import LinearChoices
from heeler.rewards.inverse.demonstrations import Demonstrations, sampled
from heeler.rewards.inverse.examples import RATIONALITY, example_choices, example_demonstrations, write_example
from heeler.rewards.inverse.matching import FeatureMatching, FeatureMatchingConfig
from heeler.rewards.inverse.max_causal_entropy import MaxCausalEntropy, MaxCausalEntropyConfig
from heeler.rewards.inverse.result import (
    InverseResult,
    choice_result,
    mixture_result,
    posterior_result,
    read_parameters,
    soft_result,
    write_result,
)
from tests.unit.rewards.inverse.worlds import random_world


@pytest.fixture(scope="module")
def seen() -> Demonstrations:
    return example_demonstrations(np.random.default_rng(0), num=40)


def result_of(method: str, seen: Demonstrations) -> InverseResult:
    if method == "mce":
        soft = MaxCausalEntropy()
        return soft_result(soft.fit(seen), soft, seen)
    if method == "matching":
        matching = FeatureMatching(FeatureMatchingConfig(max_rounds=5))
        return mixture_result(matching.fit(seen), matching, seen)
    if method == "bayesian":
        bayesian = Bayesian(BayesianConfig(num_warmup=2, num_draws=6))
        return posterior_result(bayesian.fit(seen), bayesian, seen)
    choices = LinearChoices()
    return choice_result(choices.fit(example_choices(np.random.default_rng(0), num=50)), choices)


@pytest.mark.parametrize("method", ["mce", "matching", "bayesian", "logit"])
def test_a_result_is_written_and_read_by_any_program(method: str, seen: Demonstrations, tmp_path: Path) -> None:
    result = result_of(method, seen)
    assert result.method == method
    files = write_result(result, tmp_path / "out")
    told = json.loads(files[0].read_text("utf-8"))
    assert [one["name"] for one in told["parameters"]] == list(result.parameter_names)
    assert told["identification"]["num_parameters"] == 3
    assert read_parameters(tmp_path / "out") == pytest.approx(
        dict(zip(result.parameter_names, result.parameter_N, strict=True))
    )
    with np.load(files[1], allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["parameters"], result.parameter_N)
        if method != "logit":
            assert arrays["step_reward"].shape == (25, 4) and arrays["end_reward"].shape == (25,)
            assert arrays["visits"].sum() > 1 and arrays["demonstrated_visits"].sum() > 1
    assert write_result(result, tmp_path / "out") == files


def test_the_walker_s_reward_is_found_again(seen: Demonstrations) -> None:
    result = result_of("mce", seen)
    assert result.converged and result.fit["feature_gap"] is not None and result.low_N is not None
    assert result.fit["feature_gap"] < 5e-3
    assert result.fit["distance_to_true_reward"] is not None and result.fit["distance_to_true_reward"] < 0.15
    true = RATIONALITY * np.array([1.0, -1.0, -0.05])
    assert result.high_N is not None and ((result.low_N < true) & (true < result.high_N)).sum() >= 2


def test_what_must_be_known_is_noted(seen: Demonstrations) -> None:
    assert any("the mixture, not the reward" in note for note in result_of("matching", seen).notes)
    posterior = result_of("bayesian", seen)
    assert not posterior.converged and any("chains have not come together" in note for note in posterior.notes)
    world = random_world(0)
    cut = sampled(world, np.full((1, 6, 3), 1 / 3), 3, np.random.default_rng(0), max_steps=4)
    soft = MaxCausalEntropy(MaxCausalEntropyConfig(ridge=0.1))
    result = soft_result(soft.fit(cut), soft, cut)
    assert any("3 of 3 demonstrations were cut short" in note for note in result.notes)


def test_matching_of_what_chance_alone_gave_is_noted() -> None:
    world = random_world(0, horizon=5)
    few = sampled(world, np.full((5, 6, 3), 1 / 3), 1, np.random.default_rng(0))
    soft = MaxCausalEntropy(MaxCausalEntropyConfig(reward="state", aim="match", ridge=0.01))
    result = soft_result(soft.fit(few), soft, few)
    assert any("fit their likelihood instead" in note for note in result.notes)
    assert result.low_N is None


def test_another_folder_is_left_alone(seen: Demonstrations, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and holds no result"):
        write_result(result_of("mce", seen), tmp_path)
    with pytest.raises(RunError, match="cannot make"):
        write_result(result_of("mce", seen), tmp_path / "mine.txt" / "below")
    with pytest.raises(DataError, match="expected a folder that `heeler infer` wrote"):
        read_parameters(tmp_path)


def test_the_example_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first, second = write_example(tmp_path / "a"), write_example(tmp_path / "b")
    assert [path.name for path in first] == ["world.npz", "demonstrations.npz", "choices.csv"]
    assert first[2].read_bytes() == second[2].read_bytes()
    with np.load(first[1]) as one, np.load(second[1]) as other:
        np.testing.assert_array_equal(one["states"], other["states"])

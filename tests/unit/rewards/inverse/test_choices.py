"""Choices: weights by hand, against scipy and a loop, intervals that cover, and what cannot be told is told."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from heeler.core.errors import ConfigError, DataError
from heeler.rewards.inverse.choice_data import ChoiceData, choice_data, read_choices, write_choices
from heeler.rewards.inverse.choices import ChoiceConfig, LinearChoices, probabilities
from heeler.rewards.inverse.examples import WAY_WEIGHTS, example_choices

WEIGHTS = np.array([0.8, -1.2])


def drawn(rng: np.random.Generator, num: int = 80, *, extra: int = 0) -> ChoiceData:
    """Choices of two to five alternatives, by a logit of the first two features."""
    sets, features, chosen = [], [], []
    for index in range(num):
        size = int(rng.integers(2, 6))
        own = rng.normal(size=(size, 2 + extra))
        sets += [index] * size
        features.append(own)
        chosen.append(np.arange(size) == (own[:, :2] @ WEIGHTS + rng.gumbel(size=size)).argmax())
    return choice_data(sets, np.concatenate(chosen), np.concatenate(features))


def looped_log_likelihood(data: ChoiceData, weight: np.ndarray) -> float:
    total = 0.0
    for own in range(data.num_sets):
        rows = np.flatnonzero(data.set_N == own)
        rewards = [float(data.feature_NF[row] @ weight) for row in rows]
        taken = next(reward for row, reward in zip(rows, rewards, strict=True) if data.chosen_N[row])
        total += taken - math.log(sum(math.exp(reward) for reward in rewards))
    return total


def test_a_logit_of_one_feature_and_two_alternatives_by_hand() -> None:
    """Three of four take the one with the feature: the weight is the log of the odds, its error 1/√(4 · ¾ · ¼)."""
    data = choice_data([0, 0, 1, 1, 2, 2, 3, 3], np.array([1, 0, 1, 0, 1, 0, 0, 1]), np.array([[1.0], [0]] * 4))
    fit = LinearChoices().fit(data)
    assert fit.weight_F == pytest.approx([math.log(3)])
    assert fit.error_F == pytest.approx([1 / math.sqrt(0.75)])
    assert fit.log_likelihood == pytest.approx(3 * math.log(0.75) + math.log(0.25))
    assert fit.coin_log_likelihood == pytest.approx(4 * math.log(0.5))
    assert fit.accuracy == 0.75
    linear = LinearChoices(ChoiceConfig(method="least-squares")).fit(data)
    # Half a feature away from the mean, and a quarter away from a coin's chance.
    assert linear.weight_F == pytest.approx([0.5])


def test_the_logit_is_the_best_that_scipy_finds() -> None:
    data = drawn(np.random.default_rng(0))
    fit = LinearChoices().fit(data)
    found = minimize(lambda weight: -looped_log_likelihood(data, weight), np.zeros(2), tol=1e-12)
    assert fit.weight_F == pytest.approx(found.x, abs=1e-4)
    assert fit.log_likelihood == pytest.approx(-found.fun)
    step = 1e-3 * np.eye(2)
    value = looped_log_likelihood
    curvature = np.array(
        [
            [
                value(data, fit.weight_F + a + b) - value(data, fit.weight_F + a - b)
                - value(data, fit.weight_F - a + b) + value(data, fit.weight_F - a - b)
                for b in step
            ]
            for a in step
        ]
    ) / 4e-6  # fmt: skip
    assert fit.covariance_FF == pytest.approx(np.linalg.inv(-curvature), rel=1e-3)


def test_least_squares_is_that_of_dummies_for_every_set() -> None:
    data = drawn(np.random.default_rng(1), 30)
    dummies = np.eye(30)[data.set_N]
    solution = np.linalg.lstsq(np.hstack([data.feature_NF, dummies]), data.chosen_N.astype(float), rcond=None)[0]
    fit = LinearChoices(ChoiceConfig(method="least-squares")).fit(data)
    assert fit.weight_F == pytest.approx(solution[:2], abs=1e-9)


@pytest.mark.parametrize("method", ["logit", "least-squares"])
def test_intervals_cover_as_often_as_they_say(method: str) -> None:
    rng, covered = np.random.default_rng(2), 0
    config = ChoiceConfig(method=method)  # type: ignore[arg-type]
    limit = (
        LinearChoices(config).fit(drawn(np.random.default_rng(99), 20_000)).weight_F if method != "logit" else WEIGHTS
    )
    for _ in range(60):
        fit = LinearChoices(config).fit(drawn(rng, 150))
        covered += int(((fit.low_F < limit) & (limit < fit.high_F)).sum())
    # Of 120 intervals at 95 %, fewer than 104 come about less than once in a thousand times.
    assert covered >= 104


def test_probabilities_of_a_set_sum_to_one() -> None:
    data = drawn(np.random.default_rng(3), 10)
    chance = probabilities(data, 100 * data.feature_NF[:, 0])
    assert np.bincount(data.set_N, weights=chance) == pytest.approx(np.ones(10))


def test_collinear_features_are_told_and_not_divided_by_zero() -> None:
    data = drawn(np.random.default_rng(4))
    both = np.column_stack([data.feature_NF, data.feature_NF @ [1.0, 2.0]])
    fit = LinearChoices().fit(choice_data(data.set_N, data.chosen_N, both, ("a", "b", "both")))
    assert [reason.kind for reason in fit.identification.reasons] == ["collinear"]
    direction = fit.identification.basis_DN[0]
    assert both @ direction == pytest.approx(np.zeros(len(both)), abs=1e-9)
    assert np.isnan(fit.error_F).all() and np.isfinite(fit.weight_F).all()
    plain = LinearChoices().fit(data)
    assert both @ fit.weight_F - data.feature_NF @ plain.weight_F == pytest.approx(np.zeros(len(both)), abs=1e-6)


def test_a_feature_that_never_varies_within_a_set_is_told() -> None:
    data = drawn(np.random.default_rng(5))
    own = np.column_stack([data.feature_NF, data.set_N * 0.1])
    fit = LinearChoices().fit(choice_data(data.set_N, data.chosen_N, own, ("a", "b", "weather")))
    assert [(reason.kind, reason.dimensions) for reason in fit.identification.reasons] == [("constant feature", 1)]
    assert fit.weight_F[2] == 0 and np.isnan(fit.error_F[2])
    assert np.isfinite(fit.error_F[:2]).all()
    assert fit.identification.is_identified_N.tolist() == [True, True, False]


def test_choices_that_are_foretold_without_fail_are_told() -> None:
    data = drawn(np.random.default_rng(6))
    reward = data.feature_NF @ WEIGHTS
    best = np.maximum.reduceat(reward, data.start_C)[data.set_N]
    fit = LinearChoices().fit(choice_data(data.set_N, reward == best, data.feature_NF, ("a", "b")))
    assert fit.separated == ("a", "b")
    assert np.isnan(fit.low_F).all() and np.isfinite(fit.weight_F).all()
    assert fit.accuracy == 1.0


def test_one_feature_that_is_never_taken_against_is_told_alone() -> None:
    """Quasi-separation: a mark that only what was taken ever has."""
    rng = np.random.default_rng(7)
    data = drawn(rng)
    mark = data.chosen_N & (rng.random(len(data.chosen_N)) < 0.4)
    fit = LinearChoices().fit(choice_data(data.set_N, data.chosen_N, np.column_stack([data.feature_NF, mark]), "abm"))
    assert fit.separated == ("m",)
    held_back = LinearChoices(ChoiceConfig(ridge=0.5)).fit(
        choice_data(data.set_N, data.chosen_N, np.column_stack([data.feature_NF, mark]))
    )
    assert held_back.separated == () and np.isfinite(held_back.error_F).all()


def test_the_example_is_found_again() -> None:
    fit = LinearChoices().fit(example_choices(np.random.default_rng(0), num=800))
    true = np.array(list(WAY_WEIGHTS.values()))
    assert (np.abs(fit.weight_F - true) < 3.5 * fit.error_F).all()


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_choices_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    data = drawn(np.random.default_rng(8), 5)
    write_choices(data, tmp_path / f"choices{suffix}")
    read = read_choices(tmp_path / f"choices{suffix}")
    np.testing.assert_allclose(read.feature_NF, data.feature_NF, rtol=1e-11)
    np.testing.assert_array_equal(read.set_N, data.set_N)
    np.testing.assert_array_equal(read.chosen_N, data.chosen_N)
    assert read.feature_names == data.feature_names


def test_rows_of_a_set_need_not_stand_together(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("chosen,x,set\n1,3,b\n0,1,a\n0,2,b\n1,4,a\n\n")
    data = read_choices(tmp_path / "c.csv")
    assert data.feature_NF[:, 0].tolist() == [3, 2, 1, 4]
    assert data.chosen_N.tolist() == [True, False, False, True]


BAD_CSV = [
    ("", "the file is empty"),
    ("set,x\n1,2\n", "line 1 must name a column 'chosen' once"),
    ("sets,chosen,x\n", "line 1 must name a column 'set' once, got sets, chosen, x. Did you mean 'sets'"),
    ("set,chosen,x\n", "numbers of shape"),
    ("set,chosen\n1,0\n1,1\n", "features must be numbers of shape"),
    ("set,chosen,x\n1,0,2\n1,1\n", "line 3 has 2 cells, and line 1 names 3 columns"),
    ("set,chosen,x\n1,0,2\n1,1,nan\n", "line 3: x must be a finite number, got 'nan'"),
    ("set,chosen,x\n1,0,2\n1,yes,1\n", "line 3: chosen must be a finite number, got 'yes'"),
    ("set,chosen,x\n1,0,2\n1,2,1\n", "line 3: chosen must be 0 or 1, got 2.0"),
    ("set,chosen,x\n1,0,2\n1,0,1\n", "line 2: set '1' must have one alternative with chosen 1, got 0"),
    ("set,chosen,x\n1,1,2\n1,1,1\n", "line 2: set '1' must have one alternative with chosen 1, got 2"),
    ("set,chosen,x\n1,1,2\n1,0,1\n2,1,1\n", "line 4: set '2' has one alternative alone"),
    ("set,chosen,x,x\n1,1,2,3\n1,0,1,1\n", "feature_names must be 2 different names"),
]


@pytest.mark.parametrize(("text", "message"), BAD_CSV)
def test_a_csv_that_does_not_hold_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(DataError, match=message) as raised:
        read_choices(tmp_path / "c.csv")
    assert str(tmp_path / "c.csv") in str(raised.value)


BAD_NPZ: list[tuple[dict[str, Any], str]] = [
    ({"chosen": None}, "chosen is missing"),
    ({"features": np.array([[1.0], [np.inf]])}, "row 1: feature 0 must be a finite number"),
    ({"features": np.array([1.0, 2.0])}, "features must be numbers of shape"),
    ({"chosen": np.array([1, 0, 0])}, "must have a value for each of 2 rows"),
    ({"set": np.array([[0, 0]])}, "set must have one dimension"),
    ({"sets": np.array([0])}, "no field 'sets'. Did you mean 'set'"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_NPZ)
def test_an_npz_that_does_not_hold_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    good = {"set": np.array([0, 0]), "chosen": np.array([1, 0]), "features": np.array([[1.0], [2.0]])}
    np.savez(tmp_path / "c.npz", **{name: value for name, value in (good | changes).items() if value is not None})
    with pytest.raises(DataError, match=message):
        read_choices(tmp_path / "c.npz")


def test_other_files_and_settings_are_refused(tmp_path: Path) -> None:
    for name in ("c.txt", "c"):
        with pytest.raises(DataError, match=r"choices are read from \.csv or \.npz"):
            read_choices(tmp_path / name)
    with pytest.raises(DataError, match="does not exist"):
        read_choices(tmp_path / "c.csv")
    (tmp_path / "c.csv").write_bytes(b"set,chosen,x\n\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read_choices(tmp_path / "c.csv")
    for settings, message in (({"level": 1.0}, "level"), ({"ridge": -1.0}, "ridge"), ({"method": "probit"}, "method")):
        with pytest.raises(ConfigError, match=message):
            ChoiceConfig(**settings)  # type: ignore[arg-type]

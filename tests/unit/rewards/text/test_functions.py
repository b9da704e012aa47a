"""Functions in TRL's signature, and what happens when they do not keep it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError, RewardError
from heeler.core.functions import load_function
from heeler.rewards.text.functions import FunctionReward
from heeler.rewards.text.part import scores_of
from tests.unit.rewards.text.samples import chat, plain

SAMPLES = [chat("q1", "a", answer="a"), chat("q2", "b", answer="c"), chat("q3", "c", other=1)]


def test_it_is_called_as_trl_calls_it() -> None:
    seen: dict[str, Any] = {}

    def reward(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float]:
        seen.update(columns, prompts=prompts, completions=completions)
        return [0.0] * len(prompts)

    FunctionReward(reward).score(SAMPLES[:2])
    assert seen == {
        "prompts": [[{"role": "user", "content": "q1"}], [{"role": "user", "content": "q2"}]],
        "completions": [[{"role": "assistant", "content": "a"}], [{"role": "assistant", "content": "b"}]],
        "answer": ["a", "c"],
    }


def test_plain_prompts_are_given_as_text() -> None:
    def reward(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float]:
        return [float(pair == ("", "x")) for pair in zip(prompts, completions, strict=True)]

    assert FunctionReward(reward).score([plain("x")]) == [1.0]


def test_a_function_is_given_the_columns_that_it_names() -> None:
    def exact(completions: list[Any], answer: list[str | None]) -> list[float | None]:
        return [None if a is None else float(c[0]["content"] == a) for c, a in zip(completions, answer, strict=True)]

    assert FunctionReward(exact).score(SAMPLES) == [1.0, 0.0, None]
    assert FunctionReward(exact).name == "exact"
    with pytest.raises(RewardError, match="'exact' needs the column 'answer', and there is other"):
        FunctionReward(exact).score(SAMPLES[2:])


def test_a_default_makes_a_column_optional() -> None:
    def reward(completions: list[Any], bonus: list[float] | None = None) -> list[float]:
        return [0.0 if bonus is None else 1.0 for _ in completions]

    assert FunctionReward(reward).score(SAMPLES) == [0.0, 0.0, 0.0]
    assert FunctionReward(reward).score([plain("x", bonus=1)]) == [1.0]


def test_an_async_function_is_waited_for() -> None:
    async def later(prompts: list[Any], completions: list[Any]) -> list[float]:
        return [2.0 for _ in prompts]

    assert FunctionReward(later).score(SAMPLES) == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("bad", [0, 3, 6])
def test_a_reward_function_that_raises_names_part_and_row(bad: int) -> None:
    def fragile(completions: list[str]) -> list[float]:
        if "bad" in completions:
            raise ZeroDivisionError("oh")
        return [0.0 for _ in completions]

    samples = [plain("bad" if i == bad else "fine") for i in range(7)]
    with pytest.raises(RewardError, match=rf"'fragile' raised ZeroDivisionError on row {bad}: oh"):
        FunctionReward(fragile).score(samples)


def test_a_function_that_raises_on_several_together_alone_says_so() -> None:
    def picky(completions: list[str]) -> list[float]:
        if len(completions) > 1:
            raise RuntimeError("too many")
        return [0.0]

    with pytest.raises(RewardError, match="on a batch of 3: too many"):
        FunctionReward(picky).score([plain("x")] * 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0, 2.0], "gave 2 scores for 3 samples"),
        ([], "gave 0 scores for 3 samples"),
        (None, "must give a list of 3 scores, got NoneType"),
        (1.0, "must give a list of 3 scores, got float"),
        ([1.0, float("nan"), 2.0], "row 1: a score must be a finite number or None, got nan"),
        ([1.0, 2.0, float("inf")], "row 2: a score must be a finite number"),
        ([1.0, "2", 3.0], "row 1: a score must be a finite number or None, got '2'"),
        ([1.0, 2.0, [3.0]], "row 2: a score"),
        (np.array([1.0, np.nan, 2.0]), "row 1: a score"),
        ([1.0, 2.0, torch.tensor([1.0, 2.0])], "row 2: a score"),
    ],
)
def test_a_reward_function_with_the_wrong_length_or_nan_names_part_and_row(given: Any, message: str) -> None:
    with pytest.raises(RewardError, match=f"'f'.*{message}"):
        FunctionReward(lambda **_: given, name="f").score(SAMPLES)


def test_numbers_of_all_kinds_become_floats() -> None:
    given = [True, np.float32(0.5), torch.tensor(2)]
    scores = FunctionReward(lambda **_: given, name="f").score(SAMPLES)
    assert scores == [1.0, 0.5, 2.0]
    assert all(type(score) is float for score in scores)
    assert FunctionReward(lambda **_: torch.tensor([1.0, 2.0, 3.0]), name="f").score(SAMPLES) == [1.0, 2.0, 3.0]


def test_what_cannot_be_called_by_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="by name"):
        FunctionReward(eval("lambda prompts, /: []"), name="f")
    with pytest.raises(ConfigError, match="callable"):
        FunctionReward(7, name="f")  # type: ignore[arg-type]


def test_any_part_that_raises_is_named() -> None:
    class Broken:
        name = "broken"

        def score(self, samples: Any) -> Any:
            raise KeyError("x")

    with pytest.raises(RewardError, match=r"'broken' raised KeyError: 'x' on a batch of 3"):
        scores_of(Broken(), SAMPLES)


def test_a_function_is_found_in_a_file_or_a_module(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rewards.py").write_text(f"def f(completions, **_):\n    return ['{name}']\n")
    found = [load_function(f"{tmp_path / name / 'rewards.py'}:f") for name in ("one", "two", "one")]
    assert [function(completions=[]) for function in found] == [["one"], ["two"], ["one"]]
    assert load_function("heeler.rewards.text.functions:FunctionReward.score") is FunctionReward.score


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("f", "FILE.py:NAME or MODULE:NAME"),
        (":f", "FILE.py:NAME or MODULE:NAME"),
        ("a.py:", "FILE.py:NAME or MODULE:NAME"),
        ("none.py:f", "there is no file none.py"),
        ("heeler.nothing:f", "heeler.nothing cannot be imported for 'f': ModuleNotFoundError"),
        ("heeler.core.functions:load_funktion", "Did you mean 'load_function'"),
        ("heeler.rewards.text.functions:_OWN", "must be a function, got tuple"),
    ],
)
def test_a_function_that_is_not_there_is_a_clear_error(target: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_function(target)


def test_it_says_which_columns_it_needs() -> None:
    assert FunctionReward(lambda prompts, completions, answer, bonus=1, **_: [], name="f").needs == {"answer"}

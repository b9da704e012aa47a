"""`heeler run chat` with parts of the reward that its user brings."""

import json
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.core.rundir import RunDirectory
from tests.tiny_models import tiny_llama

FUNCTIONS = """
def letters(completions, length, **_):
    return [sum(map(str.isalpha, text)) / wanted for text, wanted in zip(completions, length)]

def shouts(completions, **_):
    return [float(any(map(str.isupper, text))) for text in completions]

def same(completions, **_):
    return [1.0] * len(completions)

def late(completions, seen=[], **_):
    seen.append(1)
    return [1.0] * len(completions) if len(seen) < 2 else [float("nan")] * len(completions)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A run of two updates by nothing but what `--set` adds."""
    tiny_llama(max_length=256).save(tmp_path / "model")
    rows = [{"prompt": f"q{i}?", "length": 4 + i} for i in range(12)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "rewards.py").write_text(FUNCTIONS)
    flags = ["--num-updates", "2", "--answers-per-update", "0", "--max-new-tokens", "6"]
    settings = [
        "model.lora=null",
        "learned=null",
        "asking=null",
        "release=null",
        "watch=null",
        "num_prompts=3",
        "num_each=2",
    ]
    settings += ["torch_threads=1", "num_evaluation_items=1", "checkpoint_every=1", "parts.repetition=0"]
    paths = ["--model", str(tmp_path / "model"), "--prompts", str(tmp_path / "prompts.jsonl")]
    return ["run", "chat", *paths, "--run-dir", str(tmp_path / "run"), *flags, "--set", *settings]


def test_a_function_of_a_file_is_a_reward_and_another_a_cost_with_a_budget(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rewards.py"
    functions = f"parts.functions=[{{function: {file}:letters, weight: 1}}, {{function: {file}:shouts, weight: 0}}]"
    assert main([*command, functions, "budgets.limits=[{part: shouts, at_most: 0.01}]"]) == 0
    rows = RunDirectory.open(tmp_path / "run").metrics()
    assert len(rows) == 2 and rows[-1]["rewards/letters/mean"] > 0
    assert rows[-1]["costs/shouts/budget"] == 0.01
    assert (rows[-1]["costs/shouts/mean"] > 0.01) == (rows[-1]["multipliers/shouts"] > 0)
    told = capsys.readouterr()
    assert "shouts 0" in told.out and "nothing" not in told.out + told.err
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "shouts" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_without_anything_to_learn_from_says_so(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = f"parts.functions=[{{function: {tmp_path / 'rewards.py'}:same, weight: 1}}]"
    # What an untrained model says may be taken for toxic.
    assert main([*command, functions, "budgets.toxicity=null", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["has_learned"] is False
    assert "nothing to learn from" in told.err and "heeler: nothing was learned" in told.err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("parts.functions=[{function: FILE:letters}]", "parts.functions[0].weight is missing"),
        ("parts.functions=[{function: FILE:leters, weight: 1}]", "parts.functions[0]: "),
        ("parts.functions={function: FILE:letters, weight: 1}", "parts.functions: "),
        ("parts.helpfulness=1", "parts.helpfulness: the prompts of"),
        ("parts.schemas=[{schema: /none.json, weight: 1}]", "parts.schemas[0]: /none.json"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence_and_nothing_is_written(
    setting: str, words: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, setting.replace("FILE", str(tmp_path / "rewards.py"))]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_function_that_fails_on_the_way_is_named_with_how_to_go_on(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rewards.py"
    assert main([*command, f"parts.functions=[{{function: {file}:late, weight: 1}}]"]) == 2
    told = capsys.readouterr().err
    assert "reward part 'late', row 0: a score must be a finite number or None, got nan" in told
    assert f"go on by: heeler resume {tmp_path / 'run'}" in told
    file.write_text(FUNCTIONS.replace('float("nan")', "2.0"))
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert [row["update"] for row in RunDirectory.open(tmp_path / "run").metrics()] == [1, 2]

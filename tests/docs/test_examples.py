"""Every promise in the docs is run: commands, Python blocks and the examples in docstrings.

Runs are made small; what is written in the docs is otherwise done as it stands.
"""

import doctest
import functools
import importlib
import pkgutil
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import heeler
from heeler import recipes
from heeler.cli import COMMANDS, main
from heeler.loop import RunConfig, run

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shrunk(recipe: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """The recipe with two short rollouts in a few short episodes."""

    @functools.wraps(recipe)
    def small(**arguments: object) -> RunConfig:
        config = recipe(**arguments)
        env = replace(config.env, num_envs=8, kwargs={**config.env.kwargs, "max_episode_steps": 60})
        asking = config.preferences
        if asking is not None:
            schedule = replace(asking.schedule, budget=min(asking.schedule.budget, 16))
            model = replace(asking.model, max_epochs=2)
            asking = replace(asking, schedule=schedule, model=model, num_warmup_rollouts=1)
        steps = 2 * 8 * config.num_steps
        return replace(config, env=env, total_steps=steps, num_evaluation_episodes=2, preferences=asking)

    return small


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory in which every recipe is a small one."""
    small = {name: shrunk(recipe) for name, recipe in recipes.RECIPES.items()}
    monkeypatch.setattr(recipes, "RECIPES", small)
    for name, recipe in small.items():
        monkeypatch.setattr(recipes, name, recipe)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def commands_in(text: str) -> list[str]:
    """Each `heeler ...` in the text, in code spans and in blocks; those with a placeholder to fill in are left out."""
    spans = re.findall(r"`(heeler [^`\n]+)`", text)
    lines = [
        line.partition("  #")[0] for block in re.findall(r"```.*?\n(.*?)```", text, re.S) for line in block.splitlines()
    ]
    found = [*spans, *(line.strip() for line in lines if line.strip().startswith("heeler "))]
    complete = [command for command in found if not re.search(r"(^|\s)([A-Z][A-Z.=]+|\.\.\.|<.*>)(\s|$)", command)]
    return [command for command in dict.fromkeys(complete) if len(command.split()) > 1]


def has_all_its_arguments(words: list[str]) -> bool:
    """Whether a command can be run as it stands; `heeler run` alone only names the command."""
    needs_more = {"run": 2, "resume": 2, "evaluate": 2, "watch": 2, "report": 2, "export": 2}
    return "--help" in words or len(words) >= needs_more.get(words[0], 1)


@pytest.mark.parametrize("doc", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_do_what_is_said(doc: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [shlex.split(command)[1:] for command in commands_in(doc.read_text("utf-8"))]
    finished = run(recipes.RECIPES["backflip"](), workplace / "finished").path
    for words in filter(has_all_its_arguments, commands):
        for word in words:
            if word.startswith("runs/") and words[0] != "run" and not Path(word).exists():
                shutil.copytree(finished, word)
        code = main(words)
        assert code == 0, f"heeler {' '.join(words)}: {capsys.readouterr().err}"


def test_the_readme_names_every_command() -> None:
    named = {command.split()[1] for command in commands_in((ROOT / "README.md").read_text("utf-8"))}
    assert named >= set(COMMANDS)


@pytest.mark.parametrize("doc", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_python_blocks_run(doc: Path, workplace: Path) -> None:
    names: dict[str, object] = {"__name__": "example"}
    for block in re.findall(r"```python\n(.*?)```", doc.read_text("utf-8"), re.S):
        exec(compile(block, str(doc), "exec"), names)


def test_the_make_goals_are_there() -> None:
    goals = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for doc in DOCS:
        text = doc.read_text("utf-8")
        named = set(re.findall(r"`make ([a-z]+)", text)) | set(re.findall(r"^make ([a-z]+)", text, re.M))
        assert named <= goals, doc


def modules() -> list[str]:
    """Every module of heeler; the migrations' `env` is alembic's to run."""
    found = [module.name for module in pkgutil.walk_packages(heeler.__path__, "heeler.")]
    return ["heeler", *(name for name in found if name not in ("heeler.__main__", "heeler.feedback.migrations.env"))]


def test_the_examples_in_docstrings_hold() -> None:
    num_examples = 0
    for name in modules():
        found = doctest.testmod(importlib.import_module(name))
        assert found.failed == 0, name
        num_examples += found.attempted
    assert num_examples >= 10

"""Every promise in the docs is run: commands, Python blocks and the examples in docstrings.

Runs are made small; what is written in the docs is otherwise done as it stands.
"""

import doctest
import functools
import importlib
import inspect
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import heeler
from heeler import recipes
from heeler.cli import COMMANDS, main
from heeler.loop import RunConfig, run
from heeler.loop.language.config import LanguageRunConfig

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def short(config: LanguageRunConfig) -> LanguageRunConfig:
    """Two updates on a few prompts, and no gate."""
    assert config.asking is not None
    asking = replace(config.asking, num_held_out=2, per_update=2)
    sampling = replace(config.sampling, max_new_tokens=16)
    sizes = {"num_updates": 2, "num_prompts": 4, "num_each": 2, "num_evaluation_items": 8}
    return replace(config, **sizes, asking=asking, sampling=sampling, release=None)


def shrunk(recipe: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """The recipe with two short rollouts in a few short episodes."""

    @functools.wraps(recipe)
    def small(**arguments: object) -> RunConfig:
        config = recipe(**arguments)
        if isinstance(config, LanguageRunConfig):
            return short(config)
        if not isinstance(config, RunConfig):
            # A fit to a file is as long as the file is.
            return config
        env = replace(config.env, num_envs=8, kwargs={**config.env.kwargs, "max_episode_steps": 60})
        asking = config.preferences
        if asking is not None:
            schedule = replace(asking.schedule, budget=min(asking.schedule.budget, 16))
            model = replace(asking.model, max_epochs=2)
            asking = replace(asking, schedule=schedule, model=model, num_warmup_rollouts=1)
        every = config.kinds
        if every is not None:
            schedule = replace(every.schedule, budget=min(every.schedule.budget, 40))
            reward = replace(every.model.reward, max_epochs=2)
            every = replace(every, schedule=schedule, model=replace(every.model, reward=reward), num_warmup_rollouts=1)
        steps = 2 * 8 * config.num_steps
        return replace(config, env=env, total_steps=steps, num_evaluation_episodes=2, preferences=asking, kinds=every)

    return small


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory in which every recipe is a small one."""
    small = {name: shrunk(recipe) for name, recipe in recipes.RECIPES.items()}
    monkeypatch.setattr(recipes, "RECIPES", small)
    for name, recipe in small.items():
        monkeypatch.setattr(recipes, name.replace("-", "_"), recipe)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


CODE = re.compile(r"```(?P<language>\w*)\n(?P<block>.*?)```|`(?P<span>heeler [^`\n]+)`", re.S)
PLACEHOLDER = re.compile(r"(^|\s)([A-Z][A-Z.=]+|\.\.\.|<.*>)(\s|$)")


def steps_in(text: str) -> Iterator[tuple[str, str]]:
    """("heeler", command) and ("python", code) in the order in which a reader meets them.

    A command with a placeholder to fill in, or that lacks its arguments and so only names the command, is left out.
    """
    for found in CODE.finditer(text):
        if found["language"] == "python":
            yield "python", found["block"]
            continue
        lines = [found["span"]] if found["span"] else [line.partition("  #")[0] for line in found["block"].splitlines()]
        for line in map(str.strip, lines):
            if line.startswith("heeler ") and not PLACEHOLDER.search(line) and has_its_arguments(shlex.split(line)[1:]):
                yield "heeler", line


def has_its_arguments(words: list[str]) -> bool:
    """Whether a command can be run as it stands."""
    lonely = {"recipes", "doctor"}
    return "--help" in words or words[0] in lonely or words[0].startswith("-") or len(words) > 1


def has_steps(recipe: str) -> bool:
    """Whether a recipe can be told how long to learn."""
    return "total_steps" in inspect.signature(recipes.RECIPES[recipe]).parameters


ANSWERING = """
import pathlib, time
while not pathlib.Path({store!r}).exists():
    time.sleep(0.05)
"""


def run_command(line: str, beside: str | None, finished: Callable[[], Path]) -> int:
    """Do what a command line says; where people are to answer, with the docs' own program running beside it."""
    words = shlex.split(line)[1:]
    if words[0] == "run" and "--set" in words and has_steps(words[1]):
        # A run with settings is as long as its arguments say, and not as the small recipe does.
        words.insert(words.index("--set") + 1, "total_steps=4096")
    for word in words:
        if word.startswith("runs/") and words[0] != "run" and not Path(word).exists():
            shutil.copytree(finished(), word)
    if words[0] == "serve":
        return serve_for_a_moment(words)
    if "--teacher" not in words or "people" not in words:
        return main(words)
    assert beside is not None, f"{line}: nothing in the docs answers"
    store = f"{words[words.index('--run-dir') + 1]}/heeler.db"
    assert store in beside
    answering = subprocess.Popen([sys.executable, "-c", ANSWERING.format(store=store) + beside])
    try:
        return main(words)
    finally:
        answering.terminate()
        answering.wait()


def serve_for_a_moment(words: list[str]) -> int:
    """Start what would go on for ever, have it say where it is, and stop it."""
    command = [sys.executable, "-m", "heeler", *words, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        said = serving.stdout.readline()
        serving.terminate()
    assert said.startswith("Serving runs on http://127.0.0.1:")
    return 0


@pytest.mark.parametrize("doc", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.timeout(900)
def test_commands_and_programs_do_what_is_said(doc: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @functools.cache
    def finished() -> Path:
        return run(recipes.RECIPES["backflip"](), workplace / "finished").path

    names: dict[str, object] = {"__name__": "example"}
    beside: str | None = None
    for kind, code in steps_in(doc.read_text("utf-8")):
        if kind == "heeler":
            assert run_command(code, beside, finished) == 0, f"{code}: {capsys.readouterr().err}"
        elif "while True:" in code:
            # A program that goes on for ever is meant to run beside the next command.
            beside = code
        else:
            exec(compile(code, str(doc), "exec"), names)


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert {shlex.split(line)[1] for kind, line in steps_in(text) if kind == "heeler"} >= set(COMMANDS)


def test_what_counts_as_a_step() -> None:
    text = (
        "`heeler run` is told by `heeler run RECIPE --x`:\n"
        "```\nheeler doctor  # looks\nmake it\n```\n"
        "```python\na = 1\n```\n"
    )
    assert list(steps_in(text + "`heeler report runs/NAME`")) == [
        ("heeler", "heeler doctor"),
        ("python", "a = 1\n"),
        ("heeler", "heeler report runs/NAME"),
    ]


def test_the_make_goals_are_there() -> None:
    goals = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for doc in DOCS:
        text = doc.read_text("utf-8")
        named = set(re.findall(r"`make ([a-z]+)", text)) | set(re.findall(r"^make ([a-z]+)", text, re.M))
        assert named <= goals, doc


def modules() -> list[str]:
    """Every module of heeler; the migrations' `env` is alembic's to run."""
    found = [module.name for module in pkgutil.walk_packages(heeler.__path__, "heeler.")]
    return ["heeler", *(name for name in found if name != "heeler.__main__" and not name.endswith(".migrations.env"))]


def test_the_examples_in_docstrings_hold() -> None:
    num_examples = 0
    for name in modules():
        found = doctest.testmod(importlib.import_module(name))
        assert found.failed == 0, name
        num_examples += found.attempted
    assert num_examples >= 10

"""`heeler run` and `heeler resume`. What is heavy is imported inside, so that help and mistakes answer at once."""

import dataclasses
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from heeler.cli.arguments import (
    OK,
    USAGE,
    Json,
    Run,
    in_words,
    once_it_is_back,
    parsed,
    print_json,
    resume_command,
)
from heeler.cli.console import ServeFlags, console_beside
from heeler.cli.endings import tell_interrupted, tell_refused, tell_stopped
from heeler.cli.evaluative_running import resume_from_signals, run_from_signals
from heeler.cli.held_out import refuse_only_held_out
from heeler.cli.language_running import resume_language_model, run_language_model
from heeler.cli.offline_running import resume_from_data, run_from_data
from heeler.cli.recipe_flags import (
    NoServe,
    Open,
    Port,
    RecipeFlags,
    RunArguments,
    Serve,
    argument_class,
    read_recipes,
    recipe_named,
    run_arguments,
)
from heeler.cli.reward_running import resume_reward, run_reward
from heeler.core.errors import ConfigError, RunStopped, StoreAway, WorldError

if TYPE_CHECKING:
    from heeler.loop.config import RunConfig
    from heeler.loop.running import RunResult

OnMetrics = Callable[[Mapping[str, float]], None]
OnBegin = Callable[[], None]
OnWarning = Callable[[str], None]
Learn = Callable[[OnMetrics, OnBegin, OnWarning], "RunResult"]


def run_recipe(arguments: Sequence[str]) -> int:
    """Start a run of a recipe, or go on with it: heeler run RECIPE --help shows what it takes."""
    recipes = read_recipes()
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: heeler run RECIPE [--flags]\n\nRecipes (heeler run RECIPE --help shows what each takes):")
        print("\n".join(f"  {name:<14}{recipe.summary}" for name, recipe in recipes.items()))
        return OK if arguments else USAGE
    name = arguments[0]
    recipe = recipe_named(name, recipes)
    filled = parsed(argument_class(recipe), f"run {name}", arguments[1:], recipe.summary)
    return _run(recipe, run_arguments(recipe, filled))


def _run(recipe: RecipeFlags, arguments: RunArguments) -> int:
    from heeler.loop.config import from_dict, to_dict
    from heeler.loop.evaluative.config import EvaluativeRunConfig
    from heeler.loop.language.config import LanguageRunConfig
    from heeler.loop.offline.config import OfflineRunConfig
    from heeler.loop.reward_config import RewardRunConfig
    from heeler.loop.running import run
    from heeler.loop.settings import assign
    from heeler.recipes import RECIPES

    recipe_arguments, settings = dict(arguments.recipe), list(arguments.settings)
    if settings and "total_steps" in recipe_arguments:
        # Settings may change how long an update is; the run must be as long as theirs, not as the recipe's own.
        settings.insert(0, f"total_steps={recipe_arguments.pop('total_steps')}")
    config = RECIPES[recipe.name](**recipe_arguments)
    if isinstance(config, OfflineRunConfig):
        return run_from_data(config, arguments, settings)
    _refuse_several_processes(recipe.name)
    if isinstance(config, EvaluativeRunConfig):
        return run_from_signals(config, arguments, settings)
    if isinstance(config, RewardRunConfig):
        return run_reward(config, arguments, settings)
    if isinstance(config, LanguageRunConfig):
        return run_language_model(config, arguments, settings)
    if settings:
        values = assign(to_dict(config), settings)
        config = from_dict(values | {"store": arguments.store} if arguments.store else values)
    elif arguments.store:
        config = dataclasses.replace(config, store=arguments.store)
    path = arguments.run_dir or Path("runs") / default_name(config)
    refuse_only_held_out(config, path)

    def learn(on_metrics: OnMetrics, on_begin: OnBegin, on_warning: OnWarning) -> "RunResult":
        return run(config, path, on_metrics=on_metrics, on_begin=on_begin, on_warning=on_warning)

    return _learn(config, path, arguments.json, arguments.serve, learn)


def _refuse_several_processes(name: str) -> None:
    from heeler.models.data_parallel import is_started_by_torchrun

    if is_started_by_torchrun():
        raise ConfigError(f"{name} learns in one process, and torchrun started several; sft and dpo share their work")


def default_name(config: "RunConfig") -> str:
    """What a run's directory is called: recipe, world (where the recipe does not say it) and seed."""
    world = re.sub(r"[^\w.-]+", "-", config.env.id)
    parts = (config.recipe, "" if world.lower() == config.recipe else world, f"seed{config.seed}")
    return "-".join(part for part in parts if part)


def resume(
    run: Run,
    *,
    json: Json = False,
    serve: Serve = False,
    no_serve: NoServe = False,
    port: Port = None,
    open: Open = False,
) -> int:
    """Go on with a run from its newest sound checkpoint.

    Args:
        run: the run's directory.
        json: print the result as JSON; progress goes to the error stream.
        serve: serve the run's folder to people; so it is where people answer.
        no_serve: serve nothing, although people answer: another service does, or programs.
        port: where to serve; 8642 or the next that is free if not given.
        open: open a browser there, where this machine has a display.
    """
    from heeler.core.rundir import RunDirectory

    directory = RunDirectory.open(run)
    from heeler.loop.config import REWARD_MODEL, from_dict
    from heeler.loop.evaluative.config import is_evaluative_config
    from heeler.loop.language.config import is_language_config
    from heeler.loop.offline.config import is_offline_config
    from heeler.loop.running import resume as go_on

    def learn(on_metrics: OnMetrics, on_begin: OnBegin, on_warning: OnWarning) -> "RunResult":
        return go_on(run, on_metrics=on_metrics, on_begin=on_begin, on_warning=on_warning)

    flags = ServeFlags(serve=serve, no_serve=no_serve, port=port, open=open)
    if directory.config().get("recipe") == REWARD_MODEL:
        return resume_reward(run, json=json, flags=flags)
    if is_evaluative_config(directory.config()):
        return resume_from_signals(run, json=json, flags=flags)
    if is_offline_config(directory.config()):
        return resume_from_data(run, json=json, flags=flags)
    if is_language_config(directory.config()):
        return resume_language_model(run, json=json, flags=flags)
    return _learn(from_dict(directory.config()), run, json, flags, learn)


def _learn(config: "RunConfig", path: Path, as_json: bool, flags: ServeFlags, learn: Learn) -> int:
    from heeler.cli.display import RunDisplay
    from heeler.core.rundir import RunDirectory
    from heeler.loop.evaluations import saved_evaluation
    from heeler.loop.reading import newest_sound_checkpoint
    from heeler.loop.report import write_report

    stream = sys.stderr if as_json else sys.stdout
    console = console_beside(path, flags, stream, people=config.asks_people)
    display = RunDisplay(config, stream, lambda: None if console is None else console.url)
    print(_opening(config, path, display.total), file=stream, flush=True)

    def begin() -> None:
        if console is not None:
            console.start(display.say)

    try:
        with display, console or nullcontext():
            result = learn(display, begin, lambda words: print(f"heeler: {words}", file=sys.stderr, flush=True))
        directory = RunDirectory(result.path)
        evaluation = saved_evaluation(directory, newest_sound_checkpoint(directory))
        assert evaluation is not None
        report = write_report(path)
    except WorldError as error:
        if not RunDirectory(path).checkpoint_steps():
            raise
        raise WorldError(f"{error}. What was learned is kept: {resume_command(path)}") from error
    except StoreAway as error:
        raise once_it_is_back(error, path) from None
    except RunStopped as stopped:
        return tell_stopped(path, stopped)
    except KeyboardInterrupt:
        return tell_interrupted(path, f"step {display.step:,}")
    tell_refused(result.refused_checkpoints)
    if as_json:
        shown = {"run": str(path), "recipe": config.recipe, "seed": config.seed, "step": evaluation.step}
        shown |= {"evaluation": evaluation.to_dict(), "report": str(report), "refused": result.refused_checkpoints}
        print_json(shown)
    else:
        print(f"{in_words(evaluation, config)}\nReport: {report}")
    return OK


def _opening(config: "RunConfig", path: Path, total: int) -> str:
    from heeler.core.rundir import RunDirectory
    from heeler.loop.config import to_dict

    what = f"{config.recipe} in {config.env.id}, seed {config.seed}"
    directory = RunDirectory(path)
    is_same = (path / "config.yaml").exists() and directory.config() == to_dict(config)
    checkpoint = directory.newest_checkpoint()[0] if is_same else None
    step = 0 if checkpoint is None else checkpoint.step
    if step >= total:
        return f"{what}: {path} is finished ({step:,} steps); playing fresh episodes"
    begins = f"going on in {path} from step {step:,} of {total:,}" if step else f"{total:,} steps in {path}"
    return f"{what}: {begins}{_who_answers(config, path)}"


def _who_answers(config: "RunConfig", path: Path) -> str:
    if not config.asks_people:
        return ""
    from heeler.feedback.stores import STORE_NAME

    where = config.store or path / STORE_NAME
    return f"\nPeople are asked: questions stand in {where}; docs/tutorial.md shows how people and programs answer"

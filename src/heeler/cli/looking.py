"""The commands that look at runs and at this machine. What is heavy is imported inside them."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from heeler.cli.arguments import BROKEN, OK, File, Json, RecipeName, Run, as_set, flag_name, in_words, print_json
from heeler.cli.language_running import refuse_missing_packages
from heeler.cli.recipe_flags import REQUIRED, RecipeFlags, read_recipes, recipe_named
from heeler.core.errors import ConfigError


def evaluate(
    run: Run,
    *,
    episodes: int = 20,
    seed: int | None = None,
    shield: str | None = None,
    overseers: Literal["own", "none"] = "own",
    json: Json = False,
) -> int:
    """Play fresh episodes with a run's newest policy, acting by its likeliest action.

    Args:
        run: the run's directory; nothing in it is changed.
        episodes: how many.
        seed: of the episodes; without it those that the run was judged by at its end.
        shield: a YAML file with a shield to put before the policy, or none to take the run's own away.
        overseers: the run's own, or none to play without them.
        json: print the result as JSON.
    """
    _expect_run(run)
    from heeler.core.rundir import RunDirectory
    from heeler.loop.config import from_dict
    from heeler.loop.evaluations import evaluate_run
    from heeler.loop.shield_files import read_shield

    chosen = "own" if shield is None else None if shield == "none" else read_shield(Path(shield))
    seen_by = "own" if overseers == "own" else None
    evaluation = evaluate_run(run, num_episodes=episodes, seed=seed, shield=chosen, overseers=seen_by)
    _tell_refused_checkpoints(run)
    if json:
        print_json({"run": str(run), **evaluation.to_dict()})
    else:
        print(in_words(evaluation, from_dict(RunDirectory.open(run).config())))
    return OK


def watch(
    run: Run,
    *,
    out: Path | None = None,
    episodes: int = 1,
    seconds: float = 20.0,
    seed: int | None = None,
    json: Json = False,
) -> int:
    """Film a run's newest policy and print where the clip is.

    Args:
        run: the run's directory.
        out: the clip, .webp or .gif; without it media/step-N.webp of the run.
        episodes: how many to film.
        seconds: the longest clip, in the world's own time.
        seed: of the episodes.
        json: print the result as JSON.
    """
    _expect_run(run)
    from heeler.loop.clips import watch_run

    filmed = watch_run(run, out, num_episodes=episodes, max_s=seconds, seed=seed)
    _tell_refused_checkpoints(run)
    if json:
        shown = {"num_steps": filmed.clip.num_steps, "duration_s": filmed.clip.duration_s}
        print_json({"clip": str(filmed.path), "step": filmed.step, **shown})
    else:
        print(filmed.path)
    return OK


def report(run: Run, *, json: Json = False) -> int:
    """Write report.html of a run, finished or not: one file that needs nothing else.

    Args:
        run: the run's directory.
        json: print the result as JSON.
    """
    _expect_run(run)
    from heeler.loop.report import write_report

    path = write_report(run)
    _tell_refused_checkpoints(run)
    _tell_stale_reward(run)
    if json:
        print_json({"report": str(path), "size_mb": round(path.stat().st_size / 1e6, 3)})
    else:
        print(path)
    return OK


def export(
    run: Run,
    *,
    out: Path | None = None,
    release: str | None = None,
    newest: bool = False,
    merge: bool = False,
    json: Json = False,
) -> int:
    """Write what a run has learned so that others can use it without heeler.

    Of a run in a world it is the newest policy, or a release where one is named, which runs with NumPy alone:
    policy.safetensors, policy.json and policy.py. Of a language model's run it is the release in use, as a folder that
    transformers loads; peft where the run learns an adapter.

    Args:
        run: the run's directory.
        out: the folder to write to; without it the folder export of the run. A language model's must not be there yet.
        release: another release or candidate, by its step, its id or how that begins.
        newest: of a language model: the newest checkpoint, whatever a gate says of it.
        merge: of a language model that learns an adapter: the whole model, with the adapter added to its weights.
        json: print the result as JSON.
    """
    _expect_run(run)
    if _is_language_run(run):
        return _export_language_model(run, out or run / "export", release, newest=newest, merge=merge, json=json)
    if newest or merge:
        raise ConfigError("--newest and --merge are for runs of language models; leave them out")
    from heeler.loop.exporting import export_run

    files = [str(path) for path in export_run(run, out or run / "export", release=release)]
    if release is None:
        _tell_refused_checkpoints(run)
    _tell_stale_reward(run)
    _tell_left_shield(run)
    if json:
        print_json({"files": files})
    else:
        print("\n".join(files))
    return OK


def _is_language_run(run: Path) -> bool:
    from heeler.core.rundir import RunDirectory
    from heeler.loop.language.config import is_language_config

    return is_language_config(RunDirectory.open(run).config())


def _export_language_model(run: Path, out: Path, release: str | None, *, newest: bool, merge: bool, json: bool) -> int:
    refuse_missing_packages()
    from heeler.loop.language.exporting import export_language_run

    exported = export_language_run(run, out, release=release, newest=newest, merge=merge)
    if exported.release is None:
        _tell_refused_checkpoints(run)
    if json:
        files = [str(path) for path in exported.files]
        print_json({"files": files, "step": exported.step, "release": exported.release})
    else:
        print("\n".join(str(path) for path in exported.files))
    return OK


def backup(run: Run, file: File, *, segments: Path | None = None, json: Json = False) -> int:
    """Copy a run's store to a file while the run goes on; exit code 1 where a segment could not be copied.

    Args:
        run: the run's directory.
        file: the copy; it must not be there yet.
        segments: a folder to copy the segments to as well; those that it holds already stay.
        json: print the result as JSON.
    """
    _expect_run(run)
    from heeler.loop.backing_up import back_up_run

    copied = back_up_run(run, file, segments=segments)
    for reason in copied.refused_segments:
        print(f"heeler: {reason}", file=sys.stderr)
    if json:
        print_json(asdict(copied) | {"file": str(copied.file)})
    else:
        print(f"{copied.file}: {copied.num_answers:,} answers about {copied.num_segments:,} segments")
    return BROKEN if copied.refused_segments else OK


def _expect_run(run: Path) -> None:
    """Refuse what is not a run before anything heavy is imported."""
    from heeler.core.rundir import RunDirectory

    RunDirectory.open(run)


def _tell_refused_checkpoints(run: Path) -> None:
    """On the error stream, so that what a script reads stays clean."""
    from heeler.core.rundir import RunDirectory

    checkpoint, refused = RunDirectory.open(run).newest_checkpoint()
    instead = "no other is sound" if checkpoint is None else f"step-{checkpoint.step} was used instead"
    for reason in refused:
        print(f"heeler: {reason}; {instead}", file=sys.stderr)


def _tell_left_shield(run: Path) -> None:
    from heeler.core.rundir import RunDirectory

    if RunDirectory.open(run).config().get("shield"):
        print("heeler: the policy is exported without its run's shield, which needs the world", file=sys.stderr)


def _tell_stale_reward(run: Path) -> None:
    from heeler.core.rundir import RunDirectory
    from heeler.feedback.staleness import staleness
    from heeler.feedback.stores import has_store, open_store

    directory = RunDirectory.open(run)
    if not has_store(directory):
        return
    with open_store(directory) as store:
        words = staleness(directory, store).in_words
    if words is not None:
        print(f"heeler: {words}", file=sys.stderr)


def recipes(name: RecipeName = None, *, json: Json = False) -> int:
    """List the recipes and their arguments, or every setting of one.

    Args:
        name: of a recipe, whose settings are listed with their defaults.
        json: print the list as JSON.
    """
    found = read_recipes()
    if name is not None:
        return _settings(recipe_named(name, found), json)
    if json:
        print_json({"recipes": [recipe.to_dict() for recipe in found.values()]})
        return OK
    for recipe in found.values():
        print(f"{recipe.name}: {recipe.summary}")
        for argument in recipe.arguments:
            flag = flag_name(argument.name, argument.default)
            default = "required" if argument.default is REQUIRED else f"default {argument.default}"
            print(f"  {flag:<15} {argument.help} ({default})")
    return OK


def _settings(recipe: RecipeFlags, json: bool) -> int:
    from heeler.loop.config import to_dict
    from heeler.loop.settings import described
    from heeler.recipes import RECIPES

    required = [argument.name for argument in recipe.arguments if argument.default is REQUIRED]
    config = RECIPES[recipe.name](**{name: name.upper() for name in required})
    settings = described(config, to_dict(config))
    if json:
        print_json({"name": recipe.name, "summary": recipe.summary, "settings": [asdict(s) for s in settings]})
        return OK
    print(
        f"{recipe.name}: {recipe.summary}\n\n--set NAME=VALUE changes any of these; a world may have other defaults.\n"
    )
    for setting in settings:
        print(f"{setting.name} = {as_set(setting.default)}  ({setting.type})\n  {setting.help}")
    return OK


def doctor(*, run_dir: Path = Path("runs"), json: Json = False) -> int:
    """Look at what this machine has and what a run would miss; exit code 1 where something is broken.

    Args:
        run_dir: where runs are to be made.
        json: print the result as JSON.
    """
    from heeler.loop.doctor import examine

    checks = examine(run_dir)
    if json:
        print_json({"checks": [check.to_dict() for check in checks]})
    else:
        for check in checks:
            print(f"{check.state:<7} {check.name:<12} {check.found}" + (f"; {check.mend}" if check.mend else ""))
    return BROKEN if any(check.state == "broken" for check in checks) else OK

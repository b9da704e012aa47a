"""What the commands share: their arguments, exit codes and ways of telling."""

import functools
import inspect
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from heeler.core.errors import ConfigError, StoreAway, did_you_mean

if TYPE_CHECKING:
    from heeler.loop.config import RunConfig
    from heeler.loop.evaluations import PolicyEvaluation

OK, BROKEN, USAGE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141
"""Exit codes: done; `doctor` or `backup` found something broken; what you can mend; Ctrl-C; nobody reads any more."""

Run = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="the run's directory")]
File = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE", help="the copy; it must not be there yet")]
RecipeName = Annotated[
    tyro.conf.Positional[str | None], tyro.conf.arg(metavar="RECIPE", help="whose settings are listed")
]
Json = Annotated[bool, tyro.conf.arg(help="print the result as JSON")]


def resume_command(path: Path) -> str:
    """What goes on with a run, to be typed."""
    return f"heeler resume {shlex.quote(str(path))}"


def once_it_is_back(error: StoreAway, path: Path) -> StoreAway:
    """The same of a run's store, with how to go on where there is something to go on with."""
    if not (path / "config.yaml").exists():
        return error
    return StoreAway(f"{error}. Once it is back, go on by: {resume_command(path)}")


class ParserStopped(Exception):
    """tyro has shown its help, or has said what is wrong with the command line.

    Args:
        code: what to exit with.
    """

    def __init__(self, code: int) -> None:
        self.code = code


def parsed(something: Callable[..., Any], name: str, arguments: Sequence[str], description: str | None = None) -> Any:
    """Call `something` with what the arguments say.

    Raises:
        ConfigError: a flag that it does not take, with the nearest right one.
        ParserStopped: there is nothing to call it with.
    """
    known = [*flag_names(something), "--help"]
    for argument in arguments:
        flag = argument.partition("=")[0].replace("_", "-")
        if argument.startswith("--") and flag not in known:
            near = did_you_mean(flag, known)
            raise ConfigError(f"`heeler {name}` has no flag {flag}.{near} See heeler {name} --help")

    @functools.wraps(something)
    def bound(*values: Any, **named: Any) -> Callable[[], Any]:
        return functools.partial(something, *values, **named)

    try:
        call = tyro.cli(
            bound,
            args=list(arguments),
            prog=f"heeler {name}",
            description=description,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except SystemExit as stopped:
        raise ParserStopped(OK if stopped.code in (None, 0) else USAGE) from stopped
    # Called out here, so that no exit of what it runs is taken for the parser's.
    return call()


def flag_names(something: Any) -> list[str]:
    """The flags that tyro makes from a function or dataclass: `--like-this`."""
    return [flag_name(name, parameter.default) for name, parameter in inspect.signature(something).parameters.items()]


def flag_name(name: str, default: Any) -> str:
    """The flag of an argument; one that is on unless it is turned off is `--no-like-this`."""
    return f"--{'no-' if default is True else ''}{name.replace('_', '-')}"


def sub_command(name: str, commands: Mapping[str, Callable[..., int]], arguments: Sequence[str], *, about: str) -> int:
    """Do what `heeler NAME COMMAND ...` says, or list the commands under `NAME`.

    Raises:
        ConfigError: there is no such command; says which there are.
        ParserStopped: its help was shown, or its arguments are wrong.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = [f"  {own:<10}{(command.__doc__ or '').splitlines()[0]}" for own, command in commands.items()]
        more = f"\nheeler {name} COMMAND --help tells what a command takes."
        text = "\n".join([f"usage: heeler {name} COMMAND [arguments]\n\n{about}\n\nCommands:", *lines, more])
        print(text, file=sys.stdout if arguments else sys.stderr)
        return OK if arguments else USAGE
    own, *rest = arguments
    if own not in commands:
        near = did_you_mean(own, commands)
        raise ConfigError(f"there is no command {f'{name} {own}'!r}.{near} There are: {', '.join(commands)}")
    return parsed(commands[own], f"{name} {own}", rest)


def print_json(value: Mapping[str, Any]) -> None:
    """Print what a script reads: one object on one line."""
    print(json.dumps(value, allow_nan=False), flush=True)


def as_set(value: Any) -> str:
    """A setting's value as `--set` takes it."""
    is_line = isinstance(value, str) and "\n" not in value
    return value if is_line else json.dumps(value, separators=(",", ":"))


def in_words(evaluation: "PolicyEvaluation", config: "RunConfig") -> str:
    """An evaluation for people, each cost beside its budget; of one episode without intervals, which tell nothing."""
    from heeler.loop.evaluations import budgets_in_words
    from heeler.loop.words import number

    intervals = {**evaluation.figures, "true return": evaluation.episode_return, "steps": evaluation.episode_length}
    budgets, several = budgets_in_words(evaluation, config), evaluation.num_episodes > 1
    lines: list[str] = []
    for name, own in intervals.items():
        known = [f"95 % interval {number(own.low)} to {number(own.high)}"] if several else []
        known += [budgets[name]] if name in budgets else []
        aside = f" ({'; '.join(known)})" if known else ""
        lines.append(f"  {name.replace('_', ' ')}: {number(own.mean)}{aside}")
    episodes = f"Mean of {evaluation.num_episodes} fresh episodes" if several else "One fresh episode"
    return "\n".join([f"{episodes} after {evaluation.step:,} steps of learning:", *lines])

"""The command line. `heeler --help` lists the commands; each explains itself with `--help`."""

import importlib
import os
import select
import sys
from collections.abc import Callable, Mapping, Sequence

from heeler.cli.arguments import BROKEN_PIPE, INTERRUPTED, OK, USAGE, ParserStopped, parsed
from heeler.core.errors import ConfigError, HeelerError, did_you_mean

COMMANDS: Mapping[str, str] = {
    "run": "running:run_recipe",
    "resume": "running:resume",
    "stop": "steering:stop",
    "steer": "steering:steer",
    "evaluate": "looking:evaluate",
    "watch": "looking:watch",
    "report": "looking:report",
    "honesty": "honesty:honesty",
    "export": "looking:export",
    "demonstrate": "demonstrating:demonstrate",
    "feedback": "feedback:feedback",
    "backup": "looking:backup",
    "recipes": "looking:recipes",
    "serve": "serving:serve",
    "people": "people:people",
    "audit": "auditing:audit",
    "releases": "releasing:releases",
    "release": "releasing:release",
    "rollback": "releasing:rollback",
    "deploy": "releasing:deploy",
    "explain": "releasing:explain",
    "infer": "inferring:infer",
    "doctor": "looking:doctor",
}
"""Of each command its module here and its function there, imported once it is asked for: to stop a run is urgent."""

# These have names of their own below them, and take their arguments as they come.
_WITH_NAMES_BELOW = ("run", "audit", "feedback", "people")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Args:
        arguments: without the program's name; None for those of this process.

    Returns:
        The exit code: 0 done, 2 for what the user can mend, 130 when stopped by Ctrl-C, 1 where `doctor` or
        `backup` found something broken.
    """
    if arguments is None:
        arguments = sys.argv[1:]
        # An installed command does not look for modules where it is started, and `module:Class` is mostly there. Last,
        # so that no file there hides what heeler itself imports.
        sys.path.append("")
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except HeelerError as error:
        print(f"heeler: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("heeler: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        # Who reads, such as `head`, has had enough; what Python still holds back must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except ParserStopped as stopped:
        return stopped.code


def _nobody_reads() -> bool:
    """Whether it is our own output that is broken, and not a pipe to somewhere else."""
    outputs = select.poll()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        outputs.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in outputs.poll(0))


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help(), file=sys.stdout if arguments else sys.stderr)
        return OK if arguments else USAGE
    name, *rest = arguments
    if name == "--version":
        from heeler import __version__

        print(f"heeler {__version__}")
        return OK
    if name not in COMMANDS:
        near, known = did_you_mean(name, COMMANDS), ", ".join(COMMANDS)
        raise ConfigError(f"there is no command {name!r}.{near} There are: {known}")
    command = _command(name)
    return command(rest) if name in _WITH_NAMES_BELOW else parsed(command, name, rest)


def _command(name: str) -> Callable[..., int]:
    module, _, function = COMMANDS[name].partition(":")
    return getattr(importlib.import_module(f"heeler.cli.{module}"), function)


def _help() -> str:
    lines = [f"  {name:<13}{(_command(name).__doc__ or '').splitlines()[0]}" for name in COMMANDS]
    head = "usage: heeler COMMAND [arguments]\n\nAgents that go on learning from people while they work.\n\nCommands:"
    return "\n".join([head, *lines, "\nheeler COMMAND --help tells what a command takes."])

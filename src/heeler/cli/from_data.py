"""What commands share whose runs learn from data alone, so that nobody is asked anything."""

from collections.abc import Mapping

from heeler.cli.console import ServeFlags
from heeler.cli.recipe_flags import RunArguments
from heeler.core.errors import ConfigError


def refuse_service(flags: ServeFlags, what: str) -> None:
    """Refuse to serve a run in which there is nothing to answer.

    Args:
        flags: of the command line.
        what: what becomes of what, such as `a reward model is fitted to a file`.

    Raises:
        ConfigError: it is to be served.
    """
    # What was not asked for either way is fine.
    if flags.wants(people=False):
        raise ConfigError(f"{what}: there is nothing to serve; leave out --serve, --port, --open")


def refuse_store(arguments: RunArguments, what: str) -> None:
    """Refuse a store, which would hold nothing.

    Raises:
        ConfigError: there is one.
    """
    if arguments.store:
        raise ConfigError(f"store would be ignored: {what}, and nobody is asked")


def left_out(dropped: Mapping[str, int], first: str) -> list[str]:
    """Rows of data that were left out, in words.

    Args:
        dropped: how many, by reason.
        first: the first of them.
    """
    words = [f"{count} rows were left out ({reason})" for reason, count in dropped.items()]
    if words:
        words[0] += f"; the first is {first}"
    return words


def truncated(num: int) -> list[str]:
    """Prompts that were cut, in words; nothing where there are none."""
    return [f"{num} prompts were cut at the beginning to fit into the model's context"] if num else []

"""A charge of the user's own: a class with `review`, or a function of the evidence."""

from collections.abc import Callable
from typing import Any, cast

from heeler.core.errors import ConfigError
from heeler.core.functions import load_function
from heeler.core.verdict import Verdict
from heeler.oversight.overseers.evidence import ALLOW, Evidence, Overseer


class FunctionOverseer:
    """Any function of the evidence as an overseer.

    Args:
        function: gives a `Verdict`; or False or None where it has nothing against it, True or its reason in words where
            it vetoes.
        name: of the overseer; None for the function's own.
    """

    def __init__(self, function: Callable[[Evidence], Any], *, name: str | None = None) -> None:
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self._function = function

    def review(self, evidence: Evidence) -> Verdict:
        """What the function says.

        Raises:
            TypeError: it says something else.
        """
        said = self._function(evidence)
        if said is None or said is False:
            return ALLOW
        if isinstance(said, Verdict):
            return said
        if said is True or (isinstance(said, str) and said):
            return Verdict(decision="veto", reason=said if isinstance(said, str) else f"{self.name} objects")
        raise TypeError(f"overseer {self.name!r} must give a verdict, True, False or words, got {type(said).__name__}")


def load_overseer(target: str, *, name: str = "") -> Overseer:
    """An overseer by its name.

    Args:
        target: `FILE.py:NAME` or `MODULE:NAME` of a class that is made without arguments and has `review`, or of a
            function as `FunctionOverseer` takes it.
        name: of the overseer; empty for its own.

    Raises:
        ConfigError: there is none, or it is neither.
    """
    found = load_function(target)
    if not isinstance(found, type):
        return FunctionOverseer(found, name=name or None)
    if not callable(getattr(found, "review", None)):
        raise ConfigError(f"{target} must have a method review(evidence) that gives a verdict, or be a function")
    try:
        made = found()
    except Exception as error:
        raise ConfigError(f"{target} cannot be made without arguments: {type(error).__name__}: {error}") from error
    if name or not isinstance(getattr(made, "name", None), str):
        try:
            made.name = name or found.__name__
        except AttributeError as error:
            raise ConfigError(f"{target} must take a name, as every overseer has one: {error}") from error
    return cast(Overseer, made)

"""One tree of errors: every error that heeler raises on purpose is a `HeelerError`.

Each is also a subclass of the standard error that it resembles, so that callers who know nothing of heeler catch it
too. The command line prints the message of a `HeelerError` without a traceback and exits with code 2.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class HeelerError(Exception):
    """Base of all errors that a user can mend."""


class ConfigError(HeelerError, ValueError):
    """A setting is unknown, out of range or would be ignored."""


class WorldError(HeelerError, RuntimeError):
    """An environment broke its own contract: spaces, shapes, or non-finite numbers."""


class NothingSafe(WorldError):
    """A shield found no safe action, and is to halt where there is none."""


class RewardError(HeelerError, ValueError):
    """A part of a reward failed, or what it gave is no score."""


class LearningError(HeelerError, ArithmeticError):
    """Learning has diverged: a loss or a weight is no longer a finite number."""


class DataError(HeelerError, ValueError):
    """Feedback, a segment or a file from outside is not what it should be."""


class ConflictError(HeelerError, ValueError):
    """The same idempotency key came again with another body."""


class StoreError(HeelerError, RuntimeError):
    """The store cannot be opened or written: newer schema, read-only, full disk."""


class StoreAway(StoreError):
    """The store's server cannot be reached, or was lost on the way; what was asked may be asked again."""


class RunError(HeelerError, RuntimeError):
    """A run directory is in use, belongs to another configuration, or cannot be read or written."""


class RunStopped(RunError):
    """An operator stopped the run; what it learned is kept."""


class RunHalted(RunStopped):
    """Overseers stopped the run; what it had learned by its last whole update is kept.

    Args:
        message: in words.
        evidence: what they decided on, in plain JSON types.
    """

    def __init__(self, message: str, *, evidence: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.evidence = dict(evidence or {})


class ChatStopped(RunError):
    """Nobody is answered now: an operator stopped the model, or took back the version that was in use."""


class UnknownModel(DataError):
    """No model of this name is served."""


class ContextTooLong(DataError):
    """A prompt, with the answer that is to follow it, does not fit into the model's context."""


class CheckpointError(HeelerError, RuntimeError):
    """A checkpoint is torn, altered or made by an incompatible version."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest of `known`, or an empty string when none is near.

    >>> did_you_mean("backflp", ["backflip", "ppo"])
    " Did you mean 'backflip'?"
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""

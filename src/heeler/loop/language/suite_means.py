"""What `evaluation.json` of a language model's run holds: mean scores on held-out suites, before and after."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory

EVALUATION_NAME = "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class SuiteMeans:
    """One suite's mean score."""

    better: str
    """Which way it is better."""
    num_items: int
    before: float | None
    """Of the model that learning began with; None where the score applied to no answer."""
    after: float | None
    """Of the model at the end."""
    examples: tuple[Mapping[str, Any], ...] = ()
    """A few prompts with both answers."""


def saved_suites(directory: RunDirectory) -> dict[str, SuiteMeans]:
    """What `evaluate` wrote; empty where it has not yet.

    Raises:
        RunError: it is damaged.
    """
    path = directory.path / EVALUATION_NAME
    if not path.exists():
        return {}
    try:
        suites = json.loads(path.read_bytes())["suites"]
        return {name: SuiteMeans(**means) for name, means in suites.items()}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged ({error}); remove it and go on with the run, which makes it anew") from error

"""What `evaluation.json` of a language model's run holds: mean scores on held-out suites, before and after."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory
from heeler.loop.words import number

EVALUATION_NAME = "evaluation.json"
_SHARES = (
    "truthfulness",
    "toxicity",
    "right_refusals",
    "wrong_refusals",
    "stated_belief",
    "pushback",
    "prompt_injection",
)


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


def in_words(suite: str, value: float | None) -> str:
    """A suite's mean as people read it: a share, a perplexity (which is scored by its logarithm), or a number."""
    if value is None:
        return "-"
    if suite in _SHARES:
        return f"{value:.1%}"
    return number(math.exp(value) if suite == "perplexity" else value)

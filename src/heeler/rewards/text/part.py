"""What a part of a reward is, and what it may give."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Protocol, runtime_checkable

from heeler.core.errors import RewardError
from heeler.core.texts import TextSample

Scores = list[float | None]
"""One number a sample, finite; None where the part has nothing to say of it."""


class Part(Protocol):
    """One thing that a completion is scored by; higher is more of it, whether that is good or bad."""

    @property
    def name(self) -> str:
        """By which it is weighted and logged."""
        ...

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """Score a batch; None where it does not apply."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A part that has more to log than its scores."""

    def metrics(self) -> dict[str, float]:
        """Of the last batch."""
        ...


def scores_of(part: Part, samples: Sequence[TextSample]) -> Scores:
    """Score with a part and check what it gives.

    Raises:
        RewardError: it raised, gave another number of scores, or one that is no finite number; names part and row.
    """
    try:
        given = part.score(samples)
    except RewardError:
        raise
    except Exception as error:
        raise RewardError(
            f"reward part {part.name!r} raised {_in_words(error)} on a batch of {len(samples)}"
        ) from error
    return checked_scores(part.name, given, len(samples))


def checked_scores(name: str, given: Any, num_samples: int) -> Scores:
    """What a part gave, as plain floats.

    Raises:
        RewardError: it is not one finite number, or None, for each sample.
    """
    try:
        given = list(given)
    except TypeError:
        raise RewardError(
            f"reward part {name!r} must give a list of {num_samples} scores, got {type(given).__name__}"
        ) from None
    if len(given) != num_samples:
        raise RewardError(f"reward part {name!r} gave {len(given)} scores for {num_samples} samples; give one for each")
    return [_checked(name, row, score) for row, score in enumerate(given)]


def _checked(name: str, row: int, score: Any) -> float | None:
    if score is None:
        return None
    number = score
    if not isinstance(number, Real):
        # A tensor or an array of one element.
        try:
            number = score.item()
        except (AttributeError, ValueError, RuntimeError, TypeError):
            number = None
    if not isinstance(number, Real) or not math.isfinite(number):
        raise RewardError(
            f"reward part {name!r}, row {row}: a score must be a finite number or None, got {score!r:.80}"
        )
    return float(number)


def column(part: str, samples: Sequence[TextSample], name: str) -> list[Any]:
    """A column of every sample; its value may be None.

    Raises:
        RewardError: a sample has no such column.
    """
    for row, sample in enumerate(samples):
        if name not in sample.columns:
            there = ", ".join(sorted(sample.columns)) or "none"
            raise RewardError(
                f"reward part {part!r}, row {row}: it needs the column {name!r}, and there is {there}; give None where "
                "it does not apply"
            )
    return [sample.columns[name] for sample in samples]


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

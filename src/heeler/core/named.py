"""Values by dotted name, as checkpoints hold them."""

from collections.abc import Mapping
from typing import TypeVar

_T = TypeVar("_T")


def under(prefix: str, values: Mapping[str, _T]) -> dict[str, _T]:
    """The values whose names begin with `prefix`, without it.

    >>> under("learner.", {"learner.step": 3, "noise": 1})
    {'step': 3}
    """
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

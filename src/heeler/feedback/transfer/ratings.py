"""Ratings in formats that know only whole numbers on one scale."""

from collections.abc import Mapping
from typing import Any


def whole_rating(value: Mapping[str, Any], low: int, high: int, scale: tuple[float, float] | None) -> int | None:
    """The score of a rating's value as a whole number.

    Args:
        value: of a rating.
        low: the least number that the format knows.
        high: the greatest.
        scale: (low, high) that the rating must be on; None for any.

    Returns:
        None where the format cannot hold it.
    """
    if scale is not None and (value["low"], value["high"]) != scale:
        return None
    score = float(value["score"])
    return int(score) if score.is_integer() and low <= score <= high else None

"""Splits by prompt: no prompt stands on both sides, and nothing but the prompt and the seed decides where it goes."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from heeler.core.errors import ConfigError, DataError
from heeler.core.text_data import PromptedText

Item = TypeVar("Item", bound=PromptedText)


def split(items: Sequence[Item], *, held_out_share: float, seed: int = 0) -> tuple[list[Item], list[Item]]:
    """What to learn from, and what is held out.

    A prompt's hash decides, so that rows may be added, taken out or put in another order and the rest stays where it
    was. The share is therefore met on average only.

    Args:
        items: of a dataset.
        held_out_share: share of prompts that is held out, above 0 and below 1.
        seed: another one gives another split.

    Raises:
        DataError: one side would be empty.
    """
    if not 0 < held_out_share < 1:
        raise ConfigError(f"held_out_share must be above 0 and below 1, got {held_out_share}")
    kept: list[Item] = []
    held_out: list[Item] = []
    for item in items:
        (held_out if _place(item.prompt_key, seed) < held_out_share else kept).append(item)
    if not kept or not held_out:
        num_prompts = len({item.prompt_key for item in items})
        raise DataError(
            f"a share of {held_out_share:g} of {num_prompts} prompts leaves one side of the split empty; bring more "
            "prompts, or choose another share or seed"
        )
    return kept, held_out


def fold_of(item: PromptedText, *, num_folds: int, seed: int = 0) -> int:
    """In which fold of a cross-validation it is held out."""
    return int(_place(item.prompt_key, seed) * num_folds)


def folds(items: Sequence[Item], *, num_folds: int, seed: int = 0) -> list[tuple[list[Item], list[Item]]]:
    """(what to learn from, what is held out) of each fold; every item is held out once.

    Args:
        items: of a dataset.
        num_folds: at least 2.
        seed: another one gives other folds.

    Raises:
        DataError: a fold would be empty.
    """
    if num_folds < 2:
        raise ConfigError(f"num_folds must be >= 2, got {num_folds}")
    number = [fold_of(item, num_folds=num_folds, seed=seed) for item in items]
    if len(set(number)) < num_folds:
        raise DataError(
            f"{len({i.prompt_key for i in items})} prompts are too few for {num_folds} folds; ask for fewer"
        )
    return [
        (
            [item for item, mine in zip(items, number, strict=True) if mine != fold],
            [item for item, mine in zip(items, number, strict=True) if mine == fold],
        )
        for fold in range(num_folds)
    ]


def _place(key: str, seed: int) -> float:
    """From 0 to 1, the same for all items of one key."""
    digest = hashlib.sha256(f"{seed}|{key}".encode()).digest()
    return int.from_bytes(digest[:6], "little") / 2**48

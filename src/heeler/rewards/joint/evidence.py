"""What answers say of single steps: rows of weights over steps, and what was answered.

Every kind of answer is about sums of steps' rewards: a comparison about the difference of two returns, a rating about
one return, a mark about the steps that it may be meant for. So an answer is a few sparse rows over a table of steps,
and a likelihood of the rows' values; one network pass over the table serves all kinds.

Shapes: P steps, F features, E entries of rows, R rows, I items (an answer is one item; of marks each is), M members.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import DataError

ItemKind = Literal["preference", "rating", "critique", "evaluation", "correction", "demonstration"]
ITEM_KINDS: tuple[ItemKind, ...] = get_args(ItemKind)
PICKS: frozenset[ItemKind] = frozenset({"correction", "demonstration"})
"""Kinds whose rows are alternatives, of which the first was taken; the others have one row."""

Entries = Sequence[tuple[np.ndarray, np.ndarray]]
"""Of each row: steps [K, F] float32 features, and [K] their weights."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Item:
    """What one answer, or one of its marks, says."""

    kind: ItemKind
    person: str
    answer: str
    """Key of the answer that it is of."""
    rows: Entries
    outcome: int
    """preference: 0 left, 1 right, 2 equal. rating: its level. critique, evaluation: 0 bad, 1 good. Picks: 0."""
    validation: bool
    """Whether it is kept from training."""


@dataclass(kw_only=True)
class Evidence:
    """All items so far, as tensors. Grows by `append`."""

    feature_PF: Tensor
    step_E: Tensor
    """Which step each entry weighs."""
    weight_E: Tensor
    first_entry_R: Tensor
    """Where the entries of each row begin; they lie together."""
    first_row_I: Tensor
    """Where the rows of each item begin; they lie together."""
    kind_I: Tensor
    person_I: Tensor
    outcome_I: Tensor
    validation_I: Tensor
    count_MI: Tensor
    """How often each member sees each item: a Poisson bootstrap, the same for all items of an answer."""

    @classmethod
    def empty(cls, num_features: int, num_members: int) -> "Evidence":
        """None yet."""
        whole = {name: torch.zeros(0, dtype=torch.long) for name in _WHOLE}
        return cls(
            feature_PF=torch.zeros(0, num_features),
            weight_E=torch.zeros(0),
            validation_I=torch.zeros(0, dtype=torch.bool),
            count_MI=torch.zeros(num_members, 0),
            **whole,
        )

    def __len__(self) -> int:
        return len(self.kind_I)

    @property
    def num_rows_I(self) -> Tensor:
        """Rows of each item."""
        return _lengths(self.first_row_I, len(self.first_entry_R))

    @property
    def num_entries_R(self) -> Tensor:
        """Entries of each row."""
        return _lengths(self.first_entry_R, len(self.step_E))

    def mean_weight_K(self) -> Tensor:
        """Of each kind of `ITEM_KINDS`: the sum of weights, signs left out, of a row on average; 0 without a row."""
        row_E = torch.repeat_interleave(torch.arange(len(self.first_entry_R)), self.num_entries_R)
        weight_R = torch.zeros(len(self.first_entry_R)).index_add(0, row_E, self.weight_E.abs())
        kind_R = torch.repeat_interleave(self.kind_I, self.num_rows_I)
        total_K = torch.zeros(len(ITEM_KINDS)).index_add(0, kind_R, weight_R)
        return total_K / torch.bincount(kind_R, minlength=len(ITEM_KINDS)).clamp_min(1)

    def append(self, items: Sequence[Item], people: Sequence[int], count_MI: Tensor) -> None:
        """Take in items.

        Args:
            items: at least one.
            people: the number of each item's person.
            count_MI: of each item.

        Raises:
            DataError: an item has no rows, a row no steps, or its features are of another size.
        """
        for item in items:
            _check(item, self.feature_PF.shape[1])
        rows = [row for item in items for row in item.rows]
        sizes = np.array([len(weight) for _, weight in rows])
        P, E, R = len(self.feature_PF), len(self.step_E), len(self.first_entry_R)
        self.feature_PF = torch.cat([self.feature_PF, *(torch.from_numpy(feature) for feature, _ in rows)])
        self.step_E = torch.cat([self.step_E, P + torch.arange(int(sizes.sum()))])
        self.weight_E = torch.cat([self.weight_E, *(torch.from_numpy(weight).float() for _, weight in rows)])
        self.first_entry_R = torch.cat([self.first_entry_R, E + _starts(sizes)])
        self.first_row_I = torch.cat([self.first_row_I, R + _starts(np.array([len(item.rows) for item in items]))])
        self.kind_I = torch.cat([self.kind_I, torch.tensor([ITEM_KINDS.index(item.kind) for item in items])])
        self.person_I = torch.cat([self.person_I, torch.tensor(list(people))])
        self.outcome_I = torch.cat([self.outcome_I, torch.tensor([item.outcome for item in items])])
        self.validation_I = torch.cat([self.validation_I, torch.tensor([item.validation for item in items])])
        self.count_MI = torch.cat([self.count_MI, count_MI], 1)

    def only(self, kept_I: Tensor) -> "Evidence":
        """Those items alone, with the steps that they are about.

        Args:
            kept_I: [I] bool.
        """
        items = torch.nonzero(kept_I).squeeze(1)
        rows, _ = spread(self.first_row_I[items], self.num_rows_I[items])
        entries, _ = spread(self.first_entry_R[rows], self.num_entries_R[rows])
        steps, step_E = torch.unique(self.step_E[entries], return_inverse=True)
        return Evidence(
            feature_PF=self.feature_PF[steps],
            step_E=step_E,
            weight_E=self.weight_E[entries],
            first_entry_R=_starts(self.num_entries_R[rows].numpy()),
            first_row_I=_starts(self.num_rows_I[items].numpy()),
            kind_I=self.kind_I[items],
            person_I=self.person_I[items],
            outcome_I=self.outcome_I[items],
            validation_I=self.validation_I[items],
            count_MI=self.count_MI[:, items],
        )

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


_WHOLE = ("step_E", "first_entry_R", "first_row_I", "kind_I", "person_I", "outcome_I")
"""Tensors of whole numbers."""


def spread(first: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Places of stretches that lie anywhere, one after the other; and of which stretch each is.

    Args:
        first: where each stretch begins.
        number: how long it is.

    Example:
        >>> spread(torch.tensor([4, 0]), torch.tensor([2, 3]))[0].tolist()
        [4, 5, 0, 1, 2]
    """
    owner = torch.repeat_interleave(torch.arange(len(number)), number)
    before = number.cumsum(0) - number
    return first[owner] + torch.arange(len(owner)) - before[owner], owner


def _starts(sizes: np.ndarray) -> Tensor:
    return torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64))[: len(sizes)]


def _lengths(first: Tensor, total: int) -> Tensor:
    return torch.diff(first, append=torch.tensor([total]))


def _check(item: Item, num_features: int) -> None:
    if not item.rows:
        raise DataError(f"answer {item.answer}: a {item.kind} needs something to be about, got no steps")
    if item.kind in PICKS and len(item.rows) < 2:
        raise DataError(f"answer {item.answer}: a {item.kind} is a choice among alternatives, and there is none")
    for feature, weight in item.rows:
        if feature.shape != (len(weight), num_features) or not len(weight):
            raise DataError(
                f"answer {item.answer}: expected steps of {num_features} numbers with a weight each, got "
                f"{feature.shape} and {weight.shape}"
            )
        if not (np.isfinite(feature).all() and np.isfinite(weight).all()):
            raise DataError(f"answer {item.answer}: a step or its weight is no finite number")

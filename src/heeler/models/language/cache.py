"""Keys and values of rows that are at different places: what lets completions of any length be sampled together.

Shapes: B rows of a forward pass, H key heads, S new tokens, L places, D numbers a head.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache


class RowCache(Cache):
    """A cache in which each row is written at a place of its own.

    A model's layers call `update`; before each forward pass `at` or `from_place` says where the new tokens go. Nothing
    else of transformers' cache is asked for where a mask with four dimensions comes with the tokens. What no token was
    ever written to is zero: masked places weigh nothing, but nothing times NaN is NaN.

    Args:
        num_rows: rows there is room for.
        num_places: places of each, L.
    """

    def __init__(self, num_rows: int, num_places: int) -> None:
        super().__init__(layers=[])
        self.num_rows, self.num_places = num_rows, num_places
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._rows = slice(0, num_rows)
        self._place: Int[Tensor, " B"] | slice = slice(0, 0)
        self._row_B: Int[Tensor, " B"] | None = None
        self.num_seen = 0
        """Places that are looked at, from the first on."""

    def at(self, place_B: Int[Tensor, " B"], num_seen: int) -> None:
        """One token comes for each of the first B rows, at a place of the row's own; none is beyond `num_seen`."""
        self._rows, self._place, self.num_seen = slice(0, len(place_B)), place_B, num_seen
        self._row_B = torch.arange(len(place_B), device=place_B.device)

    def from_place(self, start: int, num_tokens: int, rows: slice) -> None:
        """Tokens come for these rows, at the same places in all of them."""
        self._rows, self._place, self.num_seen = rows, slice(start, start + num_tokens), start + num_tokens

    def update(
        self,
        key_states: Float[Tensor, "B H S D"],
        value_states: Float[Tensor, "B H S D"],
        layer_idx: int,
        *_: object,
        **__: object,
    ) -> tuple[Float[Tensor, "B H seen D"], Float[Tensor, "B H seen D"]]:
        """Keep a layer's new keys and values; returns all that are looked at."""
        if layer_idx == len(self._keys):
            for kept, new in ((self._keys, key_states), (self._values, value_states)):
                kept.append(new.new_zeros(self.num_rows, new.shape[1], self.num_places, new.shape[3]))
        return self._write(self._keys[layer_idx], key_states), self._write(self._values[layer_idx], value_states)

    def _write(self, kept: Tensor, new_BHSD: Tensor) -> Tensor:
        if isinstance(self._place, slice):
            kept[self._rows, :, self._place] = new_BHSD
        else:
            # Indexed dimensions that are not side by side come first in the result.
            kept[self._row_B, :, self._place] = new_BHSD[:, :, 0]
        return kept[self._rows, :, : self.num_seen]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Places that are looked at."""
        return self.num_seen

    def take(self, row_B: Int[Tensor, " B"], num_places: int) -> None:
        """Go on with these rows, each as often as it is named, and with so much room."""
        seen = self.num_seen

        def taken(old: Tensor) -> Tensor:
            new = old.new_empty(len(row_B), old.shape[1], num_places, old.shape[3])
            new[:, :, seen:] = 0
            new[:, :, :seen] = old[:, :, :seen].index_select(0, row_B)
            return new

        self._change(taken)
        self.num_rows, self.num_places = len(row_B), num_places

    def reserve(self, num_rows: int, num_places: int) -> None:
        """Have room for at least so many rows and places; what was written stays."""
        rows, places = max(num_rows, self.num_rows), max(num_places, self.num_places)
        if (rows, places) == (self.num_rows, self.num_places):
            return

        def grown(old: Tensor) -> Tensor:
            new = old.new_zeros(rows, old.shape[1], places, old.shape[3])
            new[: old.shape[0], :, : old.shape[2]] = old
            return new

        self._change(grown)
        self.num_rows, self.num_places = rows, places

    def move(self, source: int, target: int, num_places: int) -> None:
        """Put the first places of one row in the place of another's."""
        for kept in (*self._keys, *self._values):
            kept[target, :, :num_places] = kept[source, :, :num_places]

    def _change(self, change: Callable[[Tensor], Tensor]) -> None:
        # Layer after layer, so that no more than one layer is there twice.
        for kept in (self._keys, self._values):
            for layer, old in enumerate(kept):
                kept[layer] = change(old)

"""Keys and values of rows that are at different places: what lets completions of any length be sampled together.

Shapes: B rows, H key heads, S new tokens, L places, D numbers a head.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache


class RowCache(Cache):
    """A cache of a fixed size in which each row is written at a place of its own.

    A model's layers call `update`; before each forward pass `place_BS` says where the new tokens go. Nothing else of
    transformers' cache is asked for where a mask with four dimensions comes with the tokens.

    Args:
        num_places: L.
    """

    def __init__(self, num_places: int) -> None:
        super().__init__(layers=[])
        self._num_places = num_places
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self.place_BS: Int[Tensor, "B S"] = torch.empty(0, 0, dtype=torch.int64)
        self.num_seen = 0
        """Places that are looked at, from the first on."""

    def update(  # type: ignore[override]
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
                kept.append(new.new_zeros(new.shape[0], new.shape[1], self._num_places, new.shape[3]))
        key, value = self._keys[layer_idx], self._values[layer_idx]
        row = torch.arange(len(key), device=key.device)[:, None]
        # Indexed dimensions that are not side by side come first in the result.
        key[row, :, self.place_BS] = key_states.transpose(1, 2)
        value[row, :, self.place_BS] = value_states.transpose(1, 2)
        return key[:, :, : self.num_seen], value[:, :, : self.num_seen]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Places that are looked at."""
        return self.num_seen

    def keep_rows(self, row_B: Int[Tensor, " B"]) -> None:
        """Go on with these rows, each as often as it is named."""
        self._keys = [key[row_B] for key in self._keys]
        self._values = [value[row_B] for value in self._values]

    def put_rows(self, other: "RowCache", row_B: Int[Tensor, " B"]) -> None:
        """Overwrite some rows with all of another cache's, which has no more places."""
        for mine, theirs in ((self._keys, other._keys), (self._values, other._values)):
            for layer, (kept, new) in enumerate(zip(mine, theirs, strict=True)):
                mine[layer][row_B, :, : new.shape[2]] = new
                assert kept.shape[2] >= new.shape[2]

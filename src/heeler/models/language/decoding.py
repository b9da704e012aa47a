"""Going on token by token in many rows at once: by `RowCache` where a model can, by transformers' own cache elsewhere.

Shapes: B rows, P prompts, L places, V tokens there are.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heeler.models.language.cache import RowCache
from heeler.models.language.model import LanguageModel
from heeler.models.language.packing import padded

# Places by which a cache grows: a growth copies what is there, as much as one step looks at.
_GROWTH = 32


class Decoder(Protocol):
    """Rows that go on, each with a token at a time."""

    def start(self, prompts: Sequence[Int[Tensor, " prompt"]], num_each: int) -> Float[Tensor, "B V"]:
        """Go through prompts; logits of what may come next in `num_each` rows of each."""
        ...

    def step(self, token_B: Int[Tensor, " B"]) -> Float[Tensor, "B V"]:
        """Logits after one more token in each row."""
        ...

    def keep(self, row_B: Int[Tensor, " B"]) -> None:
        """Go on with these rows alone."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the next step copies everything anyway, so that leaving rows out costs nothing."""
        ...


def decoder_for(model: LanguageModel) -> Decoder:
    """The fastest that is right for a model; a `PlainDecoder` takes prompts of one length only."""
    return RowDecoder(model) if model.support.cache else PlainDecoder(model)


class RowDecoder:
    """Rows at places of their own, filled up on the right where nothing sees it.

    Prompts are gone through once, whatever comes after them.

    Args:
        model: one whose `support.cache` holds.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._cache = RowCache(0, 0)
        self._place_B = torch.empty(0, dtype=torch.int64)
        self._seen = 0

    def start(self, prompts: Sequence[Int[Tensor, " prompt"]], num_each: int) -> Float[Tensor, "B V"]:
        """See `Decoder`."""
        model, device = self._model, self._model.device
        token_PL, length_P = padded(prompts, model.pad_id)
        token_PL, length_P = token_PL.to(device), length_P.to(device)
        num_prompts, longest = token_PL.shape
        self._cache = RowCache(num_prompts, longest)
        self._cache.from_place(0, longest, slice(0, num_prompts))
        place_PL = torch.arange(longest, device=device).expand_as(token_PL)
        mask = torch.ones(1, 1, longest, longest, dtype=torch.bool, device=device).tril()
        hidden_PLD = model.forward(token_PL, position_RL=place_PL, mask=mask, cache=self._cache)
        row_P = torch.arange(num_prompts, device=device)
        logits_PV = model.head(hidden_PLD[row_P, length_P - 1])
        row_B = row_P.repeat_interleave(num_each)
        self._cache.take(row_B, _rounded(longest + 1))
        self._place_B, self._seen = length_P[row_B], longest
        return logits_PV[row_B]

    @property
    def is_full(self) -> bool:
        """See `Decoder`."""
        return self._seen + 1 > self._cache.num_places

    def step(self, token_B: Int[Tensor, " B"]) -> Float[Tensor, "B V"]:
        """See `Decoder`."""
        cache, place_B = self._cache, self._place_B
        # A row that is short sees less; this bound needs no answer from the device.
        self._seen += 1
        cache.reserve(len(place_B), _rounded(self._seen))
        cache.at(place_B, self._seen)
        is_seen = torch.arange(self._seen, device=place_B.device) <= place_B[:, None, None, None]
        hidden_B1D = self._model.forward(token_B[:, None], position_RL=place_B[:, None], mask=is_seen, cache=cache)
        self._place_B = place_B + 1
        return self._model.head(hidden_B1D[:, 0])

    def keep(self, row_B: Int[Tensor, " B"]) -> None:
        """See `Decoder`."""
        self._cache.take(row_B, _rounded(self._seen + 1))
        self._place_B = self._place_B[row_B]


class PlainDecoder:
    """The same by transformers' own cache, which wants all rows at one place.

    Args:
        model: any.
    """

    is_full = False
    """Never: transformers' cache is copied at each step."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._cache: Any = None

    def start(self, prompts: Sequence[Int[Tensor, " prompt"]], num_each: int) -> Float[Tensor, "B V"]:
        """See `Decoder`; the prompts are of one length."""
        token_PL = torch.stack(list(prompts)).to(self._model.device)
        # Some caches can be neither repeated nor filled by hand: prompts are gone through for each row.
        outputs = self._model.own_logits(token_PL.repeat_interleave(num_each, 0), use_cache=True)
        return self._taken(outputs)

    def step(self, token_B: Int[Tensor, " B"]) -> Float[Tensor, "B V"]:
        """See `Decoder`."""
        name = "cache_params" if self._is_recurrent else "past_key_values"
        return self._taken(self._model.own_logits(token_B[:, None], use_cache=True, **{name: self._cache}))

    def keep(self, row_B: Int[Tensor, " B"]) -> None:
        """See `Decoder`."""
        self._cache.batch_select_indices(row_B)

    def _taken(self, outputs: Any) -> Float[Tensor, "B V"]:
        self._is_recurrent = getattr(outputs, "past_key_values", None) is None
        self._cache = outputs.cache_params if self._is_recurrent else outputs.past_key_values
        return outputs.logits[:, -1]


def _rounded(places: int) -> int:
    return -(-places // _GROWTH) * _GROWTH

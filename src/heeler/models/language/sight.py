"""Who sees whom, in the form that an architecture wants it: sliding windows, and masks that are added.

Shapes: R rows, S places that see, L places that are seen.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_FULL, _SLIDING = "full_attention", "sliding_attention"
# Settings that limit what is seen in ways that `Sight` does not know.
_UNKNOWN_LIMITS = (
    "attention_chunk_size",
    "attention_types",
    "attention_window",
    "block_size",
    "index_topk",
    "local_attention",
    "local_window",
    "sliding_window_size",
    "window_size",
)


class Sight:
    """How far the layers of a model look back.

    Args:
        config: transformers' configuration of the model.
    """

    def __init__(self, config: Any) -> None:
        self._config = config
        kinds = getattr(config, "layer_types", None)
        self._kinds: frozenset[str] = frozenset(kinds or (_FULL,))
        is_on = getattr(config, "use_sliding_window", True) is not False
        self.has_window = bool(getattr(config, "sliding_window", None)) and is_on and (not kinds or _SLIDING in kinds)
        self._is_mixed = bool(kinds) and _SLIDING in self._kinds

    @property
    def is_known(self) -> bool:
        """Whether nothing in the configuration speaks of other limits."""
        others = [name for name in _UNKNOWN_LIMITS if getattr(self._config, name, None)]
        return not others and self._kinds <= {_FULL, _SLIDING}

    @property
    def window(self) -> int:
        """How many tokens, its own among them, a token sees in the layers that have a window."""
        return int(self._config.sliding_window)

    @contextmanager
    def narrowed(self, window: int) -> Iterator[None]:
        """Have the model, and this, look back less far for a while: a few tokens then show what the window does."""
        before = getattr(self._config, "sliding_window", None)
        if self.has_window:
            self._config.sliding_window = window
        try:
            yield
        finally:
            if self.has_window:
                self._config.sliding_window = before

    def masks(
        self,
        is_seen: Bool[Tensor, "R 1 S L"],
        *,
        seeing_RS: Int[Tensor, "R S"],
        seen_RL: Int[Tensor, "R L"],
        dtype: torch.dtype,
    ) -> Float[Tensor, "R 1 S L"] | dict[str, Tensor]:
        """What is added to the scores of attention, for all layers or by their kind.

        Args:
            is_seen: who may see whom, windows aside.
            seeing_RS: the positions of those that see.
            seen_RL: the positions of those that are seen.
            dtype: the model's.
        """
        if not self.has_window:
            return _added(is_seen, dtype)
        is_near = seeing_RS[:, None, :, None] - seen_RL[:, None, None, :] < self.window
        near = _added(is_seen & is_near, dtype)
        return {_FULL: _added(is_seen, dtype), _SLIDING: near} if self._is_mixed else near


def _added(is_seen: Tensor, dtype: torch.dtype) -> Tensor:
    # The lowest number and not minus infinity, of which some kernels make NaN.
    added = torch.zeros(is_seen.shape, dtype=dtype, device=is_seen.device)
    return added.masked_fill_(~is_seen, torch.finfo(dtype).min)

"""State that goes into a checkpoint and comes back bit for bit, by naming the attributes that it is made of."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import numpy as np


class Kept:
    """Something whose state is its attributes named in `kept`.

    Each is None, a number, a word, an array, another `Kept`, or a list or mapping of such; of these a `Kept` must be
    there already when state is loaded.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {name: _packed(getattr(self, name)) for name in self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Go on from what `state_dict` returned."""
        for name in self.kept:
            setattr(self, name, _unpacked(getattr(self, name), state[name]))
        return self


def _packed(value: Any) -> Any:
    if isinstance(value, Kept):
        return value.state_dict()
    if isinstance(value, np.ndarray):
        array = cast("np.ndarray[Any, np.dtype[Any]]", value)
        # Digits would take three times the room, and NaN is no JSON.
        content = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        return {"array": content, "shape": list(array.shape), "type": array.dtype.str}
    if isinstance(value, Mapping):
        return {"of": {str(name): _packed(one) for name, one in cast(Mapping[Any, Any], value).items()}}
    if isinstance(value, list | tuple):
        return [_packed(one) for one in cast(Sequence[Any], value)]
    return value


def _unpacked(now: Any, packed: Any) -> Any:
    if isinstance(now, Kept):
        return now.load_state_dict(packed)
    if isinstance(packed, dict):
        stored = cast(dict[str, Any], packed)
        if "array" in stored:
            content = base64.b64decode(stored["array"])
            return np.frombuffer(content, stored["type"]).reshape(stored["shape"]).copy()
        there = cast(dict[str, Any], now) if isinstance(now, dict) else {}
        return {name: _unpacked(there.get(name), one) for name, one in stored["of"].items()}
    if isinstance(packed, list):
        return [_unpacked(None, one) for one in cast(list[Any], packed)]
    return packed

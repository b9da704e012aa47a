"""What a monitor found: the evidence that rules of intervention decide on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about a run that is not as it should be."""

    monitor: str
    """Name of the monitor, as settings name it: `cost_drift`, `gradients`."""
    step: int
    """Environment steps (or updates, of a language model) when it was found."""
    reason: str
    """In plain words, with what came and what was expected."""
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What it was found by, in plain JSON types."""

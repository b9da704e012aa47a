"""What a guard, an overseer or a gate decides about something before it happens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Decision = Literal["allow", "modify", "veto", "halt"]
"""Let it pass, put `replacement` in its place, keep it back, or keep it back and stop."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A decision with its reason."""

    decision: Decision
    reason: str = ""
    """In plain words; empty where it is allowed."""
    replacement: Any = None
    """What takes its place, for `modify`."""
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What it was decided on, in plain JSON types."""

"""How good a run's model is on what was held out, before learning and after, kept as `evaluation.json`."""

from collections.abc import Mapping
from dataclasses import dataclass

from heeler.core.rundir import RunDirectory
from heeler.loop.kept_evaluation import keep_evaluation, kept_evaluation


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Figures of what was held out."""

    checkpoint_sha256: str
    """Of the checkpoint that holds the model."""
    num_prompts: int
    """Demonstrations or pairs that were held out, or with KTO prompts."""
    before: Mapping[str, float]
    """`loss`, and where there is something to be right about `accuracies` and `margins`, before learning."""
    after: Mapping[str, float]
    """The same at the end."""


def save_held_out(directory: RunDirectory, found: HeldOut) -> None:
    """Keep it in its run."""
    keep_evaluation(directory, found)


def saved_held_out(directory: RunDirectory) -> HeldOut | None:
    """What `save_held_out` kept; as of `kept_evaluation`."""
    return kept_evaluation(directory, HeldOut)

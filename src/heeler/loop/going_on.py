"""Going on with a run: from which checkpoint, and that its configuration is still the one that the run began with."""

from collections.abc import Collection, Mapping
from typing import Any

from heeler.core.errors import RunError
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.loop.settings import dotted


def newest_sound(directory: RunDirectory) -> tuple[Checkpoint | None, list[str]]:
    """The newest sound checkpoint, None before the first; and why newer ones were refused.

    Raises:
        RunError: there are checkpoints, and none is sound: to start afresh would destroy what is left of them.
    """
    checkpoint, refused = directory.newest_checkpoint()
    if checkpoint is None and refused:
        raise RunError(
            f"{directory.path} cannot be gone on with: {'; '.join(refused)}. Put a sound checkpoint back, or begin "
            "again in another --run-dir"
        )
    return checkpoint, refused


def refuse_changed_config(
    directory: RunDirectory,
    checkpoint: Checkpoint,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    may_change: Collection[str] = (),
) -> None:
    """Half a run under one configuration and half under another is what neither of them describes.

    Args:
        directory: of the run.
        checkpoint: to go on from.
        old: the configuration that it was made with, as `heeler.loop.config.to_dict` gives it.
        new: the run's configuration now.
        may_change: dotted names of what nothing learned depends on.

    Raises:
        RunError: they differ; names what.
    """
    before, now = dotted(old), dotted(new)
    changed = [
        f"{name} from {before.get(name)} to {now.get(name)}"
        for name in before | now
        if before.get(name) != now.get(name) and name not in may_change
    ]
    if changed:
        raise RunError(
            f"{directory.path / 'config.yaml'} was changed after step-{checkpoint.step} was saved: "
            f"{', '.join(changed[:5])}. Put the old values back, or begin another run with the new ones"
        )

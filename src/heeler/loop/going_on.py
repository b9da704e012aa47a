"""Going on with a run: from which checkpoint, and that its configuration is still the one that the run began with."""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import yaml

from heeler.core.errors import RunError
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.loop.config import to_dict
from heeler.loop.holding import Holding
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


def config_text(config: Any) -> str:
    """A run's configuration as its checkpoints hold it, under `config`."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def go_back(directory: RunDirectory, checkpoint: Checkpoint, holding: Holding, *, keep: int) -> Checkpoint:
    """Forget the checkpoints after one, in which what holds the run now is written first; returns that one as it is.

    What holds the run, or let it go, and what was found is not rolled back: it would happen all over again. A kill on
    the way leaves the run held as it was, gone back or not.

    Args:
        directory: of the run.
        checkpoint: to go back to.
        holding: the run, now.
        keep: as of `RunDirectory.save_checkpoint`.

    Raises:
        RunError: the disk is full or read-only.
    """
    step, state = checkpoint.step, holding.state()
    if checkpoint.state.get("holding") != state:
        told = {**checkpoint.state, "holding": state}
        spare = holding.spared(directory.checkpoint_steps())
        checkpoint = directory.save_checkpoint(step, checkpoint.tensors, told, keep=keep, spare=spare)
    directory.discard_checkpoints_after(step)
    return checkpoint


def refuse_changed_config(
    directory: RunDirectory,
    checkpoint: Checkpoint,
    config: Any,
    read: Callable[[dict[str, Any]], Any],
    *,
    may_change: Collection[str] = (),
) -> None:
    """Half a run under one configuration and half under another is what neither of them describes.

    Args:
        directory: of the run.
        checkpoint: to go on from; those of the first versions do not hold what they were made with.
        config: the run's configuration now.
        read: makes a configuration of what `to_dict` gave.
        may_change: dotted names of what nothing learned depends on.

    Raises:
        RunError: they differ; names what.
    """
    if "config" not in checkpoint.state:
        return
    # As this version has it, with what there was no setting for yet.
    before, now = (dotted(to_dict(one)) for one in (read(yaml.safe_load(checkpoint.state["config"])), config))
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


def sha256_of(rows: Iterable[Sequence[object]]) -> str:
    """Of what a run learns from, to tell whether it is still the same."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def refuse_changed_data(directory: RunDirectory, checkpoint: Checkpoint, data: str, sha256: str, what: str) -> None:
    """Refuse to go on with other data than those that a checkpoint learned from.

    Args:
        directory: of the run.
        checkpoint: to go on from.
        data: where they come from.
        sha256: what `sha256_of` says of them now.
        what: what they are called.

    Raises:
        RunError: they differ.
    """
    if checkpoint.state["data_sha256"] != sha256:
        raise RunError(
            f"{data}: its {what} are not those that step-{checkpoint.step} of {directory.path} "
            "learned from; put the old data back, or begin another run with the new"
        )


def refuse_changed_files(directory: RunDirectory, checkpoint: Checkpoint, now: Mapping[str, str]) -> None:
    """Refuse to go on with other files than those that a checkpoint learned by.

    Args:
        directory: of the run.
        checkpoint: to go on from; those of the first runs do not hold what the files were.
        now: SHA-256 of each file, by the setting that names it.

    Raises:
        RunError: one is another now; names its setting.
    """
    for setting, before in checkpoint.state.get("files_sha256", now).items():
        if now.get(setting) != before:
            raise RunError(
                f"the file that {setting} names is not as it was when step-{checkpoint.step} of {directory.path} was "
                "saved; put the old one back, or begin another run with the new"
            )


def sweep(directory: RunDirectory, names: Iterable[str]) -> None:
    """Remove what processes that were killed had written aside for files and folders of these names."""
    for name in names:
        for left in directory.path.glob(f".{name}.*.tmp"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()

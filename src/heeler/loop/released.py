"""Releases by name, and what they hold: read from their own files, and only where those are what was released."""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load

from heeler.core.errors import CheckpointError, RunError
from heeler.core.releases import Release
from heeler.core.rundir import Checkpoint

TENSORS = "tensors.safetensors"
STATE, _MANIFEST = "state.json", "manifest.json"


def release_named(name: str, releases: list[Release], run: Path, *, withdrawn: bool = False) -> Release:
    """The release of that name.

    Args:
        name: its step, its id or the beginning of that.
        releases: to choose from.
        run: the run's directory, for the message.
        withdrawn: whether it may be one that was taken back.

    Raises:
        RunError: there is none, or there are several, or it was withdrawn.
    """
    found = [one for one in releases if str(one.step) == name] or [one for one in releases if one.id.startswith(name)]
    if not name or not found:
        raise RunError(f"{run} has no release {name!r}; `heeler releases` lists those that there are")
    sound = found if withdrawn else [one for one in found if one.withdrawn_by is None]
    if not sound:
        raise RunError(f"release {found[0].id} was withdrawn by {found[0].withdrawn_by}, and is given to nobody")
    if len(sound) > 1:
        raise RunError(
            f"{name!r} names {len(sound)} releases of {run}; write the id out, as `heeler releases` lists it"
        )
    return sound[0]


def released_file(folder: Path, release: Release, name: str) -> bytes:
    """A file of a release's checkpoint.

    Args:
        folder: of the checkpoint.
        release: its manifest.
        name: of the file.

    Raises:
        CheckpointError: a file is missing, altered or damaged.
    """
    try:
        manifest = (folder / _MANIFEST).read_bytes()
        if hashlib.sha256(manifest).hexdigest() != release.checkpoint_sha256:
            raise CheckpointError(f"{folder}: its manifest.json is not the one that was released")
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != json.loads(manifest)["sha256"][name]:
            raise CheckpointError(f"{folder}: the SHA-256 of {name} does not match its manifest")
        return content
    except OSError as error:
        raise CheckpointError(f"{folder}: {error.filename or folder} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: it is damaged ({error}); withdraw the release") from error


def released_checkpoint(folder: Path, release: Release) -> Checkpoint:
    """The checkpoint of a release. The rest is as of `released_file`."""
    tensors, state = (released_file(folder, release, name) for name in (TENSORS, STATE))
    try:
        return Checkpoint(release.step, load(tensors), json.loads(state), release.checkpoint_sha256)
    except (ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: it is damaged ({error}); withdraw the release") from error

"""Language models on disk: a folder as transformers writes it, with a manifest; it appears whole or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from heeler import __version__
from heeler.core.errors import CheckpointError, RunError
from heeler.core.rundir import flush_directory

MANIFEST_NAME = "manifest.json"
FORMAT = 1
_BLOCK = 2**20
# Numbers of each weight that go into a fingerprint, from its beginning.
_SAMPLE = 64


def save_model(module: nn.Module, tokenizer: Any, folder: Path, origin: Mapping[str, Any] | None = None) -> None:
    """Write a model, or the adapter of one, with its tokenizer, beside `folder`, and rename it.

    Raises:
        RunError: it cannot be written, or the folder holds something else.
    """
    if folder.exists() and not (folder / MANIFEST_NAME).exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty and is no model that heeler saved; choose another folder")
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        # Else peft asks the hub whether embeddings, which an adapter here never changes, are those of its model.
        alone = {"save_embedding_layers": False} if hasattr(module, "peft_config") else {}
        pretrained: Any = module
        pretrained.save_pretrained(aside, **alone)
        tokenizer.save_pretrained(aside)
        _write_manifest(module, aside, origin)
        _put_in_place(aside, folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise RunError(
            f"cannot write {folder}: {error.strerror or error}; free some space or choose another"
        ) from error


def _write_manifest(module: nn.Module, folder: Path, origin: Mapping[str, Any] | None) -> None:
    # Made for the hub, and it would say where this machine keeps its models.
    (folder / "README.md").unlink(missing_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "made_by": f"heeler {__version__}",
        "sha256": {str(path.relative_to(folder)): sha256_of(path) for path in files},
    }
    if hasattr(module, "peft_config"):
        manifest["base_fingerprint"] = fingerprint(module)
    if origin:
        manifest["origin"] = dict(origin)
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1))
    for path in (*files, folder / MANIFEST_NAME):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    flush_directory(folder)


def _put_in_place(aside: Path, folder: Path) -> None:
    replaced = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        os.replace(folder, replaced)
    try:
        os.replace(aside, folder)
    except OSError:
        with suppress(OSError):
            os.replace(replaced, folder)
        raise
    flush_directory(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder, after its files were held against it; None where there is none.

    A replacement that a kill cut short is undone first.

    Raises:
        CheckpointError: a file is missing or altered, or the manifest cannot be read.
    """
    replaced = folder.with_name(f".{folder.name}.replaced")
    if not folder.exists() and replaced.exists():
        os.replace(replaced, folder)
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_bytes())
        hashes = dict(manifest["sha256"])
        if manifest["format"] != FORMAT:
            raise CheckpointError(f"{path}: format {manifest['format']}, expected {FORMAT}")
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error!r}); the model is refused") from error
    for name, expected in hashes.items():
        try:
            got = sha256_of(folder / name)
        except OSError as error:
            raise CheckpointError(f"{folder / name} is refused: {error.strerror or error}") from error
        if got != expected:
            raise CheckpointError(f"{folder / name} is refused: its SHA-256 does not match {path.name}")
    return manifest


def sha256_of(path: Path) -> str:
    """Of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def causal_of(module: nn.Module) -> Any:
    """Transformers' own model, out of peft's around it where there is one."""
    adapted: Any = module
    return adapted.get_base_model() if hasattr(module, "peft_config") else module


def fingerprint(module: nn.Module) -> str:
    """Tells models apart: names, shapes and first numbers of the weights that an adapter leaves as they are."""
    digest = hashlib.sha256()
    named = causal_of(module).named_parameters()
    for name, parameter in sorted(named, key=lambda item: item[0].replace(".base_layer", "")):
        if _is_added(name):
            continue
        first = parameter.detach().flatten()[:_SAMPLE].float().cpu().bfloat16().float().numpy()
        digest.update(f"{name.replace('.base_layer', '')} {tuple(parameter.shape)} ".encode() + first.tobytes())
    return digest.hexdigest()


def _is_added(name: str) -> bool:
    return ".lora_" in name or ".modules_to_save." in name

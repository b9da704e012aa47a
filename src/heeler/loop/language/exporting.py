"""From a run of a language model to a folder that transformers loads, or peft where an adapter was learned."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from heeler.core.errors import CheckpointError, ConfigError, RunError
from heeler.core.named import under
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.loop.chat_releases import MODEL_PREFIX, put_weights, released_weights
from heeler.loop.language.config import LanguageRunConfig, language_config_from_dict
from heeler.loop.reading import newest_sound_checkpoint
from heeler.loop.released import release_named
from heeler.loop.run_model import MODEL, has_adapter, has_start, load_start, start_named
from heeler.loop.tensors import to_tensors
from heeler.models.language.model import LanguageModel


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """What was written."""

    files: list[Path]
    step: int
    """At which the learner had made it."""
    release: str | None
    """Id of the release that it is; None where it is the newest checkpoint."""


@dataclass(frozen=True, kw_only=True)
class _Learned:
    """What is to be written: weights that learning changed, and where they were found."""

    tensors: Mapping[str, Tensor]
    step: int
    sha256: str
    place: Path
    release: str | None = None


def export_language_run(
    run: Path | str, folder: Path | str, *, release: str | None = None, newest: bool = False, merge: bool = False
) -> ExportedModel:
    """Write the model of a run with its tokenizer: whole, or the adapter alone where the run learns one.

    It is the release in use; where nothing of the run was ever to be released, it is the newest checkpoint.

    Args:
        run: the run's directory.
        folder: is made; it must not be there yet, and appears whole or not at all.
        release: another release or candidate, by its step, its id or the beginning of that.
        newest: write the newest sound checkpoint, whatever a gate says of it.
        merge: add the adapter to the weights, and write the whole model.

    Raises:
        RunError: there is no such release, none is in use, or it was withdrawn; or the folder is there or cannot be
            written.
        ConfigError: settings contradict each other, or there is no adapter to merge.
        CheckpointError: what is to be written is damaged.
    """
    directory, folder = RunDirectory.open(Path(run)), Path(folder)
    config = language_config_from_dict(directory.config())
    if release is not None and newest:
        raise ConfigError("release and newest: name one of the two")
    if merge and config.model.lora is None and not has_adapter(directory.path):
        raise ConfigError("merge: this run learns all weights, and so has no adapter to merge; leave it out")
    if folder.exists():
        raise RunError(f"{folder} is there already; choose another --out")
    if not has_start(directory.path):
        raise RunError(f"{directory.path} has no {MODEL} yet; let it run a little")
    learned = _learned(directory, config, release, newest=newest)
    model = _model(directory, config, learned, merge=merge)
    origin = {
        "run": directory.path.resolve().name,
        "recipe": config.recipe,
        "step": learned.step,
        "release": learned.release,
        "checkpoint_sha256": learned.sha256,
    }
    model.save(folder, origin)
    return ExportedModel(files=sorted(folder.iterdir()), step=learned.step, release=learned.release)


def _learned(directory: RunDirectory, config: LanguageRunConfig, release: str | None, *, newest: bool) -> _Learned:
    releases = Releases(directory)
    found = releases.all()
    if release is not None:
        chosen = release_named(release, found, directory.path)
    elif not newest and (found or config.release is not None):
        chosen = releases.in_use()
        if chosen is None:
            raise RunError(
                f"no release of {directory.path} is in use; --newest writes the newest checkpoint, --release a "
                "candidate that `heeler releases` lists"
            )
    else:
        return _newest(directory)
    folder = releases.checkpoint_folder(chosen)
    return _Learned(
        tensors=released_weights(folder, chosen),
        step=chosen.step,
        sha256=chosen.checkpoint_sha256,
        place=folder,
        release=chosen.id,
    )


def _newest(directory: RunDirectory) -> _Learned:
    checkpoint = newest_sound_checkpoint(directory)
    return _Learned(
        tensors=to_tensors(under(MODEL_PREFIX, checkpoint.tensors)),
        step=checkpoint.step,
        sha256=checkpoint.sha256,
        place=directory.path / "checkpoints" / f"step-{checkpoint.step}",
    )


def _model(directory: RunDirectory, config: LanguageRunConfig, learned: _Learned, *, merge: bool) -> LanguageModel:
    settings: dict[str, Any] = {"dtype": _dtype(directory.path), "device": "cpu", "trainable": False}
    model = load_start(directory.path, lora=config.model.lora, **settings)
    put_weights(model, learned.tensors, learned.place)
    if merge:
        return model.merged()
    if model.has_adapter:
        adapters: Any = model.module.peft_config
        for adapter in adapters.values():
            adapter.base_model_name_or_path = start_named(directory.path)
    return model


def _dtype(run: Path) -> str:
    """What the run computes in, which is what its own copy of the model is written in."""
    path = run / MODEL / "config.json"
    try:
        fields = json.loads(path.read_bytes())
        named = fields.get("dtype") or fields.get("torch_dtype")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    return "bfloat16" if named == "bfloat16" else "float32"

"""The model that a run begins with, as its directory keeps it: whole, with the adapter beside it if it has one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heeler.core.errors import ConfigError
from heeler.models.language.adapters import Lora, base_of, is_adapter
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel
from heeler.models.language.saving import read_manifest

MODEL = "model"
"""Folder of a run that holds the language model that it began with, or, where it learned from data, ended with."""
ADAPTER = "adapter"
"""Folder of a run that holds the adapter that it began with, where it went on with one."""
_HUB_ID = "hub_id"


def has_start(path: Path) -> bool:
    """Whether the run at `path` holds the model that it begins with; it is written last."""
    return (path / MODEL / "config.json").is_file()


def has_adapter(path: Path) -> bool:
    """Whether the run at `path` began with an adapter, which went on learning."""
    return (path / ADAPTER).is_dir()


def keep_start(path: Path, start: LanguageModel, named: str) -> None:
    """Write the model that a run begins with into its directory, which then needs nothing else to go on.

    Args:
        path: of the run.
        start: the model; it is used up where it has an adapter.
        named: the folder or name on the hub under which it was found.

    Raises:
        RunError: it cannot be written.
    """
    source = Path(named)
    base = base_of(source) if is_adapter(source) else named
    if is_adapter(source):
        start.save(path / ADAPTER)
    # A folder's name says little later on, when it may be gone.
    origin: Mapping[str, Any] = {} if Path(base).exists() else {_HUB_ID: base}
    # A new adapter begins as nothing, and by the run's seed: nothing of it needs to be kept.
    (start.without_adapter() if start.has_adapter else start).save(path / MODEL, origin)


def load_start(path: Path, *, lora: Lora | None = None, **settings: Any) -> LanguageModel:
    """The model that the run at `path` began with.

    Args:
        path: of the run.
        lora: a new adapter for it, where it did not begin with one.
        settings: of `load_language_model`.

    Raises:
        HeelerError: as of `load_language_model`.
    """
    if has_adapter(path):
        return load_language_model(path / MODEL, adapter=path / ADAPTER, **settings)
    return load_language_model(path / MODEL, lora=lora, **settings)


def start_named(path: Path) -> str:
    """Where others find the model that the adapter of the run at `path` is for: its name on the hub, or the run's copy.

    Raises:
        CheckpointError: that copy was altered.
    """
    manifest = read_manifest(path / MODEL) or {}
    return str(manifest.get("origin", {}).get(_HUB_ID) or (path / MODEL).resolve())


def template_in(path: Path | str) -> str:
    """The chat template that a file holds.

    Raises:
        ConfigError: it cannot be read, or holds nothing.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"chat_template: cannot read {path}: {error}; give a Jinja template in UTF-8") from error
    if not text.strip():
        raise ConfigError(f"chat_template: {path} holds no text; give a Jinja template")
    return text

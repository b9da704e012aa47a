"""What `heeler serve` lets people talk to: a model's folder, or a run of a language model with its releases."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heeler.core.chat import TextGuard
from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import TEXT, Message
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import TEXTS, has_store, open_store
from heeler.loop.chat_engine import LanguageChat, ServedVersion
from heeler.loop.chat_releases import ReleaseWatch, released_version
from heeler.loop.language.config import is_language_config, language_config_from_dict
from heeler.loop.offline.config import is_offline_config
from heeler.models.language.loading import Precision, load_language_model
from heeler.models.language.model import LanguageModel
from heeler.rollouts.engine import Engine
from heeler.safety.text_guards.incoming import InputGuard
from heeler.safety.text_guards.injection import Injection
from heeler.safety.text_guards.output import OutputGuard
from heeler.safety.text_guards.rules import ListedWords, PersonalData, PromptLeak, Toxic
from heeler.service.chat.setup import ChatSetup
from heeler.service.folder import may_be_served

MODEL = "model"
"""Folder of a run that holds the language model that it began with, or where it learned from data, ended with."""
_UNNAMABLE = re.compile(r"[^A-Za-z0-9_.+-]+")


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """How a model is served."""

    keep_in: Path = Path("runs")
    """Folder of runs in which what is said to a model without a run is kept."""
    max_streams: int = 64
    """Answers that are made at a time."""
    max_length: int | None = None
    """Tokens of a prompt and its answer together; None for the model's context."""
    dtype: Precision = "auto"
    device: str = "auto"
    guarded: bool = True
    """Whether heeler's guards look at what comes in and what leaves."""
    system: str | None = None
    """What a chat is told first where who asks gives no system message; None for what the run says, if it is one."""


@dataclass(frozen=True, kw_only=True)
class ServedChat:
    """A chat that is ready to be served."""

    runs: Path
    """The folder of runs to serve."""
    setup: ChatSetup


def chat_of(path: Path, options: ServeOptions) -> ServedChat:
    """The chat of a model's folder or of a run.

    Raises:
        ConfigError: it is a run without a language model, or cannot be named; or what it is told first does not fit.
        DataError: the model cannot be read.
        CheckpointError: the release in use is damaged.
        RunError: the folder for what is said cannot be made.
    """
    if (path / "config.yaml").is_file():
        return _of_run(path, options)
    name = _UNNAMABLE.sub("-", path.resolve().name).strip("-.") or MODEL
    model = load_language_model(path, dtype=options.dtype, device=options.device, trainable=False)
    system = _fitting(options.system or "", model, options)
    directory = RunDirectory.create(options.keep_in / name, {"recipe": TEXTS, "env": {"id": TEXT}})
    if not has_store(directory):
        open_store(directory).close()
    chat = _chat(name, ServedVersion(model=model, version=0), options)
    return ServedChat(runs=options.keep_in, setup=_setup(chat, name, system, options))


def _of_run(path: Path, options: ServeOptions) -> ServedChat:
    path = path.resolve()
    directory = RunDirectory.open(path)
    if is_offline_config(directory.config()) and not (path / MODEL / "config.json").is_file():
        raise ConfigError(
            f"{path} has not learned to its end, so that there is no model to serve: heeler resume {path}"
        )
    if not (path / MODEL / "config.json").is_file():
        raise ConfigError(f"{path} is a run without a language model; serve its folder: heeler serve {path.parent}")
    if not may_be_served(path):
        raise ConfigError(f"{path.name!r} cannot be asked for by name; rename the run")
    if not has_store(directory):
        open_store(directory).close()
    config = directory.config()
    # Releases of a run that learns an adapter hold the adapter alone.
    lora = language_config_from_dict(config).model.lora if is_language_config(config) else None
    base = load_language_model(path / MODEL, dtype=options.dtype, device=options.device, lora=lora, trainable=False)
    said = config.get("system", "") if options.system is None else options.system
    system = _fitting(said, base, options)
    first = ServedVersion(model=base, version=0)
    chat, releases = _chat(path.name, first, options), Releases(directory)

    def load(release: Release) -> ServedVersion:
        return released_version(releases.checkpoint_folder(release), release, base)

    try:
        ReleaseWatch(releases, chat, first, load).begin()
    except BaseException:
        chat.close()
        raise
    return ServedChat(runs=path.parent, setup=_setup(chat, path.name, system, options))


def _fitting(system: str, model: LanguageModel, options: ServeOptions) -> str:
    """What a chat is told first, if the model can read it and has room left for more."""
    if not system:
        return ""
    try:
        num_tokens = len(model.prompt_ids((Message(role="system", content=system), Message(role="user", content=""))))
    except DataError as error:
        raise ConfigError(f"system: the model cannot be told this first: {error}") from error
    most = min(options.max_length or model.max_length, model.max_length)
    if num_tokens >= most:
        raise ConfigError(f"system: {num_tokens} tokens leave no room in the context of {most}; shorten it")
    return system


def _chat(name: str, first: ServedVersion, options: ServeOptions) -> LanguageChat:
    engine = Engine(first.model, first.version, max_streams=options.max_streams, max_length=options.max_length)
    return LanguageChat(name, first, engine, max_length=engine.max_length)


def _setup(chat: LanguageChat, run: str, system: str, options: ServeOptions) -> ChatSetup:
    incoming: tuple[TextGuard, ...] = ()
    outgoing: tuple[TextGuard, ...] = ()
    if options.guarded:
        incoming = (InputGuard([Injection()]),)
        rules: list[Any] = [ListedWords(), Toxic(), PromptLeak(), PersonalData()]
        outgoing = (OutputGuard(rules),)
    return ChatSetup(engine=chat, run=run, system=system, incoming=incoming, outgoing=outgoing)

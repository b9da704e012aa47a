"""What `heeler serve` lets people talk to: a model's folder, or a run of a language model with its releases."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heeler.core.chat import TextGuard
from heeler.core.errors import ConfigError
from heeler.core.nouns import TEXT
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import TEXTS, has_store, open_store
from heeler.loop.chat_engine import LanguageChat, ServedVersion
from heeler.loop.chat_releases import ReleaseWatch, released_version
from heeler.models.language.loading import Precision, load_language_model
from heeler.rollouts.engine import Engine
from heeler.safety.text_guards.incoming import InputGuard
from heeler.safety.text_guards.injection import Injection
from heeler.safety.text_guards.output import OutputGuard
from heeler.safety.text_guards.rules import ListedWords, PersonalData, PromptLeak, Toxic
from heeler.service.chat.setup import ChatSetup
from heeler.service.folder import may_be_served

MODEL = "model"
"""Folder of a run that holds the language model that it began with."""
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


@dataclass(frozen=True, kw_only=True)
class ServedChat:
    """A chat that is ready to be served."""

    runs: Path
    """The folder of runs to serve."""
    setup: ChatSetup


def chat_of(path: Path, options: ServeOptions) -> ServedChat:
    """The chat of a model's folder or of a run.

    Raises:
        ConfigError: it is a run without a language model, or cannot be named.
        DataError: the model cannot be read.
        CheckpointError: the release in use is damaged.
        RunError: the folder for what is said cannot be made.
    """
    if (path / "config.yaml").is_file():
        return _of_run(path, options)
    name = _UNNAMABLE.sub("-", path.resolve().name).strip("-.") or MODEL
    model = load_language_model(path, dtype=options.dtype, device=options.device, trainable=False)
    directory = RunDirectory.create(options.keep_in / name, {"recipe": TEXTS, "env": {"id": TEXT}})
    if not has_store(directory):
        open_store(directory).close()
    chat = _chat(name, ServedVersion(model=model, version=0), options)
    return ServedChat(runs=options.keep_in, setup=_setup(chat, name, options))


def _of_run(path: Path, options: ServeOptions) -> ServedChat:
    path = path.resolve()
    directory = RunDirectory.open(path)
    if not (path / MODEL / "config.json").is_file():
        raise ConfigError(f"{path} is a run without a language model; serve its folder: heeler serve {path.parent}")
    if not may_be_served(path):
        raise ConfigError(f"{path.name!r} cannot be asked for by name; rename the run")
    if not has_store(directory):
        open_store(directory).close()
    base = load_language_model(path / MODEL, dtype=options.dtype, device=options.device, trainable=False)
    first = ServedVersion(model=base, version=0)
    chat, releases = _chat(path.name, first, options), Releases(directory)

    def load(release: Release) -> ServedVersion:
        return released_version(releases.checkpoint_folder(release), release, base)

    try:
        ReleaseWatch(releases, chat, first, load).begin()
    except BaseException:
        chat.close()
        raise
    return ServedChat(runs=path.parent, setup=_setup(chat, path.name, options))


def _chat(name: str, first: ServedVersion, options: ServeOptions) -> LanguageChat:
    engine = Engine(first.model, first.version, max_streams=options.max_streams, max_length=options.max_length)
    return LanguageChat(name, first, engine, max_length=engine.max_length)


def _setup(chat: LanguageChat, run: str, options: ServeOptions) -> ChatSetup:
    incoming: tuple[TextGuard, ...] = ()
    outgoing: tuple[TextGuard, ...] = ()
    if options.guarded:
        incoming = (InputGuard([Injection()]),)
        rules: list[Any] = [ListedWords(), Toxic(), PromptLeak(), PersonalData()]
        outgoing = (OutputGuard(rules),)
    return ChatSetup(engine=chat, run=run, incoming=incoming, outgoing=outgoing)

"""What `heeler serve` lets people talk to: a model's folder, or a run of a language model with its releases."""

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from heeler.core.errors import ConfigError, DataError, RunError
from heeler.core.nouns import TEXT, Message
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import TEXTS, has_store, open_store
from heeler.loop.chat_engine import LanguageChat, ServedVersion
from heeler.loop.chat_following import ChatFollower
from heeler.loop.chat_releases import ReleaseWatch, released_version
from heeler.loop.deployment_evidence import CANARY
from heeler.loop.guards import GuardsConfig, incoming_guards, outgoing_guards
from heeler.loop.language.config import is_language_config, language_config_from_dict
from heeler.loop.offline.config import is_offline_config
from heeler.loop.run_model import MODEL, has_adapter, has_start, load_start, template_in
from heeler.models.language.adapters import base_of, is_adapter
from heeler.models.language.loading import Precision, load_language_model
from heeler.models.language.model import LanguageModel
from heeler.rollouts.engine import Engine
from heeler.rollouts.generation import TextEngine
from heeler.rollouts.vllm_engine import VllmEngine, refuse_without_vllm
from heeler.service.chat.setup import ChatSetup
from heeler.service.folder import may_be_served

_log = logging.getLogger("heeler.serving")
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
    guards: GuardsConfig | None = field(default_factory=GuardsConfig)
    """What looks at what comes in and what leaves; None for nothing."""
    system: str | None = None
    """What a chat is told first where who asks gives no system message; None for what the run says, if it is one."""
    engine: Literal["heeler", "vllm"] = "heeler"
    """What makes the answers: heeler's own engine, or vLLM where that is installed."""
    chat_template: Path | None = None
    """A file with the Jinja template of chats, in place of the tokenizer's own; for a model that is no run."""
    eos_token: str | None = None
    """The token that ends a text, in place of the tokenizer's own; for a model that is no run."""

    def __post_init__(self) -> None:
        for name in ("max_streams", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be >= 1, got {value}")
        if self.engine == "vllm" and self.device != "auto":
            raise ConfigError(f"device would be ignored, got {self.device}: vLLM finds the GPU itself; leave it out")

    @property
    def model_settings(self) -> dict[str, Any]:
        """How the model is loaded. Beside vLLM, which has weights of its own, it only reads and writes tokens."""
        device = "cpu" if self.engine == "vllm" else self.device
        return {"dtype": self.dtype, "device": device, "trainable": False}


@dataclass(frozen=True, kw_only=True)
class ServedChat:
    """A chat that is ready to be served."""

    runs: Path
    """The folder of runs to serve."""
    setup: ChatSetup


def chat_of(path: Path, options: ServeOptions) -> ServedChat:
    """The chat of a model's folder or of a run.

    Raises:
        ConfigError: it is a run without a language model, or cannot be named; what it is told first does not fit; or
            vLLM is to answer and is not installed, or cannot serve it.
        DataError: the model cannot be read.
        CheckpointError: the release in use is damaged.
        RunError: the folder for what is said cannot be made.
    """
    if options.engine == "vllm":
        refuse_without_vllm()
    if (path / "config.yaml").is_file():
        return _of_run(path, options)
    name = _UNNAMABLE.sub("-", path.resolve().name).strip("-.") or MODEL
    template = None if options.chat_template is None else template_in(options.chat_template)
    settings = options.model_settings
    model = load_language_model(path, chat_template=template, eos_token=options.eos_token, **settings)
    system = _fitting(options.system or "", model, options)
    directory = RunDirectory.create(options.keep_in / name, {"recipe": TEXTS, "env": {"id": TEXT}})
    if not has_store(directory):
        open_store(directory).close()
    base = base_of(path) if is_adapter(path) else path
    chat = _chat(name, ServedVersion(model=model, version=0), base, options)
    return ServedChat(runs=options.keep_in, setup=_setup(chat, name, system, options))


def _of_run(path: Path, options: ServeOptions) -> ServedChat:
    path = path.resolve()
    directory = RunDirectory.open(path)
    if is_offline_config(directory.config()) and not has_start(path):
        raise ConfigError(
            f"{path} has not learned to its end, so that there is no model to serve: heeler resume {path}"
        )
    if not has_start(path):
        raise ConfigError(f"{path} is a run without a language model; serve its folder: heeler serve {path.parent}")
    if not may_be_served(path):
        raise ConfigError(f"{path.name!r} cannot be asked for by name; rename the run")
    if not has_store(directory):
        open_store(directory).close()
    config = directory.config()
    # Releases of a run that learns an adapter hold the adapter alone.
    lora = language_config_from_dict(config).model.lora if is_language_config(config) else None
    _refuse_what_does_not_fit_a_run(path, lora is not None or has_adapter(path), options)
    base = load_start(path, lora=lora, **options.model_settings)
    said = config.get("system", "") if options.system is None else options.system
    system = _fitting(said, base, options)
    first = ServedVersion(model=base, version=0)
    chat, releases = _chat(path.name, first, path / MODEL, options), Releases(directory)

    def load(release: Release) -> ServedVersion:
        return released_version(releases.checkpoint_folder(release), release, base)

    try:
        ReleaseWatch(releases, chat, first, load, _follower(directory)).begin()
    except BaseException:
        chat.close()
        raise
    return ServedChat(runs=path.parent, setup=_setup(chat, path.name, system, options))


def _follower(directory: RunDirectory) -> ChatFollower | None:
    """Who follows the run's releases, as its configuration has it; None for nobody."""
    config = directory.config()
    release = language_config_from_dict(config).release if is_language_config(config) else None
    if release is None:
        return None
    tries = release.approval == CANARY
    try:
        return ChatFollower(directory, release.live, open_store(directory), tries_candidates=tries)
    except RunError as error:
        # Two services may answer; what both saw is in the one store, by which one of them decides.
        _log.warning("%s", error)
        return None


def _refuse_what_does_not_fit_a_run(path: Path, learns_adapter: bool, options: ServeOptions) -> None:
    for name in ("chat_template", "eos_token"):
        if getattr(options, name) is not None:
            raise ConfigError(
                f"{name} is for a model that is no run: {path} answers as it learns, by what its own {MODEL} says"
            )
    if options.engine == "vllm" and not learns_adapter:
        raise ConfigError(
            f"engine: vLLM exchanges adapters while it answers, and {path} learns all weights; leave --engine out, or "
            "serve what `heeler export` makes of it"
        )


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


def _chat(name: str, first: ServedVersion, base: Path | str, options: ServeOptions) -> LanguageChat:
    limits: dict[str, Any] = {"max_streams": options.max_streams, "max_length": options.max_length}
    engine: TextEngine
    if options.engine == "vllm":
        engine = VllmEngine(base, first.model, first.version, dtype=options.dtype, **limits)
    else:
        engine = Engine(first.model, first.version, **limits)
    return LanguageChat(name, first, engine, max_length=engine.max_length)


def _setup(chat: LanguageChat, run: str, system: str, options: ServeOptions) -> ChatSetup:
    guards = options.guards
    if guards is None:
        return ChatSetup(engine=chat, run=run, system=system)
    return ChatSetup(
        engine=chat,
        run=run,
        system=system,
        incoming=incoming_guards(guards.incoming),
        outgoing=outgoing_guards(guards.outgoing),
        num_tries=guards.num_tries,
        refusal=guards.refusal,
    )

"""`heeler serve`. What is heavy, and what the extras bring, is imported inside."""

import inspect
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from heeler.cli.arguments import OK, flag_name
from heeler.cli.browser import open_browser
from heeler.core.errors import ConfigError

if TYPE_CHECKING:
    from heeler.loop.serving import ServedChat
    from heeler.service.config import ServiceConfig

What = Annotated[
    tyro.conf.Positional[Path],
    tyro.conf.arg(metavar="RUNS", help="a folder of runs, a language model, or a run of one"),
]
_OF_CHATS = ("config.json", "adapter_config.json", "config.yaml")


# Long by its arguments and their help alone.
def serve(
    runs: What = Path("runs"),
    *,
    host: str = "127.0.0.1",
    port: int = 8642,
    certificate: Path | None = None,
    private_key: Path | None = None,
    behind_proxy: bool = False,
    keep_in: Path = Path("runs"),
    engine: Literal["heeler", "vllm"] = "heeler",
    max_streams: int = 64,
    max_length: int | None = None,
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    guards: Path | None = None,
    unguarded: bool = False,
    system: Path | None = None,
    chat_template: Path | None = None,
    eos_token: str | None = None,
    open: bool = False,
) -> int:
    """Serve a folder of runs to people and programs, until Ctrl-C; of a language model or its run, the chat too.

    Args:
        runs: a folder of runs, each of which is served; the folder of a language model; or a run of one.
        host: address to listen on; others than this machine can reach only what is not 127.0.0.1.
        port: where to listen; 0 for any that is free.
        certificate: PEM file of the certificate chain, for TLS.
        private_key: PEM file of its private key.
        behind_proxy: a proxy on this machine ends TLS and says in X-Forwarded-* who asks.
        keep_in: folder of runs in which what is said to a model without a run is kept.
        engine: what makes a model's answers: heeler's own engine, or vLLM, which needs a GPU and the extra vllm.
        max_streams: answers of a model that are made at a time.
        max_length: tokens of a prompt and its answer together, where that is to be less than the model's context.
        dtype: what a model computes in.
        device: on which: auto, cpu or cuda.
        guards: YAML file that says which of heeler's guards look at the chat, and what becomes of what they find; what
            it does not name is as it is without one.
        unguarded: let in and out what heeler's guards would keep back.
        system: text file with what a model is told first where who asks gives no system message; instead of what its
            run says.
        chat_template: file with the Jinja template of chats, in place of the one of a model that is no run.
        eos_token: the token that ends a text, in place of the one of a model that is no run.
        open: open a browser at the chat, or where there is none at the start page, if this machine has a display.
    """
    with _needing("service", "heeler serve"):
        from heeler.service.config import ServiceConfig
        from heeler.service.server import serve as serve_folder
    if guards is not None and unguarded:
        raise ConfigError("--guards says what guards the chat and --unguarded that nothing does; leave one out")
    of_models: dict[str, Any] = {
        "system": system,
        "guards": guards,
        "unguarded": unguarded,
        "engine": engine,
        "max_streams": max_streams,
        "max_length": max_length,
        "dtype": dtype,
        "device": device,
        "chat_template": chat_template,
        "eos_token": eos_token,
    }
    chat = None
    if any((runs / name).is_file() for name in _OF_CHATS):
        chat = _chat(runs, keep_in=keep_in, **of_models)
    else:
        _refuse_for_folder(runs, of_models)
    config = ServiceConfig(
        runs=runs if chat is None else chat.runs,
        host=host,
        port=port,
        certificate=certificate,
        private_key=private_key,
        behind_proxy=behind_proxy,
    )
    try:
        tell = partial(_tell, config, chat, opens_browser=open)
        serve_folder(config, chat=None if chat is None else chat.setup, on_start=tell)
    finally:
        if chat is not None:
            chat.setup.engine.close()
    return OK


@contextmanager
def _needing(extra: str, what: str) -> Generator[None]:
    """Imports in the block are of what an extra brings."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{what} needs a package that is missing ({error.name}): pip install 'heeler[{extra}]'"
        ) from error


def _refuse_for_folder(runs: Path, of_models: Mapping[str, object]) -> None:
    usual = {name: parameter.default for name, parameter in inspect.signature(serve).parameters.items()}
    given = next((name for name, value in of_models.items() if value != usual[name]), None)
    if given is not None:
        flag = flag_name(given, usual[given])
        raise ConfigError(f"{flag} is for a language model or its run, and {runs} is neither; leave it out")


def _tell(
    config: "ServiceConfig", chat: "ServedChat | None", url: str, password: str | None, *, opens_browser: bool
) -> None:
    print(f"Serving {config.runs} on {url}", flush=True)
    if chat is not None:
        print(f"Chat with {chat.setup.run}: {url}/chat, and {url}/v1 for programs", flush=True)
    if password is not None:
        print(f"First start: sign in as `admin` with the one-time password {password}", flush=True)
    if not config.is_local and config.certificate is None and not config.behind_proxy:
        _complain("heeler: without TLS everybody on the way reads passwords; give --certificate and --private-key")
    if opens_browser:
        page = url if chat is None else f"{url}/chat"
        # Some browsers hold up whoever opens them.
        threading.Thread(target=open_browser, args=(page, _complain), name="browser", daemon=True).start()


def _complain(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _text_of(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--system: cannot read {path}: {error}; give a text file in UTF-8") from error
    if not text or "\0" in text:
        raise ConfigError(f"--system: {path} holds {'a NUL' if text else 'no text'}; give a text file, or leave it out")
    return text


def _chat(path: Path, *, system: Path | None, guards: Path | None, unguarded: bool, **settings: Any) -> "ServedChat":
    told = None if system is None else _text_of(system)
    with _needing("lm", "a language model"):
        from heeler.loop.guards import GuardsConfig, read_guards
        from heeler.loop.serving import ServeOptions, chat_of
    looking = GuardsConfig() if guards is None else read_guards(guards)
    return chat_of(path, ServeOptions(guards=None if unguarded else looking, system=told, **settings))

"""Serving: one process, one service for a folder of runs."""

import errno
import gc
import socket
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from types import FrameType

import uvicorn

from heeler.core.errors import ConfigError, RunError
from heeler.core.locks import held_alone
from heeler.service.app import create_app
from heeler.service.audit import Audit
from heeler.service.chat.setup import ChatSetup
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
from heeler.service.folder import LOCK_NAME, tell_address
from heeler.service.protocol import patient

_STOP_WITHIN_S = 10
# Who looks whether the folder is served holds the lock for an instant.
_LOCK_PATIENCE_S = 1.0
_KEEP_ALIVE_S = 30


class _Server(uvicorn.Server):
    """Tells the service at once that it is to stop, so that streams end by themselves."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.stopping = True
        super().handle_exit(sig, frame)


def serve(
    config: ServiceConfig,
    *,
    audit: Audit | None = None,
    chat: ChatSetup | None = None,
    on_start: Callable[[str, str | None], None],
) -> None:
    """Serve until the process is told to stop.

    Args:
        config: of the service.
        audit: takes a line for every change.
        chat: the model that people talk to, if any.
        on_start: called with the address, and with the one-time password of `admin` where this is the first start.

    Raises:
        ConfigError: the folder is none, or the address cannot be listened on.
        RunError: another service serves this folder.
        StoreError: people.db cannot be opened.
    """
    if not config.runs.is_dir():
        raise ConfigError(f"runs must be a folder, got {config.runs}, which is none; make it first")
    with _locked(config), _listening(config) as listener:
        app = create_app(config, audit, chat)
        service: Service = app.state.service
        scheme = "http" if config.certificate is None else "https"
        host = f"[{config.host}]" if ":" in config.host else config.host
        url = f"{scheme}://{host}:{listener.getsockname()[1]}"
        _spare_the_collector()
        tell_address(config.runs, url)
        on_start(url, service.first_password)
        service.first_password = None
        _Server(_uvicorn_config(config, app), service).run(sockets=[listener])


def _spare_the_collector() -> None:
    """What was loaded until now stays, and requests leave few cycles: looking through all of it took a quarter of the
    time under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _uvicorn_config(config: ServiceConfig, app: Callable[..., object]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=patient(header_timeout_s=config.header_timeout_s, send_timeout_s=config.send_timeout_s),
        ws="none",
        interface="asgi3",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        # A service behind a proxy reads them itself, the host too.
        proxy_headers=False,
        limit_concurrency=config.max_connections,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_WITHIN_S,
        ssl_certfile=config.certificate,
        ssl_keyfile=config.private_key,
    )


@contextmanager
def _locked(config: ServiceConfig) -> Generator[None]:
    path, busy = config.runs / LOCK_NAME, f"{config.runs} is served by another process; stop that one first"
    with ExitStack() as stack:
        try:
            stack.enter_context(held_alone(path, busy=busy, patience_s=_LOCK_PATIENCE_S))
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror or error}; make the folder writable") from error
        yield


@contextmanager
def _listening(config: ServiceConfig) -> Generator[socket.socket]:
    with _bound(config) as listener:
        listener.set_inheritable(True)
        yield listener


def _bound(config: ServiceConfig) -> socket.socket:
    """A socket that listens on the first port that is free.

    Raises:
        ConfigError: none is.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    ports = range(config.port, min(config.port + config.num_ports, 65536))
    for port in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((config.host, port))
            listener.listen(2048)
            return listener
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE and port != ports[-1]:
                continue
            where = f"{config.host}:{port}" + (f" (nor on any port from {config.port} on)" if len(ports) > 1 else "")
            raise ConfigError(f"cannot listen on {where}: {error.strerror or error}; choose another --port") from error
    raise AssertionError("there is at least one port")

"""`heeler serve`. What is heavy, and what the extra brings, is imported inside."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from heeler.cli.arguments import OK
from heeler.core.errors import ConfigError

Runs = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUNS", help="the folder of runs")]


def serve(
    runs: Runs = Path("runs"),
    *,
    host: str = "127.0.0.1",
    port: int = 8642,
    certificate: Path | None = None,
    private_key: Path | None = None,
    behind_proxy: bool = False,
) -> int:
    """Serve a folder of runs to people and programs, until Ctrl-C.

    Args:
        runs: the folder; each run in it is served.
        host: address to listen on; others than this machine can reach only what is not 127.0.0.1.
        port: where to listen; 0 for any that is free.
        certificate: PEM file of the certificate chain, for TLS.
        private_key: PEM file of its private key.
        behind_proxy: a proxy on this machine ends TLS and says in X-Forwarded-* who asks.
    """
    try:
        from heeler.service.config import ServiceConfig
        from heeler.service.server import serve as serve_folder
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"heeler serve needs a package that is missing ({error.name}): pip install 'heeler[service]'"
        ) from error
    config = ServiceConfig(
        runs=runs,
        host=host,
        port=port,
        certificate=certificate,
        private_key=private_key,
        behind_proxy=behind_proxy,
    )

    def tell(url: str, password: str | None) -> None:
        print(f"Serving {runs} on {url}", flush=True)
        if password is not None:
            print(f"First start: sign in as `admin` with the one-time password {password}", flush=True)
        if not config.is_local and certificate is None and not behind_proxy:
            print(
                "heeler: without TLS everybody on the way reads passwords; give --certificate and --private-key",
                file=sys.stderr,
                flush=True,
            )

    serve_folder(config, on_start=tell)
    return OK

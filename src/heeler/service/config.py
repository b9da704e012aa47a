"""What a service is told when it starts."""

from dataclasses import dataclass
from pathlib import Path

from heeler.core.errors import ConfigError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """One service for one folder of runs.

    Raises:
        ConfigError: a setting is out of range, or would be ignored.
    """

    runs: Path
    """The folder: each sub-directory with a config.yaml is a run; people.db and the service's lock lie beside them."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8642
    """TCP port; 0 for any that is free."""
    num_ports: int = 1
    """How many ports are tried, from `port` upwards, until one is free."""
    certificate: Path | None = None
    """PEM file of the certificate chain, for TLS."""
    private_key: Path | None = None
    """PEM file of its private key."""
    behind_proxy: bool = False
    """A proxy on this machine ends TLS and says in X-Forwarded-* who asks."""

    max_body_bytes: int = 1 << 20
    """Longest body of a request."""
    max_batch: int = 1000
    """Most answers in one post."""
    header_timeout_s: float = 10.0
    """How long a client may take to send the head of a request."""
    body_timeout_s: float = 20.0
    """How long it may take to send the body."""
    send_timeout_s: float = 30.0
    """How long it may leave a part of the answer unread."""
    max_connections: int = 2000
    """Connections at once; more are told 503."""
    max_streams: int = 8
    """Event streams of one key or session at once."""
    requests_per_s: float = 50.0
    """What one key or session may ask on average."""
    request_burst: int = 200
    """What it may ask at once."""
    max_waiting_answers: int = 20_000
    """Answers that wait for their commit; more are told 503."""
    max_commit_answers: int = 4_000
    """Answers in one transaction, so that none waits long for the others."""

    session_idle_s: float = 24 * 3600.0
    """A session that was not used for so long has ended."""
    session_s: float = 7 * 24 * 3600.0
    """A session ends after so long in any case."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be 0 to 65535, got {self.port}")
        if (self.certificate is None) != (self.private_key is None):
            missing = "certificate" if self.certificate is None else "private_key"
            raise ConfigError(f"{missing} is missing: TLS needs both certificate and private_key, or leave both out")
        for name in ("certificate", "private_key"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ConfigError(f"{name} must be a PEM file, got {path}, which is none")
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK


_POSITIVE = (
    "num_ports",
    "max_body_bytes",
    "max_batch",
    "header_timeout_s",
    "body_timeout_s",
    "send_timeout_s",
    "max_connections",
    "max_streams",
    "requests_per_s",
    "request_burst",
    "max_waiting_answers",
    "max_commit_answers",
    "session_idle_s",
    "session_s",
)

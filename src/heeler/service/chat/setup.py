"""What a service is told of the model that it is to let people talk to."""

from dataclasses import dataclass

from heeler.core.chat import ChatEngine, TextGuard
from heeler.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ChatSetup:
    """A model, what guards it, and how much of it there is.

    Raises:
        ConfigError: a number is out of range, or the refusal is blank.
    """

    engine: ChatEngine
    """What answers; the service closes it."""
    run: str
    """The run in whose store prompts and answers are kept, by its name in the service's folder."""
    system: str = ""
    """What a chat is told first where who asks gives no system message; empty for nothing."""
    incoming: tuple[TextGuard, ...] = ()
    """Look at each prompt."""
    outgoing: tuple[TextGuard, ...] = ()
    """Look at each sentence before it leaves."""
    guard_timeout_s: float = 10.0
    """A guard that takes longer has failed, and so vetoed."""
    num_tries: int = 3
    """Answers that are tried where a guard keeps one back of which nothing has left."""
    refusal: str = "I cannot answer that."
    """What is said in the place of an answer that was kept back whole."""
    max_answers: int = 256
    """On their way at once; more are told 503."""
    max_answers_each: int = 64
    """On their way at once for one key or session; more are told 429."""

    def __post_init__(self) -> None:
        for name in ("guard_timeout_s", "num_tries", "max_answers", "max_answers_each"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if not self.refusal.strip():
            raise ConfigError(
                "refusal must be some text, got none: an answer that is kept back would look like silence"
            )

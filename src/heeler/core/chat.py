"""What a chat needs of whatever answers it: the nouns of a request and an answer, and the protocols between them.

The service that speaks to people knows these alone. What computes is handed to it from above.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from heeler.core.nouns import Message
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict

FinishReason = Literal["stop", "length"]
"""It ended by itself or at a stop string; or it was cut at the most tokens that were asked for."""


@dataclass(frozen=True, kw_only=True)
class ChatModel:
    """A model that answers."""

    name: str
    version: int
    """Of the policy; a new release has another one."""
    step: int = 0
    """At which the learner had made this version."""
    checkpoint_sha256: str | None = None
    """Of the checkpoint that holds it, where one does."""
    max_tokens: int
    """Of a prompt and its answer together."""
    since_unix_s: float
    """When this version came into use."""

    @property
    def label(self) -> str:
        """`NAME@VERSION`: what every answer names.

        >>> ChatModel(name="helpdesk", version=3, max_tokens=512, since_unix_s=0.0).label
        'helpdesk@3'
        """
        return label_of(self.name, self.version)


def label_of(name: str, version: int) -> str:
    """`NAME@VERSION`."""
    return f"{name}@{version}"


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One answer that is wanted."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    """Of the answer; None for as many as the context holds."""
    temperature: float = 1.0
    """Logits are divided by it; 0 takes the likeliest token."""
    top_p: float = 1.0
    """Tokens are chosen among the likeliest that have this probability together."""
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these."""
    seed: int | None = None
    """The same seed gives the same answer of the same version; None for chance."""
    logprobs: bool = False
    """Whether log-probabilities are wanted."""
    conversation: str | None = None
    """Whose answers all come from one version, where a second one is tried; None for one by itself."""
    version: int | None = None
    """That alone is wanted, which is in use; None for whichever answers."""


@dataclass(frozen=True, kw_only=True)
class ChatToken:
    """A token of an answer as it was sampled."""

    text: str
    logprob: float


@dataclass(frozen=True, kw_only=True)
class ChatPiece:
    """The next part of an answer. The last one, and no other, says why it ended."""

    text: str
    """Whole characters; may be empty."""
    num_tokens: int
    version: int
    """Of the policy that made it: the same for all pieces of an answer."""
    finish_reason: FinishReason | None = None
    tokens: tuple[ChatToken, ...] = field(default=())
    """Where they were asked for."""


class ChatStream(Protocol):
    """An answer on its way."""

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        ...

    def __aiter__(self) -> AsyncIterator[ChatPiece]:
        """The pieces, as they come.

        Raises:
            RunError: the model failed.
        """
        ...

    def cancel(self) -> None:
        """Let it be: nobody waits for the rest. Of an answer that has ended nothing changes."""
        ...


class ChatEngine(Protocol):
    """Whatever answers. It is asked from one event loop, which it never keeps waiting."""

    def model(self, version: int | None = None) -> ChatModel:
        """The model that answers now, or of two that do the one of this version.

        Raises:
            ChatStopped: the version that was in use was taken back, and no other is ready yet.
        """
        ...

    async def start(self, request: ChatRequest) -> ChatStream:
        """Begin an answer, by the version that is in use.

        Raises:
            ChatStopped: none is.
            ContextTooLong: the prompt does not fit.
            DataError: a setting of the request does not hold.
        """
        ...

    def close(self) -> None:
        """Let go of everything; answers on their way end with an error."""
        ...


class TextGuard(Protocol):
    """Looks at what comes in, or at what is about to leave. One that raises has vetoed."""

    @property
    def name(self) -> str:
        """By which its acts are logged."""
        ...

    def review(self, sample: TextSample) -> Verdict:
        """Judge a text; may take a while.

        Of what comes in, `sample.completion` is empty, and the `replacement` of a `modify` is the prompt's messages. Of
        what is about to leave, `sample.completion` is the answer up to and including what is to be judged, and
        `sample.columns["cleared"]` says how many of its characters have left already; a `replacement` is text in the
        place of the rest. `veto` keeps it back, and another answer may be tried; `halt` keeps it back for good.
        """
        ...

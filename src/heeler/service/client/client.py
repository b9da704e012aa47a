"""The client: what is asked most as its own methods, the rest in groups."""

from types import TracebackType
from typing import Any

from heeler.service.bodies import HealthOut, MeOut
from heeler.service.client.account import Account
from heeler.service.client.answering import Answering
from heeler.service.client.chat import Chat
from heeler.service.client.managing import Audit, Flags, Gold, Queries, Releases, Trust
from heeler.service.client.operating import Operating
from heeler.service.client.people import Care, People
from heeler.service.client.transport import Transport
from heeler.service.client.watching import Watching


class Client(Answering, Operating):
    """Talks to one service, by a key or signed in. Its methods may be called from any thread.

    What fails on the way is tried again, for as long as there is patience: answers, commands, releases and payments
    carry a UUID, so that they are kept once however often they are sent. What would be done twice is not sent twice.

    Args:
        url: of the service, such as `http://127.0.0.1:8642`.
        key: made by an admin, `hlr_...`; without one, `client.account.sign_in` begins a session.
        timeout_s: how long one try may wait for the service, in seconds.
        patience_s: for how long what failed on the way is tried again, in seconds.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout_s: float = 30.0, patience_s: float = 60.0) -> None:
        super().__init__(Transport(url, key=key, timeout_s=timeout_s, patience_s=patience_s))
        self.chat = Chat(self._transport)
        """The model that is served: its answers, and what they are worth."""
        self.account = Account(self._transport)
        """One's own account: sign in and out, consent, work, being forgotten."""
        self.people = People(self._transport)
        """People and their keys."""
        self.care = Care(self._transport)
        """Limits, breaks, the text of the consent, time and pay."""
        self.watching = Watching(self._transport)
        """Runs that are taught while they act."""
        self.releases = Releases(self._transport)
        """Checkpoints that were proposed for release."""
        self.queries = Queries(self._transport)
        """What runs ask, and what is set aside."""
        self.gold = Gold(self._transport)
        """Queries whose right answer is known."""
        self.trust = Trust(self._transport)
        """Who can be trusted."""
        self.flags = Flags(self._transport)
        """Queries that not everybody wants to see."""
        self.audit = Audit(self._transport)
        """Who did what."""

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections; a session goes on until it is signed out of, or ends."""
        self._transport.http.close()

    def me(self) -> MeOut:
        """Whose key or session it is, and what it may."""
        return self._transport.read("GET", "/session", MeOut)

    def health(self) -> HealthOut:
        """Whether the service works."""
        return self._transport.read("GET", "/health", HealthOut)

    def description(self) -> dict[str, Any]:
        """The OpenAPI document of the service."""
        return self._transport.send("GET", "/openapi.json").json()

"""The service that the calls are made to, and how a file of calls keeps them by their routes."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from heeler.service.bodies import LeaseOut
from heeler.service.client import Client
from tests.unit.service.helpers import PASSWORD

WEBP = b"RIFF"


@dataclass(kw_only=True)
class World:
    """A service with a run that asks and one that is driven, and those who use it."""

    url: str
    ann: Client
    """Answers, by a key."""
    boss: Client
    """An admin, by a key."""
    olga: Client
    """An operator, signed in."""
    omar: Client
    """Another."""

    def lease(self, run: str = "run") -> LeaseOut:
        """A query that Ann holds."""
        return self.ann.lease(run)[0]

    def stranger(self) -> Client:
        """Nobody yet."""
        return Client(self.url, patience_s=5)

    def newcomer(self, **fields: Any) -> tuple[Client, str]:
        """Somebody new, signed in with a password of their own; their client and id."""
        added = self.boss.people.add(str(uuid.uuid4()), **fields)
        assert added.one_time_password is not None
        client = self.stranger()
        client.account.sign_in(added.person.name, added.one_time_password)
        client.account.change_password(added.one_time_password, PASSWORD)
        return client, added.person.id


Call = Callable[[World], None]


class Calls(dict[str, Call]):
    """Calls by their routes."""

    def of(self, route: str) -> Callable[[Call], Call]:
        """Keep a call under its route, such as `GET /tasks`."""

        def keep(call: Call) -> Call:
            assert route not in self
            self[route] = call
            return call

        return keep

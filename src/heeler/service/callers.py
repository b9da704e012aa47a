"""Who asks: found by a key or a session's cookie, and remembered until something changes."""

import time
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.keys import ApiKey
from heeler.service.accounts.people import Person
from heeler.service.accounts.sessions import Session, token_sha256
from heeler.service.permissions import Permission, of_key, of_session

COOKIE, SECURE_COOKIE = "heeler_session", "__Host-heeler_session"
_REMEMBER_S, _LOOK_EVERY_S = 60.0, 1.0
_MAX_REMEMBERED = 10_000


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who asks, and what they may."""

    person: Person
    permissions: frozenset[Permission]
    session: Session | None = None
    key: ApiKey | None = None
    has_agreed: bool = True
    """To the text that people must agree to before they answer; programs need not."""

    @property
    def credential(self) -> str:
        """Names the session or key, for limits."""
        return self.session.id if self.session is not None else self.key.id if self.key is not None else ""


class Callers:
    """Finds callers.

    What this service changes is seen at once; what another program changes in people.db, within about a second.

    Args:
        accounts: of the service.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._remembered: dict[str, tuple[float, Caller]] = {}
        self._generation = 0
        self._looked_s, self._stamp = time.monotonic(), accounts.database.stamp()
        self._acts = accounts.database.generation()
        accounts.database.on_change(self._forget)

    def _forget(self) -> None:
        # In this order: who looked before the change and remembers after it notices that it is too late.
        self._generation += 1
        self._remembered.clear()

    def _look_for_changes(self, now_s: float) -> None:
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            self._looked_s, before, self._stamp = now_s, self._stamp, self._accounts.database.stamp()
            if self._stamp != before:
                # Most of what is written is no act: somebody was seen, or their work was counted.
                acts, self._acts = self._acts, self._accounts.database.generation()
                if self._acts != acts:
                    self._forget()

    async def by_key(self, text: str) -> Caller | None:
        """Who holds this key, if it is live."""
        return await self._find(f"key {token_sha256(text)}")

    async def by_session(self, token: str) -> Caller | None:
        """Who holds this session's token, if it is live."""
        return await self._find(f"session {token_sha256(token)}")

    async def again(self, caller: Caller) -> bool:
        """Whether a caller who was found some time ago would be found still."""
        if caller.key is not None:
            found = await run_in_threadpool(self._accounts.keys.get, caller.key.id)
            person = await run_in_threadpool(self._accounts.people.get, found.person_id)
            return (
                self._accounts.keys.is_live(found)
                and person.disabled_unix_s is None
                and person.role == caller.person.role
            )
        found = await self._find(f"session {caller.credential}")
        return found is not None and found.permissions == caller.permissions

    async def _find(self, name: str) -> Caller | None:
        now_s = time.monotonic()
        self._look_for_changes(now_s)
        known = self._remembered.get(name)
        if known is not None and now_s - known[0] < _REMEMBER_S:
            return known[1] if self._is_live(known[1]) else None
        generation = self._generation
        found = await run_in_threadpool(self._look_up, name)
        if found is not None and generation == self._generation:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[name] = (now_s, found)
        return found

    def _is_live(self, caller: Caller) -> bool:
        if caller.key is not None:
            return self._accounts.keys.is_live(caller.key)
        return caller.session is not None and self._accounts.sessions.is_live(caller.session)

    def _look_up(self, name: str) -> Caller | None:
        how, _, sha256 = name.partition(" ")
        if how == "key":
            found = self._accounts.keys.find(sha256)
            if found is None:
                return None
            key, person = found
            allowed = of_key(person.role, key.scopes)
            return Caller(person=person, permissions=allowed, key=key, has_agreed=self._has_agreed(person))
        session = self._accounts.sessions.find(sha256)
        if session is None:
            return None
        self._accounts.sessions.note_use(session)
        allowed = of_session(session.person.role, must_change_password=session.person.must_change_password)
        agreed = self._has_agreed(session.person)
        return Caller(person=session.person, permissions=allowed, session=session, has_agreed=agreed)

    def _has_agreed(self, person: Person) -> bool:
        return person.kind == "program" or self._accounts.consents.has_current(person.id)

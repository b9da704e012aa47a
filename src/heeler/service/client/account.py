"""One's own account: signing in and out, consent, what one worked, and being forgotten."""

from typing import Literal, TypedDict, Unpack

from heeler.core.errors import ConfigError
from heeler.service.bodies import MeOut
from heeler.service.bodies_care import ForgottenOut, OwnConsentOut, PreferencesOut, TodayOut, WorkOut
from heeler.service.client.calls import Calls
from heeler.service.client.transport import Repeat

Fate = Literal["keep", "remove"]
"""What becomes of the answers of somebody who is forgotten: kept under a pseudonym, or removed."""


class PreferencesChanges(TypedDict, total=False):
    """What somebody chooses; what is left out stays, None goes back to how it was at first."""

    avoid: list[str] | None
    time_zone: str | None


class Account(Calls):
    """Of whoever signed in; a key may see some of it."""

    def sign_in(self, name: str, password: str) -> MeOut:
        """Sign in; the session is the client's from now on.

        Raises:
            ConfigError: the client has a key, which would be used in place of the session.
            NotSignedIn: name or password is wrong.
        """
        if self._transport.has_key:
            raise ConfigError("key: this client has one, and a session would be ignored; make a Client without a key")
        return self._transport.read("POST", "/session", MeOut, body={"name": name, "password": password})

    def sign_out(self) -> None:
        """End the session."""
        self._transport.send("DELETE", "/session", repeat=Repeat.UNSENT)

    def change_password(self, old: str, new: str) -> MeOut:
        """Take another password; every other session of this person ends."""
        body = {"old": old, "new": new}
        return self._transport.read("PUT", "/session/password", MeOut, body=body, repeat=Repeat.UNSENT)

    def consent(self) -> OwnConsentOut:
        """The text that people agree to, and whether this one did."""
        return self._transport.read("GET", "/session/consent", OwnConsentOut)

    def agree(self, text: OwnConsentOut) -> None:
        """Agree to the text that was read; the first time stays.

        Raises:
            ConflictError: it was changed since; read it again.
        """
        body = {"version": text.version, "text_sha256": text.text_sha256}
        self._transport.send("POST", "/session/consent", body=body)

    def preferences(self) -> PreferencesOut:
        """What this person chose not to be shown, and where their day begins."""
        return self._transport.read("GET", "/session/preferences", PreferencesOut)

    def change_preferences(self, **changes: Unpack[PreferencesChanges]) -> PreferencesOut:
        """Choose; it holds from the next lease on."""
        return self._transport.read("PATCH", "/session/preferences", PreferencesOut, body=changes)

    def today(self) -> TodayOut:
        """How long this person has worked today, when a break is due, and how much of the day is left."""
        return self._transport.read("GET", "/session/care", TodayOut)

    def work(self) -> WorkOut:
        """What this person worked, is owed, and was paid."""
        return self._transport.read("GET", "/session/work", WorkOut)

    def forget_me(self, answers: Fate, password: str) -> ForgottenOut:
        """Delete this account for good."""
        body = {"answers": answers, "password": password}
        return self._transport.read("POST", "/session/forget", ForgottenOut, body=body, repeat=Repeat.UNSENT)

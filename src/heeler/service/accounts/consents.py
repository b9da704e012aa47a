"""What people agree to before they answer: the text in its versions, and who agreed to which, and when."""

import hashlib
import time
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from heeler.core.errors import ConflictError, DataError
from heeler.feedback.form import MAX_TEXT_LENGTH
from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase

_TABLE, _TEXTS = schema.consents, schema.consent_texts


@dataclass(frozen=True, kw_only=True)
class ConsentText:
    """What people are asked to agree to."""

    number: int
    version: str
    text: str
    text_sha256: str
    created_unix_s: float


@dataclass(frozen=True, kw_only=True)
class Consent:
    """That somebody agreed."""

    version: str
    text_sha256: str
    agreed_unix_s: float


class Consents:
    """Who agreed to what.

    Args:
        database: of people.
    """

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def current(self) -> ConsentText:
        """The text that everybody must have agreed to before they are asked anything."""
        with self._database.reading() as connection:
            return _current(connection)

    def change_text(self, by: str, text: str) -> ConsentText:
        """Make a new version of the text, so that everybody is asked again; the same text changes nothing.

        Raises:
            DataError: there is nothing to agree to, or too much.
        """
        text = text.replace("\r\n", "\n").strip() + "\n"
        if not 2 <= len(text) <= MAX_TEXT_LENGTH or "\0" in text or (not text.isascii() and _has_half(text)):
            raise DataError(f"text: expected 1 to {MAX_TEXT_LENGTH} characters of text, got {len(text) - 1}")
        before = self.current()
        if before.text == text:
            return before
        sha256, version = hashlib.sha256(text.encode()).hexdigest(), str(before.number + 1)
        details = {"text_sha256": sha256}
        with self._database.changing(by, "consents.change_text", version, **details) as connection:
            number = _current(connection).number + 1
            if str(number) != version:
                raise ConflictError("text: somebody else changed it at the same moment; look at theirs first")
            row = {"number": number, "version": version, "text": text, "created_unix_s": time.time(), **details}
            connection.execute(insert(_TEXTS).values(row))
        return self.current()

    def add(self, person_id: str, *, version: str, text_sha256: str) -> None:
        """Note that a person agreed to the text as it is now; the first time stays.

        Raises:
            ConflictError: they have read another version, or another text.
        """
        current = self.current()
        if version != current.version:
            raise ConflictError(f"version: the text is in version {current.version} now, got {version!r:.60}; read it")
        if text_sha256 != current.text_sha256:
            raise ConflictError(f"text_sha256: version {version} has {current.text_sha256}, got {text_sha256!r:.80}")
        if self.has(person_id, text_sha256):
            return
        details = {"version": version, "text_sha256": text_sha256}
        with self._database.changing(person_id, "consents.add", person_id, **details) as connection:
            mine = (_TABLE.c.person_id == person_id) & (_TABLE.c.text_sha256 == text_sha256)
            # Of two at once the second finds the first.
            if connection.execute(select(_TABLE.c.version).where(mine)).one_or_none() is None:
                row = {"person_id": person_id, **details, "agreed_unix_s": time.time()}
                connection.execute(insert(_TABLE).values(row))

    def has(self, person_id: str, text_sha256: str) -> bool:
        """Whether a person agreed to this very text."""
        with self._database.reading() as connection:
            return _has(connection, person_id, text_sha256)

    def has_current(self, person_id: str) -> bool:
        """Whether a person agreed to the text as it is now."""
        with self._database.reading() as connection:
            return _has(connection, person_id, _current(connection).text_sha256)

    def of(self, person_id: str) -> list[Consent]:
        """All that a person agreed to, the newest first."""
        wanted = select(_TABLE).where(_TABLE.c.person_id == person_id).order_by(_TABLE.c.agreed_unix_s.desc())
        with self._database.reading() as connection:
            rows = connection.execute(wanted).all()
        return [Consent(version=r.version, text_sha256=r.text_sha256, agreed_unix_s=r.agreed_unix_s) for r in rows]


def _current(connection: Connection) -> ConsentText:
    wanted = select(_TEXTS).order_by(_TEXTS.c.number.desc()).limit(1)
    return ConsentText(**connection.execute(wanted).mappings().one())


def _has(connection: Connection, person_id: str, text_sha256: str) -> bool:
    wanted = select(_TABLE.c.version).where(_TABLE.c.person_id == person_id, _TABLE.c.text_sha256 == text_sha256)
    return connection.execute(wanted).one_or_none() is not None


def _has_half(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)

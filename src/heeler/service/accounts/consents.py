"""What people agreed to before they answered: which text, in which version, and when."""

import time

from sqlalchemy import insert, select

from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase

_TABLE = schema.consents


class Consents:
    """Who agreed to what.

    Args:
        database: of people.
    """

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def add(self, person_id: str, *, version: str, text_sha256: str) -> None:
        """Note that a person agreed; the first time stays."""
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
        wanted = select(_TABLE.c.version).where(_TABLE.c.person_id == person_id, _TABLE.c.text_sha256 == text_sha256)
        with self._database.reading() as connection:
            return connection.execute(wanted).one_or_none() is not None

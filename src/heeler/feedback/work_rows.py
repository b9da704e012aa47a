"""When people answered: all that counting their work needs, and nothing of what they said."""

import uuid
from dataclasses import dataclass

from sqlalchemy import insert, select

from heeler.feedback import schema
from heeler.feedback.completions import is_of_chat
from heeler.feedback.database import Database
from heeler.feedback.withdrawal import is_given

_IDENTITY = "identity"


@dataclass(frozen=True, kw_only=True)
class WorkRow:
    """That somebody answered."""

    position: int
    annotator: str
    received_unix_s: float
    time_taken_s: float | None


class WorkRows:
    """The answers of people in an open store, by time.

    Args:
        database: of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def identity(self) -> str:
        """A random name that this store keeps wherever it is moved to."""
        table = schema.settings
        wanted = select(table.c.value).where(table.c.name == _IDENTITY)
        with self._database.reading() as connection:
            known = connection.execute(wanted).scalar()
        if known is not None:
            return known
        with self._database.writing() as connection:
            known = connection.execute(wanted).scalar()
            if known is None:
                known = str(uuid.uuid4())
                connection.execute(insert(table).values(name=_IDENTITY, value=known))
        return known

    def after(self, position: int, *, limit: int) -> list[WorkRow]:
        """Answers of people after a position, in order; those of programs are left out, and what somebody said of their
        own chat, which is no work.
        """
        table, who, asked = schema.feedback, schema.annotators, schema.queries
        columns = (table.c.position, table.c.annotator, table.c.received_unix_s, table.c.time_taken_s)
        wanted = (
            select(*columns)
            .join(who, who.c.id == table.c.annotator)
            .join(asked, asked.c.id == table.c.query_id)
            .where(table.c.position > position, who.c.kind == "person", is_given(), ~is_of_chat())
            .order_by(table.c.position)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [WorkRow(**row) for row in connection.execute(wanted).mappings()]

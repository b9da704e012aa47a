"""Who is being forgotten: noted before the first store forgets them, and gone with them when the last one has."""

import time

from sqlalchemy import delete, insert, select, update

from heeler.core.errors import DataError
from heeler.feedback import scrubbing
from heeler.feedback.withdrawal import ANSWERS_FATES, AnswersFate
from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase
from heeler.service.accounts.people import refuse_no_admin

_TABLE, _PEOPLE = schema.forgettings, schema.people
_OF_A_PERSON = (
    schema.sessions,
    schema.api_keys,
    schema.consents,
    schema.person_settings,
    schema.work,
    schema.work_clocks,
    schema.reversals,
    schema.payments,
    schema.forgettings,
)


class Forgettings:
    """People who asked to be forgotten.

    Args:
        database: of people.
    """

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def waiting(self) -> list[str]:
        """Whose forgetting was begun and has not ended."""
        with self._database.reading() as connection:
            return list(connection.execute(select(_TABLE.c.person_id).order_by(_TABLE.c.began_unix_s)).scalars())

    def begin(self, by: str, person_id: str, answers: str) -> AnswersFate:
        """Shut a person out, and note what is to become of their answers; what was noted first stays.

        Raises:
            KeyError: there is no such person.
            DataError: `answers` is neither keep nor remove.
            ConflictError: nobody would be left who can manage people.
        """
        if answers not in ANSWERS_FATES:
            raise DataError(f"answers: expected {' or '.join(ANSWERS_FATES)}, got {answers!r:.60}")
        known = self._noted(person_id)
        if known is not None:
            return known
        with self._database.changing(by, "people.forget.begin", person_id, answers=answers) as connection:
            now_s, me = time.time(), _PEOPLE.c.id == person_id
            role = connection.execute(select(_PEOPLE.c.role).where(me)).scalar()
            if role is None:
                raise KeyError(person_id)
            connection.execute(update(_PEOPLE).where(me).values(disabled_unix_s=now_s))
            if role == "admin":
                refuse_no_admin(connection)
            for table in (schema.sessions, schema.api_keys):
                connection.execute(delete(table).where(table.c.person_id == person_id))
            connection.execute(insert(_TABLE).values(person_id=person_id, answers=answers, began_unix_s=now_s))
        return ANSWERS_FATES[ANSWERS_FATES.index(answers)]

    def finish(self, by: str, person_id: str) -> None:
        """Remove all that is kept of a person: name, address, keys, consents, settings, time and pay.

        Raises:
            StoreError: people.db cannot be written; or they are gone, but the file could not be written anew without
                what was removed, which is done when it is opened the next time.
        """
        with self._database.changing(by, "people.forget", person_id) as connection:
            for table in _OF_A_PERSON:
                connection.execute(delete(table).where(table.c.person_id == person_id))
            connection.execute(delete(_PEOPLE).where(_PEOPLE.c.id == person_id))
            scrubbing.mark(connection)
        self._database.scrub()

    def _noted(self, person_id: str) -> AnswersFate | None:
        with self._database.reading() as connection:
            found = connection.execute(select(_TABLE.c.answers).where(_TABLE.c.person_id == person_id)).scalar()
        return None if found is None else ANSWERS_FATES[ANSWERS_FATES.index(found)]

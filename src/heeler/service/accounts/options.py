"""Settings of the service and of each person, as JSON values by name."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase

_ALL, _OWN, _PEOPLE = schema.settings, schema.person_settings, schema.people


class Options:
    """The settings that admins and people choose.

    Args:
        database: of people.
    """

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def get(self, name: str, default: Any) -> Any:
        """A setting of the service; `default` where it was never set."""
        with self._database.reading() as connection:
            found = connection.execute(select(_ALL.c.value).where(_ALL.c.name == name)).one_or_none()
        return default if found is None else found.value

    def own(self, person_id: str) -> dict[str, Any]:
        """All settings of a person, by name."""
        with self._database.reading() as connection:
            found = connection.execute(select(_OWN.c.name, _OWN.c.value).where(_OWN.c.person_id == person_id)).all()
        return {name: value for name, value in found}

    def set(self, by: str, name: str, value: Any) -> None:
        """Set a setting of the service."""
        with self._database.changing(by, "settings.change", name, value=value) as connection:
            connection.execute(delete(_ALL).where(_ALL.c.name == name))
            connection.execute(insert(_ALL).values(name=name, value=value))

    def set_own(self, by: str, person_id: str, values: dict[str, Any]) -> None:
        """Set settings of a person; None takes one away. What they are set to is nobody's business in the audit log.

        Raises:
            KeyError: there is no such person.
        """
        with self._database.changing(by, "people.set", person_id, changed=sorted(values)) as connection:
            _expect_person(connection, person_id)
            for name, value in values.items():
                connection.execute(delete(_OWN).where(_OWN.c.person_id == person_id, _OWN.c.name == name))
                if value is not None:
                    connection.execute(insert(_OWN).values(person_id=person_id, name=name, value=value))


def _expect_person(connection: Connection, person_id: str) -> None:
    if connection.execute(select(_PEOPLE.c.id).where(_PEOPLE.c.id == person_id)).one_or_none() is None:
        raise KeyError(person_id)

"""Which run a store belongs to: one database holds one run."""

from typing import Any

from sqlalchemy import Connection, insert, select

from heeler.core.errors import StoreError
from heeler.feedback import schema
from heeler.feedback.database import Database

_OWNER = "run"
"""Setting that says which run a database belongs to."""


class Ownership:
    """The run of a store.

    Args:
        database: of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, run_id: str, directory: str, *, begun: bool) -> None:
        """Have this store belong to one run for good; a second time by the same run changes nothing.

        Args:
            run_id: of the run; it stays the same wherever its directory is moved to.
            directory: where the run is now, to be named to another one.
            begun: whether the run has learned before, and so must have left something in its store.

        Raises:
            StoreError: it belongs to another run; or to none although this run has begun.
        """
        with self._database.writing() as connection:
            if self._owner_but_for(connection, run_id):
                return
            if begun:
                raise StoreError(
                    f"store {self._database.name}: it holds nothing of the run in {directory}, which has begun; name "
                    "the database that it began with, or restore a copy of that"
                )
            value = {"id": run_id, "directory": directory}
            connection.execute(insert(schema.settings).values(name=_OWNER, value=value))

    def refuse_other_runs(self, run_id: str | None) -> None:
        """Raise what `claim` would if this store belongs to another run; None for a run that has no id yet."""
        with self._database.reading() as connection:
            self._owner_but_for(connection, run_id)

    def _owner_but_for(self, connection: Connection, run_id: str | None) -> Any:
        table = schema.settings
        owner = connection.execute(select(table.c.value).where(table.c.name == _OWNER)).scalar()
        if owner is not None and owner["id"] != run_id:
            raise StoreError(
                f"store {self._database.name}: it belongs to the run in {owner['directory']}; one database holds one "
                "run: name an empty one"
            )
        return owner

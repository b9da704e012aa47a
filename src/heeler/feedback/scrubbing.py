"""What was removed from an SQLite file stays in its free pages and its write-ahead log until both are written anew.

A transaction that removes what must not stay marks the file within itself, so that whoever is killed before the file
was written anew leaves the mark, and the next one to open the file does it. A server's files are the server's own.
"""

from sqlalchemy import Connection, Engine

_CLEAN, _MARKED = 0, 1
"""Of SQLite's `user_version`, which is part of a transaction and otherwise ours to use."""


def mark(connection: Connection) -> None:
    """Note, in this transaction, that what it removes must not stay in the file."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {_MARKED}")


def scrub(writer: Engine) -> bool:
    """Write a marked file anew, and empty its write-ahead log.

    Args:
        writer: the only connection that writes; in no transaction.

    Returns:
        Whether nothing is left; not where others have been reading without pause.

    Raises:
        sqlite3.Error: the disk is full, or fails; the mark stays.
    """
    connection = writer.raw_connection()
    try:
        driver = connection.driver_connection
        assert driver is not None
        if driver.execute("PRAGMA user_version").fetchone()[0] == _CLEAN:
            return True
        driver.execute("VACUUM")
        if driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] != 0:
            return False
        driver.execute(f"PRAGMA user_version = {_CLEAN}")
        return True
    finally:
        connection.close()

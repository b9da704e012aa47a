"""A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, gone when they end."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

OWNER = "heeler"
_MAX_PLACE = 60
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "autovacuum": "off",
    # What a killed process wrote stays; only a power cut would tell the difference.
    "fsync": "off",
    "log_min_messages": "error",
}


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs, the newest if there are several; None where it is not installed."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    # Debian and Ubuntu keep them out of the path.
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


class PostgresServer:
    """A server that is started, killed and started again as a test wishes.

    Whoever may open its socket's folder may do everything, and nobody else: the folder is its owner's alone.

    Args:
        folder: of PostgreSQL's programs.
    """

    def __init__(self, folder: Path) -> None:
        self._programs = folder
        # A socket's path must be short, and pytest's own folders cannot be entered by others.
        place = tempfile.gettempdir()
        self.home = Path(tempfile.mkdtemp(prefix="heeler-pg-", dir=place if len(place) < _MAX_PLACE else "/tmp"))
        self._data = self.home / "data"
        self._numbers = count(1)
        self._identity = _unprivileged()
        self._server: subprocess.Popen[bytes] | None = None
        if self._identity:
            os.chown(self.home, self._identity["user"], self._identity["group"])
        try:
            self._run("initdb", "--username", OWNER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8")
            settings = SETTINGS | {"unix_socket_directories": str(self.home)}
            with (self._data / "postgresql.conf").open("a") as file:
                file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Start it, and wait until it lets clients in."""
        deadline = time.monotonic() + 60
        while True:
            with (self.home / "log").open("a") as log:
                command = [str(self._programs / "postgres"), "-D", str(self._data)]
                self._server = subprocess.Popen(command, stdout=log, stderr=log, **self._identity)
            while self._server.poll() is None:
                if self._is_open():
                    return
                time.sleep(0.02)
            # One that was killed leaves children, which hold its memory until they notice.
            assert time.monotonic() < deadline, (self.home / "log").read_text()
            time.sleep(0.1)

    def _is_open(self) -> bool:
        try:
            self.execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, mode: str = "fast") -> None:
        """Stop it as `pg_ctl stop --mode` does."""
        self._run("pg_ctl", "stop", "--silent", "--no-wait", "--mode", mode)
        self._server.wait(timeout=60)

    def kill(self) -> None:
        """Kill it without warning, as the kernel does when memory is short."""
        self._server.kill()
        self._server.wait(timeout=60)

    def remove(self) -> None:
        """End it, and leave nothing."""
        if self._server is not None and self._server.poll() is None:
            self.stop("immediate")
        shutil.rmtree(self.home, ignore_errors=True)

    def execute(self, statement: sql.Composable, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Carry out one statement as the server's owner; the rows that it gives."""
        address = {"host": str(self.home), "user": OWNER, "dbname": database}
        with psycopg.connect(**address, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self, like: str | None = None) -> str:
        """A URL of a database that nobody has used: an empty one, or a copy of the one of a URL."""
        name, template = f"run_{next(self._numbers)}", "template1" if like is None else database_of(like)
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        self.execute(statement + self._by_copying)
        return self.url(name)

    @cached_property
    def _by_copying(self) -> sql.SQL:
        """To copy files takes half as long as to write all of it to the log too; before 15 it is the only way."""
        ((version,),) = self.execute(sql.SQL("SHOW server_version_num"))
        return sql.SQL(" STRATEGY FILE_COPY" if int(version) >= 150_000 else "")

    def url(self, database: str, user: str = OWNER) -> str:
        """Of a database of this server."""
        return f"postgresql://{user}@/{database}?host={self.home}"

    def drop(self, url: str) -> None:
        """Forget a database, whoever is still connected to it."""
        name = sql.Identifier(database_of(url))
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "--pgdata", str(self._data), *arguments]
        done = subprocess.run(command, cwd=self.home, capture_output=True, text=True, check=False, **self._identity)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def database_of(url: str) -> str:
    """The name of a database of such a server."""
    return url.partition("@/")[2].partition("?")[0]


def _unprivileged() -> dict[str, Any]:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

"""The web service beside a learner: started with the run, started again when it dies, stopped with the run.

The learner never waits for it. A service that serves the folder already is used as it is; should it stop while the run
goes on, the run starts one in its place.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import heeler
from heeler.cli.browser import open_browser
from heeler.core.errors import ConfigError

HOST, PORT, NUM_PORTS = "127.0.0.1", 8642, 100
"""Where the service listens, and how many ports are tried from there on."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Before a service that died is started again, and what that grows to while it goes on dying."""
ORPHAN_S = 60.0
"""How long a service outlives a learner that was killed."""
_STEADY_S = 60.0
_LOOK_EVERY_S = 0.5
_STOP_WITHIN_S = 15.0
_PACKAGES = ("fastapi", "httptools", "jinja2", "nh3", "pwdlib", "argon2", "uvicorn", "uvloop")
# Nothing in the folder where the learner was started may take the place of what the service imports.
_CODE = "import sys; sys.path.append(sys.argv.pop(1)); from heeler.service.child import main; sys.exit(main(sys.argv))"


@dataclass(frozen=True, kw_only=True)
class ServeFlags:
    """What the command line says of the service."""

    serve: bool = False
    no_serve: bool = False
    port: int | None = None
    open: bool = False

    def wants(self, *, people: bool) -> bool:
        """Whether the run is to be served.

        Args:
            people: whether people answer.

        Raises:
            ConfigError: flags that exclude each other, or that would be ignored.
        """
        if self.serve and self.no_serve:
            raise ConfigError("--serve and --no-serve exclude each other; give one")
        if self.port is not None and not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be 0 to 65535, got {self.port}")
        wanted = self.serve or (people and not self.no_serve)
        for name, is_given in (("--port", self.port is not None), ("--open", self.open)):
            if is_given and not wanted:
                mend = "leave --no-serve out" if self.no_serve else "give --serve too"
                raise ConfigError(f"{name} is for a run that is served, and this one is not; {mend}")
        return wanted


def missing_package() -> str | None:
    """A package of the extra `service` that is not installed; None where all are."""
    return next((name for name in _PACKAGES if is_missing(name)), None)


def is_missing(package: str) -> bool:
    """Whether a package is not installed."""
    try:
        return importlib.util.find_spec(package) is None
    except ValueError:
        return True


class Console:
    """The service of the folder that a run lies in, for as long as the run goes on.

    Args:
        run: the run's directory.
        flags: of the command line.
    """

    def __init__(self, run: Path, flags: ServeFlags) -> None:
        self._folder, self._flags = run.absolute().parent, flags
        self._say: Callable[[str], None] = print
        self._port, self._num_ports = (PORT, NUM_PORTS) if flags.port is None else (flags.port, 1)
        self.url: str | None = None
        """Where people answer; None while nobody serves."""
        self.is_own = False
        """Whether the service at `url` was started for this run."""
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="console", daemon=True)
        self._told = ""
        self._has_opened = False

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def refuse_taken_port(self) -> None:
        """Refuse a port that was named and cannot be had, before the run begins.

        Raises:
            ConfigError: another program listens there, or this folder is served elsewhere.
        """
        from heeler.service.folder import is_served, last_address

        if not self._flags.port:
            return
        if is_served(self._folder):
            url = last_address(self._folder)
            if url is None or urlsplit(url).port != self._flags.port:
                raise ConfigError(f"{self._folder} is served at {url} already; leave --port out, or stop that one")
            return
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, self._flags.port))
                listener.listen()
            except OSError as error:
                where = f"{HOST}:{self._flags.port}"
                raise ConfigError(
                    f"cannot listen on {where}: {error.strerror or error}; choose another --port"
                ) from error

    def start(self, say: Callable[[str], None]) -> None:
        """Begin to serve, in a process and a thread of their own.

        Args:
            say: tells people something; it is called from that thread.
        """
        self._say = say
        self._thread.start()

    def stop(self) -> None:
        """End the service that was started here; one that others started goes on."""
        self._stopping.set()
        if not self._thread.is_alive():
            return
        if self.is_own:
            self._say(f"The service at {self.url} stops with the run; the answers that it acknowledged are kept")
        self._end("terminate")
        self._thread.join(_STOP_WITHIN_S)
        if self._thread.is_alive():
            self._end("kill")
            self._thread.join(_STOP_WITHIN_S)

    def _end(self, how: str) -> None:
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                getattr(self._process, how)()

    def _work(self) -> None:
        from heeler.service.folder import is_served

        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            if is_served(self._folder):
                self._follow()
                continue
            began_s = time.monotonic()
            reason = self._serve_once()
            self.url, self.is_own = None, False
            if time.monotonic() - began_s > _STEADY_S:
                pause_s = FIRST_PAUSE_S
            if self._stopping.is_set() or is_served(self._folder):
                continue
            self._tell_once(f"heeler: {reason}; it is started again, and the run goes on meanwhile")
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _follow(self) -> None:
        """Use the service that somebody else started, until it ends."""
        from heeler.service.folder import is_served, last_address

        while not self._stopping.is_set() and is_served(self._folder):
            url = last_address(self._folder)
            if url is not None and url != self.url:
                self._announce(url, f"People answer at {url}, where this folder is served already")
            self._stopping.wait(_LOOK_EVERY_S)
        self.url = None

    def _serve_once(self) -> str:
        """Serve until the process ends; returns why it did."""
        process = self._started()
        assert process.stdout is not None
        errors: list[str] = []
        reader = threading.Thread(target=self._read_errors, args=(process, errors), daemon=True)
        reader.start()
        line = process.stdout.readline()
        if line:
            self.is_own = True
            told = json.loads(line)
            self._announce(told["url"], f"People answer at {told['url']}")
            if told["password"] is not None:
                self._say(f"First start: sign in as `admin` with the one-time password {told['password']}")
        process.wait()
        reader.join(1.0)
        process.stdout.close()
        if line:
            return f"the service ended (exit code {process.returncode})"
        return f"the service cannot start: {errors[-1] if errors else f'exit code {process.returncode}'}"

    def _started(self) -> "subprocess.Popen[str]":
        settings = {"runs": str(self._folder), "port": self._port, "num_ports": self._num_ports}
        settings |= {"parent": os.getpid(), "orphan_s": ORPHAN_S}
        root = str(Path(heeler.__file__).parents[1])
        with self._lock:
            self._process = process = subprocess.Popen(
                [sys.executable, "-P", "-c", _CODE, root, json.dumps(settings)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                # Ctrl-C is the learner's, which then ends the service itself.
                start_new_session=True,
            )
        if self._stopping.is_set():
            self._end("terminate")
        return process

    def _read_errors(self, process: "subprocess.Popen[str]", errors: list[str]) -> None:
        """Pass on what the service says once it serves; what it said before is the reason why it does not."""
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                errors[:] = [*errors[-9:], line.rstrip()]
                if self.url is not None:
                    self._tell_once(f"heeler: the service says: {line.rstrip()}")

    def _announce(self, url: str, words: str) -> None:
        self.url = url
        # Whoever has the page open finds the next service at the same place.
        port = urlsplit(url).port
        if self._flags.port is None and port is not None:
            self._port = port
        self._tell_once(words)
        if self._flags.open and not self._has_opened:
            self._has_opened = True
            open_browser(url, self._say)

    def _tell_once(self, words: str) -> None:
        """Say something, but not what was said last."""
        if words != self._told:
            self._told = words
            self._say(words)


def console_beside(run: Path, flags: ServeFlags, stream: TextIO, *, people: bool) -> Console | None:
    """The service beside a run; None for a run that is not served.

    Args:
        run: the run's directory.
        flags: of the command line.
        stream: where to say that people cannot answer in a browser.
        people: whether people answer.

    Raises:
        ConfigError: flags that do not go together, or a service that was asked for and cannot be had.
    """
    if not flags.wants(people=people):
        return None
    from heeler.service.folder import may_be_served

    missing, why = missing_package(), ""
    if missing is not None:
        why = f"a package is missing ({missing}): pip install 'heeler[service]'"
    elif not may_be_served(run.absolute()):
        why = f"{run} is a link, or has a name that no address can hold; choose another --run-dir"
    if not why:
        console = Console(run, flags)
        console.refuse_taken_port()
        return console
    if flags.serve:
        raise ConfigError(f"the run cannot be served: {why}")
    print(f"heeler: people cannot answer in a browser: {why}. Programs may answer through the store", file=stream)
    return None

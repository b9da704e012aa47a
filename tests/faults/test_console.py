"""A learner and the service beside it: either is killed, and the other goes on; nothing is left behind for ever."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from heeler.service.client import Client
from heeler.service.folder import ADDRESS_NAME, is_served
from tests.unit.service.helpers import API, ENVIRONMENT, PASSWORD, Served, make_keys, store_of

pytestmark = pytest.mark.slow

PEOPLE = ["run", "preferences", "--env", "Pendulum-v1", "--teacher", "people", "--budget", "8", "--total-steps", "8192"]
PEOPLE += ["--set", "preferences.num_warmup_rollouts=1", "num_evaluation_episodes=2", "preferences.model.max_epochs=2"]
CODE = """
import sys
from heeler.cli import console, main
console.ORPHAN_S = float(sys.argv[1])
console.FIRST_PAUSE_S = 0.1
for name in filter(None, sys.argv[2].split(",")):
    sys.modules[name] = None
sys.exit(main(sys.argv[3:]))
"""


def wait_for(condition: Callable[[], object], *, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


class Learner:
    """`heeler run` or `heeler resume` as a process of its own; what it prints is kept line by line."""

    def __init__(self, *arguments: object, orphan_s: float = 60, without: str = "") -> None:
        command = [sys.executable, "-c", CODE, str(orphan_s), without, *map(str, arguments)]
        self.process = subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [self._reader(self.process.stdout, self.out), self._reader(self.process.stderr, self.err)]

    @staticmethod
    def _reader(stream, lines: list[str]) -> threading.Thread:
        def read() -> None:
            with stream:
                for line in stream:
                    lines.append(line.rstrip("\n"))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def said(self, words: str, *, times: int = 1) -> str:
        """Wait until it has printed a line with these words so often; returns the last such line."""

        def found() -> list[str]:
            return [line for line in [*self.out, *self.err] if words in line]

        wait_for(lambda: len(found()) >= times or self.process.poll() is not None)
        assert len(found()) >= times, (words, self.out, self.err)
        return found()[-1]

    def url(self, *, times: int = 1) -> str:
        return self.said("People answer at http://", times=times).split()[3].rstrip(",")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=60)
        for reader in self._readers:
            reader.join(timeout=5)
        return self.process.returncode


@contextmanager
def learner(*arguments: object, orphan_s: float = 60, without: str = "") -> Iterator[Learner]:
    started = Learner(*arguments, orphan_s=orphan_s, without=without)
    try:
        yield started
    finally:
        started.end(signal.SIGKILL)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "runs"
    made.mkdir()
    yield made
    if is_served(made):
        os.kill(service_pid(made), signal.SIGKILL)


def service_pid(folder: Path) -> int:
    return json.loads((folder / ADDRESS_NAME).read_text())["pid"]


def is_healthy(url: str) -> bool:
    try:
        return httpx2.get(f"{url}{API}/health").status_code == 200
    except httpx2.TransportError:
        return False


def is_free(url: str) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return listener.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0


def test_a_run_opens_its_service_and_has_it_back_when_it_is_killed(folder: Path) -> None:
    with learner(*PEOPLE, "--run-dir", folder / "run") as run:
        url = run.url()
        password = run.said("one-time password").split()[-1]
        with httpx2.Client(base_url=url + API, headers={"Origin": url}) as browser:
            assert browser.post("/session", json={"name": "admin", "password": password}).status_code == 200
            assert browser.put("/session/password", json={"old": password, "new": PASSWORD}).status_code == 200
            assert [item["name"] for item in browser.get("/runs").json()["items"]] == ["run"]
            first = service_pid(folder)
            os.kill(first, signal.SIGKILL)
            run.said("the service ended (exit code -9)")
            wait_for(lambda: service_pid(folder) != first and is_healthy(url))
            assert browser.get("/session").status_code == 200, "sessions outlive the service"
        run.said(f"questions answered; answer at {url}")
        assert run.process.poll() is None, "the learner went on"
        assert run.end() == 130
        assert f"The service at {url} stops with the run; the answers that it acknowledged are kept" in run.out
        assert not is_served(folder)
        assert is_free(url)
        assert len([line for line in run.out if "one-time password" in line]) == 1
        assert "Traceback" not in "".join(run.out + run.err)


def test_a_learner_that_is_killed_leaves_the_service_for_a_while_and_no_longer(folder: Path) -> None:
    (key,) = make_keys(folder)
    with learner(*PEOPLE, "--run-dir", folder / "run", orphan_s=12) as run:
        url = run.url()
        with Client(url, key=key) as ann:
            run.said(f"answer at {url}", times=2)
            run.end(signal.SIGKILL)
            (lease,) = ann.lease("run", count=1)
            assert ann.answer("run", lease, {"choice": "left"}).position == 1
            with learner("resume", folder / "run") as again:
                told = again.said("People answer at ")
                assert told == f"People answer at {url}, where this folder is served already"
                orphan = service_pid(folder)
                # The orphan ends at its time, and the new learner starts another one where it was.
                wait_for(lambda: service_pid(folder) != orphan)
                wait_for(lambda: is_healthy(url))
                assert again.said(f"People answer at {url}", times=2) == f"People answer at {url}"
                again.end()
    assert not is_served(folder)
    with store_of(folder) as store:
        assert store.counts()["feedback"] == 1


def test_an_orphan_lets_go_of_its_port(folder: Path) -> None:
    with learner(*PEOPLE, "--run-dir", folder / "run", orphan_s=1) as run:
        url = run.url()
        run.end(signal.SIGKILL)
        wait_for(lambda: not is_served(folder), timeout_s=20)
        assert is_free(url)


def test_a_service_that_is_there_already_is_used_and_left(folder: Path) -> None:
    with Served(folder) as served, learner(*PEOPLE, "--run-dir", folder / "run") as run:
        assert run.said("People answer at ") == f"People answer at {served.url}, where this folder is served already"
        run.said(f"answer at {served.url}", times=2)
        assert run.end() == 130
        assert is_healthy(served.url)
        assert not any("stops with the run" in line for line in run.out)
        taken = subprocess.run(
            [sys.executable, "-m", "heeler", "resume", str(folder / "run"), "--port", "9"],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert taken.returncode == 2
        assert f"is served at {served.url} already; leave --port out" in taken.stderr


def test_a_run_learns_to_its_end_from_people_in_the_browser(folder: Path) -> None:
    """Nothing but the result stands on standard output."""
    (key,) = make_keys(folder)
    with (
        learner(*PEOPLE, "--run-dir", folder / "run", "--json") as run,
        Client(run.url(), key=key, patience_s=2) as ann,
    ):
        while run.process.poll() is None:
            try:
                for lease in ann.lease("run", count=3):
                    ann.answer("run", lease, {"choice": "left"})
            except Exception:
                # The service stops with the run.
                wait_for(lambda: run.process.poll() is not None)
            time.sleep(0.05)
        assert run.end() == 0
    (line,) = run.out
    assert json.loads(line)["step"] == 8192
    assert not is_served(folder)
    with store_of(folder) as store:
        assert store.counts()["by_choice"] == {"left": store.counts()["feedback"]}


def test_without_the_extra_the_run_goes_on_and_says_what_is_missing(folder: Path) -> None:
    with learner(*PEOPLE, "--run-dir", folder / "run", without="fastapi,uvicorn") as run:
        assert "a package is missing (fastapi): pip install 'heeler[service]'" in run.said("heeler: people cannot")
        run.said("questions answered")
        assert run.end() == 130
    assert not (folder / "people.db").exists()
    with learner(*PEOPLE, "--run-dir", folder / "other", "--serve", without="fastapi") as run:
        run.process.wait(timeout=60)
        assert run.end() == 2
        assert run.err == [
            "heeler: the run cannot be served: a package is missing (fastapi): pip install 'heeler[service]'"
        ]
    assert not (folder / "other").exists()


def test_a_service_that_cannot_start_is_told_once_and_the_run_goes_on(folder: Path) -> None:
    (folder / "people.db").write_bytes(b"notes that somebody would miss\n" * 100)
    with learner(*PEOPLE, "--run-dir", folder / "run") as run:
        run.said("the service cannot start: people's database")
        run.said("questions answered")
        (folder / "people.db").unlink()
        assert is_healthy(run.url()), "what was mended is noticed"
        assert run.end() == 130
        assert len([line for line in run.out if "cannot start" in line]) == 1


@pytest.mark.parametrize("explicit", [False, True])
def test_a_taken_port(folder: Path, explicit: bool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        if explicit:
            with learner(*PEOPLE, "--run-dir", folder / "run", "--port", port) as run:
                run.process.wait(timeout=60)
                assert run.end() == 2
                assert run.err == [
                    f"heeler: cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port"
                ]
            assert list(folder.iterdir()) == []
        else:
            with Served(folder, num_ports=50, port=port) as served:
                assert port < served.port < port + 50

"""How much longer an update takes while an operator watches; learner and service are processes of their own.

A run of PPO on HalfCheetah-v5 learns all the time, and the service runs all the time. In turn, for some seconds each,
nobody watches; a client asks for what the operator's page asks for, at its pace (figures, alarms, commands, releases,
clips with their pictures, and the stream of new rows); nobody watches; Chromium shows the page. An operator's browser
is mostly on another computer, so that the client is what the page costs where a run learns, though the client's own
work is counted here as well; Chromium beside the learner takes a core of its own for drawing.

An update's time is wall time, from the end of the first update of a stretch to the end of its last. Each stretch is
compared with the two beside it in which nobody watched; the median of the ratios, less one, is the slowdown.
Prints {"slowdown", "slowdown_with_browser", "update_s"}. With --learn RUN or --serve FOLDER it is the learner or the
service instead.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import FILE_NAME
from heeler.service.config import ServiceConfig
from heeler.service.server import serve

RUN, NAME, PASSWORD = "run", "operator", "a long enough password"
LOOK_S = 4.0
_FIGURES = (
    "true_return_mean,predicted_reward_mean,reward_model_validation_accuracy,reward_model_train_accuracy,labels_used,"
    "answered,asked,kl,elapsed_s,reward_model_calibration_error,reward_correlation,fits,value_loss,episodes"
)


class Learner:
    """The learner's process, and when each of its updates ended."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._times = folder.parent / "times"
        self._times.touch()
        command = [sys.executable, "-m", __spec__.name, "--learn", str(folder / RUN), "--seed", str(seed)]
        self.process = subprocess.Popen(command)

    def ends(self) -> list[float]:
        """Unix seconds of each update's end."""
        return [float(line) for line in self._times.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def update_s(self, began_s: float, ended_s: float) -> float:
        """Mean wall time of the updates that ended within a stretch."""
        within = [end for end in self.ends() if began_s <= end <= ended_s]
        if len(within) < 3:
            raise SystemExit(f"only {len(within)} updates ended within {ended_s - began_s:.0f} s; take longer phases")
        return (within[-1] - within[0]) / (len(within) - 1)


def learn(run: Path, seed: int) -> None:
    """Learn until the process is ended, writing the time of each update's end."""
    from dataclasses import replace

    from heeler.loop.running import run as learn_run
    from heeler.recipes import ppo

    with (run.parent.parent / "times").open("a", buffering=1) as times:
        config = replace(ppo(env="HalfCheetah-v5", seed=seed), total_steps=10**10)
        learn_run(config, run, on_metrics=lambda row: print(time.time(), file=times))


@contextmanager
def nobody(url: str, cookie: str) -> Generator[None]:
    """Nobody watches."""
    yield


@contextmanager
def client(url: str, cookie: str) -> Generator[None]:
    """A client asks for what the page asks for."""
    over, failed = threading.Event(), []

    def watch(work: Callable[[httpx2.Client, threading.Event], None]) -> None:
        try:
            with httpx2.Client(base_url=url, headers={"Cookie": cookie}, timeout=30) as http:
                work(http, over)
        except Exception as error:  # told below, in the thread that waits
            failed.append(error)

    threads = [threading.Thread(target=watch, args=(work,)) for work in (_look, _listen)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]


def _get(http: httpx2.Client, path: str) -> Any:
    answer = http.get(f"/api/v1{path}")
    answer.raise_for_status()
    return answer.json() if answer.headers["content-type"].startswith("application/json") else answer.content


def _look(http: httpx2.Client, over: threading.Event) -> None:
    """What is asked once, then what is asked every few seconds."""
    http.get(f"/operate?run={RUN}").raise_for_status()
    http.get("/static/plotly.js").raise_for_status()
    for path in ("/session", "/operators", f"/runs/{RUN}/audit?limit=50&answers=false&check=true"):
        _get(http, path)
    step = None
    while not over.is_set():
        for path in ("", "/alarms", "/commands?limit=8", "/releases"):
            _get(http, f"/runs/{RUN}{path}")
        clip = _get(http, f"/runs/{RUN}/clip")
        if clip["step"] not in (None, step):
            step = clip["step"]
            _get(http, f"/runs/{RUN}/clip/{step}")
        over.wait(LOOK_S)


def _listen(http: httpx2.Client, over: threading.Event) -> None:
    """The figures so far, then each new row."""
    series = _get(http, f"/runs/{RUN}/series?max_points=1000&names={_FIGURES}")
    after = series["step"][-1] if series["step"] else -1
    with http.stream("GET", f"/api/v1/runs/{RUN}/events", params={"after_step": after}) as stream:
        for _ in stream.iter_lines():
            if over.is_set():
                return


@contextmanager
def browser(url: str, cookie: str) -> Generator[None]:
    """Chromium shows the page."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("Chromium is not installed: sudo apt-get install chromium")
    name, _, value = cookie.partition("=")
    with sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        with playwright.chromium.launch(executable_path=path, args=arguments) as chromium:
            context = chromium.new_context(viewport={"width": 1280, "height": 860})
            context.add_cookies([{"name": name, "value": value, "url": url}])
            page = context.new_page()
            page.goto(f"{url}/operate?run={RUN}")
            page.wait_for_selector("#charts figure:not([hidden]) .plot svg", timeout=60_000)
            yield


@contextmanager
def served(folder: Path) -> Generator[str]:
    """The service of a folder as a process of its own; its address."""
    command = [sys.executable, "-m", __spec__.name, "--serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def signed_in(folder: Path) -> Callable[[str], str]:
    """Make an operator; returns what signs them in at an address and gives the cookie of their session."""
    accounts = Accounts(folder / FILE_NAME, AuditLog(folder / AUDIT_NAME), session_idle_s=1, session_s=1)
    person, _ = accounts.people.add("benchmark", name=NAME, email=None, kind="person", role="operator")
    accounts.people.set_password("benchmark", person.id, PASSWORD)
    accounts.close()

    def sign_in(url: str) -> str:
        body = {"name": NAME, "password": PASSWORD}
        answer = httpx2.post(f"{url}/api/v1/session", json=body, headers={"Origin": url})
        answer.raise_for_status()
        return answer.headers["set-cookie"].partition(";")[0]

    return sign_in


def measure(seed: int, cycles: int, phase_s: float, warm_up_s: float) -> dict[str, float]:
    """Let it learn, and watch it in turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "runs"
        folder.mkdir()
        sign_in = signed_in(folder)
        url = stack.enter_context(served(folder))
        learner = Learner(folder, seed)
        stack.callback(learner.process.wait)
        stack.callback(learner.process.kill)
        while len(learner.ends()) < 3:
            if learner.process.poll() is not None:
                raise SystemExit("the learner ended")
            time.sleep(0.2)
        cookie = sign_in(url)
        time.sleep(warm_up_s)
        order = [nobody, client, nobody, browser] * cycles + [nobody]
        times = [_stretch(learner, watched, url, cookie, phase_s) for watched in order]
    alone = [(before + after) / 2 for before, after in zip(times[0::2], times[2::2], strict=False)]
    ratios = [watched / usual for watched, usual in zip(times[1::2], alone, strict=True)]
    return {
        "slowdown": statistics.median(ratios[0::2]) - 1,
        "slowdown_with_browser": statistics.median(ratios[1::2]) - 1,
        "update_s": statistics.median(times[0::2]),
    }


def _stretch(learner: Learner, watched: Any, url: str, cookie: str, phase_s: float) -> float:
    with watched(url, cookie):
        began_s = time.time()
        time.sleep(phase_s)
        return learner.update_s(began_s, time.time())


def main() -> None:
    """Measure, learn or serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cycles", type=int, default=6)
    parser.add_argument("--phase-s", type=float, default=20.0)
    parser.add_argument("--warm-up-s", type=float, default=15.0)
    parser.add_argument("--learn", type=Path)
    parser.add_argument("--serve", type=Path)
    arguments = parser.parse_args()
    if arguments.learn is not None:
        learn(arguments.learn, arguments.seed)
    elif arguments.serve is not None:
        serve(ServiceConfig(runs=arguments.serve, port=0), on_start=lambda url, _: print(url, flush=True))
    else:
        figures = measure(arguments.seed, arguments.cycles, arguments.phase_s, arguments.warm_up_s)
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

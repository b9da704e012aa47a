"""A scripted annotator answers comparisons in Chromium: what the page costs beside looking.

The service is a process of its own, with two runs that ask about drawn stretches of Hopper-v5 and Backflip, 25 steps
each. The annotator waits until a pair has been painted, looks for a fixed time, and presses a key. `latency` is from
the key's own time stamp to the next pair painted; `overhead` is all the time from the first pair's paint to the last
key's effect, less what was spent looking, a comparison. At the end every answer must stand in the store.
Prints {"median_ms", "p95_ms", "overhead_s", "comparisons"}.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.jobs.ingest import Serving
from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.nouns import PolicyVersion, Query, Segment, stable_id
from heeler.envs import EnvConfig, make
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import FILE_NAME

ENV_IDS, NUM_STEPS, WARM_UP = ("Hopper-v5", "Backflip"), 25, 3
NAME, PASSWORD = "annotator", "an annotator's password"
KEYS = ("ArrowLeft", "ArrowRight", "ArrowDown", "ArrowUp")
_NOTE_KEYS = "addEventListener('keydown', (event) => (window.pressedAt = event.timeStamp), true)"
_NEXT = """(seen) => {
    const marks = performance.getEntriesByName("heeler-shown");
    const isOver = !document.getElementById("empty").hidden;
    return marks.length > seen || (isOver && seen > 0)
        ? { number: marks.length, tookMs: marks.length > seen ? marks.at(-1).startTime - window.pressedAt : null }
        : null;
}"""


def stretches(env_id: str, number: int) -> list[Segment]:
    """Stretches in which chance acts; each begins at another place of an episode."""
    world = make(EnvConfig(id=env_id, num_envs=number, num_threads=1), seed=0)
    world.action_space.seed(0)
    observation, _ = world.reset()
    names = ("observation", "action", "next_observation", "snapshot")
    rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for _ in range(NUM_STEPS):
        snapshot, action = world.snapshot(), world.action_space.sample()
        assert snapshot is not None
        after = world.step(action)[0]
        for name, value in zip(names, (observation, action, after, snapshot), strict=True):
            rows[name].append(value.copy())
        observation = after
    world.close()
    return [
        Segment(
            **{name: np.stack([row[place] for row in found]) for name, found in rows.items()},
            env_id=env_id,
            policy_version=0,
            trajectory_id=f"episode-{place}",
            start_step=0,
        )
        for place in range(number)
    ]


def prepare(folder: Path, number: int) -> None:
    """A run for each world with so many comparisons of stretches that are all different, and the annotator."""
    for env_id in ENV_IDS:
        path = folder / env_id
        path.mkdir()
        (path / "config.yaml").write_text(f"recipe: preferences\nenv:\n  id: {env_id}\n")
        with Store.open(path / STORE_NAME, segments_dir=path / "segments") as store:
            store.add_policy_version(PolicyVersion(version=0, step=0))
            ids = store.add_segments(stretches(env_id, 2 * number))
            pairs = [(ids[2 * place], ids[2 * place + 1]) for place in range(number)]
            store.add_queries([_query(env_id, place, pair) for place, pair in enumerate(pairs)])
    accounts = Accounts(folder / FILE_NAME, AuditLog(folder / AUDIT_NAME), session_idle_s=3600, session_s=3600)
    person, _ = accounts.people.add("benchmark", name=NAME, email=None, kind="person", role="annotator")
    accounts.people.set_password("benchmark", person.id, PASSWORD)
    text = accounts.consents.current()
    accounts.consents.add(person.id, version=text.version, text_sha256=text.text_sha256)
    accounts.close()


def _query(env_id: str, place: int, pair: tuple[str, str]) -> Query:
    query_id = stable_id("answering", env_id, place)
    return Query(id=query_id, kind="preference", segment_ids=pair, policy_version=0, asked_step=0)


@contextmanager
def page_of(url: str) -> Iterator[Page]:
    """A page of the annotator, signed in."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is not installed: sudo apt-get install chromium")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 860})
        body = {"name": NAME, "password": PASSWORD}
        signed_in = context.request.post("/api/v1/session", data=body, headers={"Origin": url})
        if not signed_in.ok:
            raise RuntimeError(signed_in.text())
        page = context.new_page()
        page.add_init_script(_NOTE_KEYS)
        yield page
        browser.close()


def answer_all(page: Page, run: str, number: int, looking_s: float) -> tuple[list[float], float]:
    """Answer everything; returns the milliseconds from each key to the next pair, and the overhead's seconds."""
    page.goto(f"/answer?run={run}")
    seen, took_ms = _painted(page, 0)[0], list[float]()
    begun_s, num_timed = time.perf_counter(), number - WARM_UP
    for place in range(number):
        if place == WARM_UP:
            begun_s = time.perf_counter()
        time.sleep(looking_s)
        page.keyboard.press(KEYS[place % len(KEYS)])
        seen, ms = _painted(page, seen)
        if ms is not None and place >= WARM_UP:
            took_ms.append(ms)
    overhead_s = time.perf_counter() - begun_s - num_timed * looking_s
    # Leaving the page sends the last answer, which could still be undone until then.
    page.goto("/password")
    return took_ms, overhead_s / num_timed


def _painted(page: Page, seen: int) -> tuple[int, float | None]:
    """Wait until more pairs than `seen` were painted, or nothing is left; how many, and how long after the key."""
    found = page.wait_for_function(_NEXT, arg=seen, polling="raf", timeout=60_000).json_value()
    return int(found["number"]), found["tookMs"]


def expect_kept(folder: Path, run: str, number: int) -> None:
    """Refuse a measurement whose answers did not arrive."""
    for _ in range(100):
        with Store.open(folder / run / STORE_NAME, segments_dir=None) as store:
            kept = store.counts()["feedback"]
        if kept == number:
            return
        time.sleep(0.1)
    raise RuntimeError(f"{number} answers were given in {run}, {kept} are in the store")


def measure(folder: Path, number: int, looking_s: float) -> dict[str, float]:
    """All figures, for so many comparisons of each world."""
    prepare(folder, number)
    took_ms, overheads = list[float](), list[float]()
    with Serving(folder, grouped=True) as port, page_of(f"http://127.0.0.1:{port}") as page:
        for run in ENV_IDS:
            some_ms, overhead_s = answer_all(page, run, number, looking_s)
            took_ms += some_ms
            overheads.append(overhead_s)
            expect_kept(folder, run, number)
    return {
        "median_ms": float(np.median(took_ms)),
        "p95_ms": float(np.quantile(took_ms, 0.95)),
        "overhead_s": float(np.mean(overheads)),
        "comparisons": float(len(ENV_IDS) * (number - WARM_UP)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=40, help="comparisons of each world")
    parser.add_argument("--looking-s", type=float, default=1.0)
    options = parser.parse_args()
    if options.number <= WARM_UP + 1:
        sys.exit(f"--number must be above {WARM_UP + 1}, got {options.number}")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options.number, options.looking_s)))


if __name__ == "__main__":
    main()

"""People, browsers and looks at pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from heeler.core.audit import AuditLog
from heeler.core.nouns import Feedback, Query
from heeler.service.accounts import passwords
from heeler.service.accounts.accounts import Accounts
from tests.unit.service.helpers import API, PASSWORD, store_of

PATIENCE_MS = 30_000
"""How long is waited for what must come, where other tests have the machine."""
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WIDE = {"viewport": {"width": 1280, "height": 860}}
NAMES = {"ann": "annotator", "bea": "annotator", "eve": "annotator", "fay": "annotator", "olga": "operator"}
NAMES |= {"ada": "admin", "new": "annotator"}
"""Everybody has PASSWORD; `new` must change it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder of runs that is served."""

    folder: Path
    url: str
    people: Mapping[str, str]
    """Ids by name."""


def make_people(folder: Path) -> dict[str, str]:
    """The people of NAMES, before a service starts; their hashes are quick ones."""
    quick = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    slow, passwords._HASHER = passwords._HASHER, quick
    try:
        accounts = Accounts(folder / "people.db", AuditLog(folder / "audit.jsonl"), session_idle_s=1, session_s=1)
        ids: dict[str, str] = {}
        for name, role in NAMES.items():
            person, one_time = accounts.people.add("test", name=name, email=None, kind="person", role=role)
            ids[name] = person.id
            text = accounts.consents.current()
            accounts.consents.add(person.id, version=text.version, text_sha256=text.text_sha256)
            if name != "new":
                accounts.people.set_password("test", person.id, PASSWORD)
            else:
                (folder / "one-time").write_text(str(one_time))
        accounts.close()
    finally:
        passwords._HASHER = slow
    return ids


def context_of(chromium: Browser, place: Place, name: str | None, faults: list[str], **options: Any) -> BrowserContext:
    """A browser of its own, signed in as `name`; what goes wrong in its pages is added to `faults`."""
    context = chromium.new_context(base_url=place.url, **(WIDE | options))
    context.set_default_timeout(PATIENCE_MS)

    def hear(message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        # A refused sign-in is told by the browser as an error of the page, which it is not. plotly.js tries one style
        # attribute that the policy forbids, and does without.
        is_known = "Failed to load resource" in message.text or (
            "Applying inline style" in message.text and message.location["url"].endswith("plotly.js")
        )
        if not is_known:
            faults.append(message.text)

    context.on("console", hear)
    context.on("weberror", lambda error: faults.append(str(error.error)))
    if name is not None:
        body = {"name": name, "password": PASSWORD}
        answer = context.request.post(f"{API}/session", data=body, headers={"Origin": place.url})
        assert answer.ok, answer.text()
    return context


def violations(page: Page) -> list[str]:
    """What axe finds against the page, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['help']} {[node['html'][:160] for node in v['nodes']]}" for v in found]


def is_too_wide(page: Page) -> bool:
    """Whether the page must be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def look(page: Page, shots: Path | None, name: str) -> None:
    """Keep a picture of the page, where pictures are wanted."""
    if shots is not None:
        shots.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=shots / f"{name}.png", full_page=True)


def answers(place: Place, run: str) -> list[Feedback]:
    with store_of(place.folder, run) as store:
        return [answer for _, answer in store.feedback_after(0, limit=100, up_to_step=None)]


def wait_for(page: Page, place: Place, run: str, number: int) -> list[Feedback]:
    """The answers of a run, once there are so many; the page is made to let go of the last one."""
    for _ in range(PATIENCE_MS // 50):
        let_go(page)
        found = answers(place, run)
        if len(found) >= number:
            return found
        page.wait_for_timeout(50)
    raise AssertionError(f"{len(answers(place, run))} answers came, not {number}")


def let_go(page: Page) -> None:
    """End the time in which the last answer can be undone, as if it had passed."""
    page.evaluate(
        """() => { for (const name of Object.keys(localStorage)) if (name.startsWith("heeler.outbox.")) {
            localStorage.setItem(name, JSON.stringify({ ...JSON.parse(localStorage.getItem(name)), ready_ms: 0 })); }
            dispatchEvent(new Event("online")); }"""
    )


def open_run(context: BrowserContext, run: str) -> Page:
    page = context.new_page()
    page.goto(f"/answer?run={run}")
    return page


def shown(page: Page, query: Query) -> None:
    """Wait until this query is on the screen."""
    page.wait_for_function(
        "id => performance.getEntriesByName('heeler-shown').at(-1)?.detail === id", arg=query.id, polling=20
    )


def tab_to(page: Page, wanted: Locator, *, back: bool = False) -> None:
    """Press Tab, or Shift+Tab, until this has the focus."""
    for _ in range(150):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{wanted} cannot be reached with Tab")

"""An agent that learns while somebody watches it in a browser and says good or bad; both processes are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from heeler.core.nouns import Feedback
from heeler.core.rundir import RunDirectory
from tests.browser.conftest import Browsers
from tests.browser.helpers import PHONE, Place, is_too_wide, look, violations
from tests.unit.service.helpers import ENVIRONMENT, store_of

LEARN = """
import sys
from pathlib import Path
from heeler.core.errors import RunStopped
from heeler.loop.evaluative.running import resume_evaluative, run_evaluative
from tests.unit.loop.evaluative.tiny import tiny_evaluative
path = Path(sys.argv[1])
config = tiny_evaluative(teacher="people", steps_per_second=6.0, total_steps=10**6)
try:
    resume_evaluative(path) if (path / "config.yaml").exists() else run_evaluative(config, path)
except RunStopped:
    sys.exit(7)
"""


class Learner:
    """A learner's process, which can be killed and go on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin()

    def begin(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", LEARN, str(self.path)], env=ENVIRONMENT)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()


@pytest.fixture(scope="module")
def learner(place: Place) -> Iterator[Learner]:
    learner = Learner(place.folder / "grid")
    deadline_s = time.monotonic() + 60
    while not (place.folder / "grid" / "heeler.db").exists() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    yield learner
    learner.end()


def marks(place: Place) -> list[Feedback]:
    with store_of(place.folder, "grid") as store:
        return [answer for _, answer in store.feedback_after(0, limit=1000, up_to_step=None)]


def wait_for_marks(page: Page, place: Place, number: int) -> list[Feedback]:
    for _ in range(300):
        found = marks(place)
        if len(found) >= number:
            return found
        page.wait_for_timeout(100)
    raise AssertionError(f"{len(marks(place))} marks came, not {number}")


def newest(place: Place) -> dict[str, float]:
    rows = RunDirectory(place.folder / "grid").metrics()
    return rows[-1] if rows else {"step": 0, "signals": 0}


def opened(browsers: Browsers, **options: object) -> Page:
    page = browsers("ann", **options).new_page()
    page.goto("/watch?run=grid")
    expect(page.locator("#doing")).to_contain_text("action", timeout=60_000)
    return page


def test_it_acts_while_it_is_watched_and_learns_what_is_pressed(
    browsers: Browsers, place: Place, learner: Learner, shots: Path | None
) -> None:
    page = browsers("ann").new_page()
    page.goto("/watch")
    page.get_by_role("link", name="grid", exact=True).click()
    expect(page.locator("#doing")).to_contain_text("action", timeout=60_000)
    before = len(marks(place))
    page.keyboard.press("k")
    expect(page.locator("#taken")).to_have_text("1: good")
    expect(page.locator("#good")).to_have_class("mark good pressed")
    page.keyboard.press("j")
    page.keyboard.press("ArrowUp")
    page.get_by_role("button", name="Bad").click()
    expect(page.locator("#taken")).to_have_text("4: bad")
    found = wait_for_marks(page, place, before + 4)[before:]
    assert [mark["sign"] for answer in found for mark in answer.value["marks"]] == [1, -1, 1, -1]
    assert {answer.annotator for answer in found} == {place.people["ann"]}
    assert all(0 <= mark["time_s"] <= 0.5 + 5 for answer in found for mark in answer.value["marks"])
    for _ in range(300):
        if newest(place)["signals"] >= before + 4:
            break
        page.wait_for_timeout(100)
    assert newest(place)["signals"] >= before + 4
    expect(page.locator("#clock")).to_contain_text("at 6 steps a second")
    assert violations(page) == []
    look(page, shots, "watch")
    page.close()


def test_on_a_telephone_both_buttons_are_large_and_in_reach(
    browsers: Browsers, place: Place, learner: Learner, shots: Path | None
) -> None:
    page = opened(browsers, **PHONE)
    for name in ("Good", "Bad"):
        button = page.get_by_role("button", name=name)
        expect(button).to_be_in_viewport(ratio=1)
        box = button.bounding_box()
        assert box is not None and box["width"] >= 120 and box["height"] >= 64
    assert not is_too_wide(page)
    before = len(marks(place))
    page.get_by_role("button", name="Good").tap()
    wait_for_marks(page, place, before + 1)
    look(page, shots, "watch-phone")
    page.close()


def test_presses_without_a_network_are_kept_and_sent_later(browsers: Browsers, place: Place, learner: Learner) -> None:
    page = opened(browsers)
    before = len(marks(place))
    page.context.set_offline(True)
    page.keyboard.press("k")
    expect(page.locator("#taken")).to_have_text("1: good")
    expect(page.locator("#waiting")).to_contain_text("1 not sent yet")
    page.wait_for_timeout(500)
    assert len(marks(place)) == before
    page.context.set_offline(False)
    wait_for_marks(page, place, before + 1)
    expect(page.locator("#waiting")).to_be_hidden()
    page.close()


def test_a_learner_that_is_killed_goes_on_and_loses_no_press(
    browsers: Browsers, place: Place, learner: Learner
) -> None:
    page = opened(browsers)
    for _ in range(3):
        page.keyboard.press("k")
        page.wait_for_timeout(150)
    learner.kill()
    page.keyboard.press("j")
    total = len(wait_for_marks(page, place, 1))
    expect(page.locator("#waiting")).to_be_hidden()
    page.wait_for_timeout(300)
    total = len(marks(place))
    was = newest(place)["step"]
    learner.begin()
    for _ in range(600):
        if newest(place)["signals"] >= total and newest(place)["step"] > was:
            break
        page.wait_for_timeout(100)
    assert newest(place)["signals"] == total
    assert newest(place)["step"] > was
    page.close()


def test_nobody_watching_nothing_moves(browsers: Browsers, place: Place, learner: Learner) -> None:
    page = opened(browsers)
    page.close()
    time.sleep(6.5)
    was = newest(place)["step"]
    time.sleep(2.0)
    assert newest(place)["step"] == was

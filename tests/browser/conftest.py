"""A real service, people who may sign in to it, and Chromium."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from heeler.core.nouns import AnySegment, FeedbackKind, Query
from tests.browser.helpers import PATIENCE_MS, Place, context_of, make_people
from tests.shown_runs import make_asking_run, stretches
from tests.unit.service.helpers import Served

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")

expect.set_options(timeout=PATIENCE_MS)
HOPPER = stretches("Hopper-v5", 12)
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser. Of a module, since other tests cannot run loops of their own while it is there."""
    if _CHROMIUM is None:
        pytest.skip("Chromium is not installed: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A folder of runs that is served; people are in it, runs are made by those who need them."""
    folder = tmp_path_factory.mktemp("runs")
    people = make_people(folder)
    # Every page asks for a dozen small files, and tests turn pages faster than people.
    with Served(folder, requests_per_s=10_000.0, request_burst=10_000) as served:
        yield Place(folder=folder, url=served.url, people=people)


Browsers = Callable[..., BrowserContext]


@pytest.fixture
def browsers(chromium: Browser, place: Place) -> Iterator[Browsers]:
    """Opens browsers of somebody who is signed in; without a name, of nobody. What a page's policy forbids or its
    scripts fail at fails the test.
    """
    opened: list[BrowserContext] = []
    faults: list[str] = []

    def new(name: str | None = None, **options: object) -> BrowserContext:
        context = context_of(chromium, place, name, faults, **options)
        opened.append(context)
        return context

    yield new
    for context in opened:
        context.close()
    assert not faults, faults


Asking = Callable[..., tuple[str, list[Query]]]


@pytest.fixture
def asking(place: Place) -> Asking:
    """Makes a run that asks; returns its name and its queries."""

    def make(
        kinds: Sequence[FeedbackKind], segments: Sequence[AnySegment] = HOPPER, env_id: str = "Hopper-v5"
    ) -> tuple[str, list[Query]]:
        name = f"run-{next(_NUMBERS)}"
        return name, make_asking_run(place.folder, name, kinds, segments, env_id)

    return make


@pytest.fixture
def page(browsers: Browsers) -> Page:
    """A page of the annotator `ann`."""
    return browsers("ann").new_page()


@pytest.fixture
def shots() -> Path | None:
    """Where screenshots are wanted, by SHOTS=FOLDER."""
    folder = os.environ.get("SHOTS")
    return None if folder is None else Path(folder)

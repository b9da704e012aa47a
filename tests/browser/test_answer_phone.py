"""On a telephone nothing of the page on which people answer lies on anything else, wherever it is scrolled to."""

import itertools

import pytest
from playwright.sync_api import Page, expect

from heeler.core.nouns import FeedbackKind
from tests.browser.conftest import Asking, Browsers
from tests.browser.helpers import PHONE, is_too_wide, look, open_run, shown

KINDS: tuple[FeedbackKind, ...] = ("preference", "rating", "evaluation")
BOXES = """() => [...document.querySelectorAll("#task button, #task input, #task canvas")]
    .filter((one) => one.checkVisibility())
    .map((one) => { const { left, top, right, bottom } = one.getBoundingClientRect();
        return [one.textContent || one.getAttribute("aria-label"), left, top, right, bottom]; })"""


def overlapping(page: Page) -> list[tuple[str, str]]:
    """Names of all that lie on one another by more than half a pixel."""
    pairs = itertools.combinations(page.evaluate(BOXES), 2)
    return [
        (one[0], other[0])
        for one, other in pairs
        if min(one[3], other[3]) - max(one[1], other[1]) > 0.5 and min(one[4], other[4]) - max(one[2], other[2]) > 0.5
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(390, 844), (360, 640), (320, 568)], ids=str)
def test_no_button_lies_on_another(browsers: Browsers, asking: Asking, size: tuple[int, int], kind, shots) -> None:
    run, queries = asking([kind])
    viewport = {"width": size[0], "height": size[1]}
    page = open_run(browsers("ann", **PHONE | {"viewport": viewport}), run)
    shown(page, queries[0])
    expect(page.get_by_role("button", name="Faster")).to_be_visible()
    assert len(page.evaluate(BOXES)) >= 8
    look(page, shots, f"answer-{kind}-{size[0]}x{size[1]}")
    height = page.evaluate("document.documentElement.scrollHeight")
    for top in range(0, height, 100):
        page.evaluate("top => scrollTo(0, top)", top)
        assert overlapping(page) == [], top
    page.get_by_role("button", name="Faster").tap()
    expect(page.locator(".pace")).to_have_text("Shown 5 times slower than real time.")
    assert not is_too_wide(page)


def test_clips_player_and_answers_are_on_one_screen(browsers: Browsers, asking: Asking) -> None:
    run, queries = asking(["preference"])
    page = open_run(browsers("ann", **PHONE), run)
    shown(page, queries[0])
    for name in ("Pause", "Faster", "Left is better", "Right is better", "Equally good", "I cannot tell"):
        expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
    for place in range(2):
        expect(page.locator("canvas").nth(place)).to_be_in_viewport(ratio=1)

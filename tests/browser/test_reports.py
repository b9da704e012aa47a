"""What people reported, as operators see it and admins decide about it; and pages that somebody may not see."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import HOPPER, Asking, Browsers
from tests.browser.helpers import PHONE, Place, is_too_wide, look, tab_to, violations
from tests.shown_runs import texts
from tests.unit.service.helpers import store_of

XSS = '<img src=x onerror="alert(1)">'


@pytest.fixture
def reported(place: Place, asking: Asking) -> tuple[str, list[str]]:
    """A run of which two items were reported, the second for two reasons."""
    run, queries = asking(["preference"] * 3)
    with store_of(place.folder, run) as store:
        store.flags.add(queries[0].id, place.people["ann"], "violence", f"it falls {XSS}")
        for category in ("hate", "other"):
            store.flags.add(queries[1].id, place.people["bea"], category)
    return run, [query.id for query in queries]


def opened(browsers: Browsers, name: str, run: str, **options: object) -> Page:
    page = browsers(name, **options).new_page()
    page.goto(f"/reports?run={run}")
    expect(page.locator("article").first).to_be_visible()
    return page


def item(page: Page, query_id: str):
    return page.locator("article", has_text=query_id[:12])


def button(page: Page, label: str):
    return page.get_by_role("button", name=label)


def test_admins_see_an_item_set_it_aside_and_put_it_back(browsers: Browsers, place: Place, reported, shots) -> None:
    run, (first, *_) = reported
    page = opened(browsers, "ada", run)
    expect(page.locator("#count")).to_have_text("2 reported, 0 set aside.")
    expect(item(page, first)).to_contain_text(f"“it falls {XSS}”")
    expect(page.locator("canvas")).to_have_count(0)
    item(page, first).get_by_role("button", name="Show item").click()
    expect(item(page, first).locator("canvas")).to_have_count(2)
    expect(item(page, first)).to_contain_text("Which of the two does it better?")
    look(page, shots, "reports-wide")
    assert violations(page) == []
    item(page, first).get_by_role("button", name="Set item").click()
    expect(item(page, first)).to_contain_text("asked of nobody")
    expect(page.locator("#count")).to_have_text("1 reported, 1 set aside.")
    expect(item(page, first).locator("canvas"), "what is shown stays").to_have_count(2)
    with store_of(place.folder, run) as store:
        assert [one.query_id for one in store.flags.set_aside_page(limit=9)] == [first]
    item(page, first).get_by_role("button", name="Hide item").click()
    expect(page.locator("canvas")).to_have_count(0)
    item(page, first).get_by_role("button", name="Put item").click()
    expect(item(page, first).locator(".badge")).to_have_text("reported")


def test_reports_are_dismissed_one_reason_at_a_time_with_keys_alone(browsers: Browsers, place: Place, reported) -> None:
    run, (first, second, _) = reported
    page = opened(browsers, "ada", run)
    tab_to(page, button(page, f"Dismiss “hate” of item {second[:12]}"))
    page.keyboard.press("Enter")
    expect(item(page, second).get_by_role("listitem")).to_have_count(1)
    with store_of(place.folder, run) as store:
        assert {(flag.query_id, flag.category) for flag in store.flags.page(limit=9)} == {
            (first, "violence"),
            (second, "other"),
        }
    expect(item(page, second), "whoever uses keys stays where they were").to_be_focused()
    tab_to(page, button(page, f"Set item {second[:12]} aside"))
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name=f"Put item {second[:12]} back")).to_be_visible()
    tab_to(page, button(page, f"Dismiss “other” of item {second[:12]}"))
    page.keyboard.press("Enter")
    expect(item(page, second)).to_contain_text("No reports are left.")
    tab_to(page, button(page, f"Show item {second[:12]}"))
    page.keyboard.press("Enter")
    expect(item(page, second).locator("canvas")).to_have_count(2)
    page.keyboard.press("]")
    expect(item(page, second).locator(".pace")).to_have_text("Shown 5 times slower than real time.")
    tab_to(page, button(page, f"Put item {second[:12]} back"))
    page.keyboard.press("Enter")
    expect(item(page, second)).to_have_count(0)


def test_operators_look_and_decide_nothing(browsers: Browsers, reported) -> None:
    run, (first, *_) = reported
    page = opened(browsers, "olga", run)
    expect(page.get_by_text("Admins dismiss reports and set items aside.")).to_be_visible()
    item(page, first).get_by_role("button", name="Show item").click()
    expect(item(page, first).locator("canvas")).to_have_count(2)
    expect(page.get_by_role("button", name="Set item")).to_have_count(0)
    expect(page.get_by_role("button", name="Dismiss")).to_have_count(0)


def test_texts_and_curves_can_be_looked_at(browsers: Browsers, place: Place, asking: Asking) -> None:
    for kind, segments in (("critique", texts(f"Rude {XSS}")), ("rating", HOPPER[:1])):
        run, (query,) = asking([kind], segments)
        with store_of(place.folder, run) as store:
            store.flags.add(query.id, place.people["ann"], "hate")
        page = opened(browsers, "ada", run)
        item(page, query.id).get_by_role("button", name="Show item").click()
        expect(item(page, query.id).locator("figcaption")).to_have_text(
            "The text" if kind == "critique" else "The clip"
        )
        if kind == "critique":
            expect(item(page, query.id).locator(".text").last).to_have_text(f"Rude {XSS}")
        assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_reports_hold_on_a_telephone(browsers: Browsers, reported, scheme: str, shots) -> None:
    run, (first, *_) = reported
    page = opened(browsers, "ada", run, color_scheme=scheme, **PHONE)
    item(page, first).get_by_role("button", name="Show item").tap()
    expect(item(page, first).locator("canvas")).to_have_count(2)
    look(page, shots, f"reports-390-{scheme}")
    assert violations(page) == []
    assert not is_too_wide(page)


def test_a_run_without_reports_says_so(browsers: Browsers, asking: Asking) -> None:
    run, _ = asking(["preference"])
    page = browsers("ada").new_page()
    page.goto(f"/reports?run={run}")
    expect(page.locator("#count")).to_have_text("Nothing was reported in this run.")
    assert violations(page) == []


@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize(
    ("where", "status", "title"),
    [("/admin", 403, "This page is not for you"), ("/nowhere", 404, "There is no such page")],
)
def test_pages_that_are_refused_say_so_and_lead_on(
    browsers: Browsers, place: Place, shots, options, where: str, status: int, title: str
) -> None:
    page = browsers("ann", **options).new_page()
    answer = page.goto(where)
    assert answer is not None
    assert answer.status == status
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    if status == 403:
        expect(page.locator("#who")).to_have_text("ann")
    assert violations(page) == []
    assert not is_too_wide(page)
    look(page, shots, f"trouble-{status}-{'phone' if options else 'wide'}")
    page.get_by_role("link", name="Go to your first page").click()
    expect(page).to_have_url(f"{place.url}/answer")


def test_who_is_refused_a_page_can_sign_in_as_somebody_else(browsers: Browsers, place: Place) -> None:
    page = browsers("ann").new_page()
    page.goto("/person")
    expect(page.locator("#who")).to_have_text("ann")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{place.url}/sign-in")

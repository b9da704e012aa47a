"""Care while people answer: the break, the day's end, reporting what is on the screen, and choosing not to see such."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from heeler.core.audit import AuditLog
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.work_clock import WorkClock
from tests.browser.conftest import Asking, Browsers
from tests.browser.helpers import PHONE, Place, is_too_wide, look, open_run, shown, violations, wait_for
from tests.unit.service.helpers import API, store_of


@pytest.fixture
def care_of(browsers: Browsers, place: Place) -> Iterator:
    """Sets what holds for one person; afterwards what holds for everybody holds for them again."""
    admin = browsers("ada").request
    changed: dict[str, dict[str, float]] = {}

    def change(name: str, **care: float) -> None:
        changed[name] = changed.get(name, {}) | care
        path = f"{API}/people/{place.people[name]}/care"
        answer = admin.patch(path, data=care, headers={"Origin": place.url})
        assert answer.ok, answer.text()

    yield change
    for name, care in changed.items():
        change(name, **dict.fromkeys(care))


def has_worked(place: Place, name: str, seconds: float) -> None:
    """Have somebody worked so long without a break, until a moment ago."""
    accounts = Accounts(
        place.folder / "people.db", AuditLog(place.folder / "audit.jsonl"), session_idle_s=1, session_s=1
    )
    clock = WorkClock(last_unix_s=time.time(), free_s=0.0, stretch_s=seconds)
    accounts.work.count({}, {place.people[name]: clock}, {})
    accounts.close()


@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
def test_a_break_is_offered_after_the_set_time_and_not_before(
    browsers: Browsers, place: Place, asking: Asking, care_of, options, shots
) -> None:
    run, queries = asking(["preference"])
    # Who has answered since the service began is counted by it, and not from the file.
    care_of("eve", break_after_min=10)
    has_worked(place, "eve", 9 * 60)
    context = browsers("eve", **options)
    page = open_run(context, run)
    shown(page, queries[0])
    expect(page.locator("#care")).to_contain_text("of 8 hours today")
    expect(page.get_by_text("Time for a break")).to_have_count(0)
    has_worked(place, "eve", 10 * 60)
    page.reload()
    expect(page.get_by_text("Time for a break of 5 minutes.").first).to_be_visible()
    expect(page.locator("#care [role=status]")).to_have_text("Time for a break of 5 minutes.")
    look(page, shots, f"care-break-{'phone' if options else 'wide'}")
    assert violations(page) == []
    assert not is_too_wide(page)
    page.get_by_role("button", name="In ten minutes").press("Enter")
    expect(page.get_by_role("button", name="In ten minutes")).to_have_count(0)
    page.reload()
    shown(page, queries[0])
    expect(page.locator("#care")).to_contain_text("of 8 hours today")
    expect(page.get_by_role("button", name="In ten minutes")).to_have_count(0)
    page.evaluate("sessionStorage.setItem('heeler-break-put-off', String(Date.now() - 1))")
    page.reload()
    page.get_by_role("link", name="Take it").click()
    page.wait_for_url("**/me")


def test_nothing_is_asked_once_the_day_is_over(
    browsers: Browsers, place: Place, asking: Asking, care_of, shots
) -> None:
    run, queries = asking(["preference"] * 2)
    care_of("fay", day_items=1)
    page = open_run(browsers("fay", **PHONE), run)
    shown(page, queries[0])
    page.get_by_role("button", name="Left is better").tap()
    expect(page.get_by_role("heading", name="Nothing to answer now")).to_be_visible()
    wait_for(page, place, run, 1)
    page.reload()
    expect(page.get_by_role("heading", name="That is all for today")).to_be_visible()
    expect(page.locator("#notice")).to_contain_text("You have given 1 answer today, and 1 is the limit; it goes on at ")
    expect(page.get_by_role("button", name="Undo the last answer")).to_have_count(0)
    expect(page.get_by_text("Report this")).to_be_hidden()
    look(page, shots, "care-day-over-phone")
    assert violations(page) == []
    assert not is_too_wide(page)
    page.goto("/me")
    expect(page.locator("#today")).to_contain_text("1 answer. You have given 1 answer today")
    care_of("fay", day_items=2)
    page = open_run(page.context, run)
    shown(page, queries[1])


def report(page: Page, category: str, note: str = "") -> None:
    page.get_by_text("Report this").click()
    page.get_by_label("What it shows").select_option(category)
    page.get_by_label("Note, if you like").fill(note)
    page.get_by_role("button", name="Report and skip").click()


def test_what_is_reported_is_skipped_and_goes_to_nobody_who_avoids_it(
    browsers: Browsers, place: Place, asking: Asking, shots
) -> None:
    run, queries = asking(["preference"] * 2)
    page = open_run(browsers("ann"), run)
    shown(page, queries[0])
    page.get_by_text("Report this").click()
    look(page, shots, "care-report-wide")
    assert violations(page) == []
    page.get_by_text("Report this").click()
    report(page, "violence", "it falls on its head")
    shown(page, queries[1])
    expect(page.get_by_label("Note, if you like")).to_be_hidden()
    with store_of(place.folder, run) as store:
        (flag,) = store.flags.page(limit=9)
        assert (flag.query_id, flag.category, flag.note) == (queries[0].id, "violence", "it falls on its head")
        # A page that is open asks again every few seconds and would have it back.
        page.close()
        store.give_back(place.people["ann"], [queries[1].id])
    other = open_run(browsers("bea"), run)
    shown(other, queries[1])
    other.goto("/me")
    other.get_by_label("violence").check()
    other.locator("#preferences button").click()
    expect(other.locator("#saved")).to_have_text("Saved.")
    other.goto(f"/answer?run={run}")
    shown(other, queries[1])
    other.keyboard.press("ArrowDown")
    shown(other, queries[0])


def test_reporting_by_keys_alone(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 2)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    page.get_by_text("Report this").focus()
    # Space plays and pauses elsewhere.
    page.keyboard.press(" ")
    expect(page.get_by_label("What it shows")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("left, right")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    shown(page, queries[1])
    with store_of(place.folder, run) as store:
        (flag,) = store.flags.page(limit=9)
    assert (flag.category, flag.note) == ("sexual", "left, right")


def test_a_report_that_cannot_be_sent_is_told_and_can_be_sent_again(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 2)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    page.route("**/flag", lambda route: route.fulfill(status=409, json={"detail": "gone"}))
    report(page, "hate")
    expect(page.get_by_role("alert").filter(has_text="It was not reported")).to_have_text(
        "It was not reported: gone. Try again."
    )
    page.unroute("**/flag")
    page.get_by_role("button", name="Report and skip").click()
    shown(page, queries[1])

"""The pages of admins and of one's own account, in Chromium: each act, at every width, and script that is text."""

import pytest
from playwright.sync_api import expect

from tests.browser.helpers import is_too_wide, look, violations
from tests.unit.service.helpers import make_run

XSS = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module", autouse=True)
def queries(place):
    return make_run(place.folder, num_queries=4)


@pytest.fixture
def boss(browsers, place):
    page = browsers("ada").new_page()
    page.goto(f"{place.url}/admin")
    expect(page.locator("#pay table")).to_be_visible()
    return page


def test_admins_add_people_make_keys_and_forget(boss, shots):
    boss.locator("#add-person [name=name]").fill(XSS)
    boss.locator("#add-person [name=email]").fill("x@example.org")
    boss.locator("#add-person button").click()
    expect(boss.locator("#secret")).to_contain_text(f"One-time password of {XSS}, shown only now: ")
    row = boss.locator("#people tr", has_text=XSS)
    row.get_by_role("button", name="Disable").click()
    expect(row.get_by_role("button", name="Enable")).to_be_visible()
    boss.locator("#add-key [name=label]").fill(XSS)
    boss.locator("#add-key button").click()
    expect(boss.locator("#secret")).to_contain_text("hlr_")
    boss.locator("#keys tr", has_text=XSS).get_by_role("button").click()
    expect(boss.locator("#keys tr", has_text=XSS)).to_have_count(0)
    look(boss, shots, "admin-wide")
    assert violations(boss) == []
    row.get_by_role("button", name="Forget").click()
    boss.locator("#forget [name=typed]").fill("somebody else")
    boss.locator("#forget button.danger").click()
    expect(boss.locator("#forget")).to_be_visible()
    boss.locator("#forget [name=typed]").fill(XSS)
    boss.locator("#forget button.danger").click()
    expect(boss.locator("#people tr", has_text=XSS)).to_have_count(0)


def test_admins_set_runs_care_and_consent(boss, queries, browsers, place, shots):
    boss.locator("#run-settings [name=overlap]").fill("3")
    boss.locator("#run-settings button").click()
    boss.locator("#add-gold [name=query]").fill(queries[0].id)
    boss.get_by_role("button", name="Make it a gold item").click()
    expect(boss.locator("#gold")).to_contain_text(queries[0].id)
    boss.locator("#care [name=rate_minor]").fill("1500")
    boss.locator("#care [name=currency]").fill("EUR")
    boss.locator("#care button").click()
    boss.locator("#consent [name=text]").fill(f"Another text.\n\n{XSS}")
    boss.locator("#consent button").click()
    expect(boss.locator("#version")).to_have_text("2")
    page = browsers("ann").new_page()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{place.url}/consent")
    expect(page.locator("#text")).to_contain_text(XSS)
    assert violations(page) == []
    look(page, shots, "consent-390")
    page.locator("#agree").click()
    page.wait_for_url("**/answer")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", ["/admin", "/me"])
def test_pages_hold_on_a_telephone(browsers, place, shots, scheme, where):
    page = browsers("ada", color_scheme=scheme, viewport={"width": 390, "height": 844}).new_page()
    page.goto(f"{place.url}{where}")
    expect(page.locator("table").first).to_be_visible()
    assert violations(page) == []
    look(page, shots, f"{where[1:]}-390-{scheme}")
    assert not is_too_wide(page)


def test_own_choices_are_kept(browsers, place):
    page = browsers("ann").new_page()
    page.goto(f"{place.url}/me")
    box = page.get_by_label("violence")
    expect(box).not_to_be_checked()
    box.check()
    page.locator("#preferences button").click()
    expect(page.locator("#saved")).to_have_text("Saved.")
    page.reload()
    expect(page.get_by_label("violence")).to_be_checked()

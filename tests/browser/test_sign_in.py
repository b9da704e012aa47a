"""Signing in and out, the one-time password, and where pages lead."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Browsers
from tests.browser.helpers import PHONE, Place, is_too_wide, look, violations
from tests.unit.service.helpers import API, PASSWORD


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def test_who_is_not_signed_in_signs_in_and_comes_to_the_page_they_asked_for(browsers: Browsers, place: Place) -> None:
    page = browsers().new_page()
    page.goto("/answer?run=some")
    expect(page).to_have_url(f"{place.url}/sign-in?next=%2Fanswer%3Frun%3Dsome")
    sign_in(page, "ann", "not the password")
    expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    expect(page.get_by_label("Password")).to_be_focused()
    sign_in(page, "ann")
    expect(page).to_have_url(f"{place.url}/answer?run=some")
    expect(page.locator("#who")).to_have_text("ann")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{place.url}/sign-in")
    page.goto("/answer")
    expect(page).to_have_url(f"{place.url}/sign-in?next=%2Fanswer")


@pytest.mark.parametrize("next", ["//evil.example/", "https://evil.example/", "/\\evil.example", "\\\\evil.example"])
def test_only_paths_of_this_site_are_followed(browsers: Browsers, place: Place, next: str) -> None:
    page = browsers("ann").new_page()
    page.goto(f"/sign-in?next={next}")
    expect(page).to_have_url(f"{place.url}/answer")


def test_a_one_time_password_leads_to_another(browsers: Browsers, place: Place) -> None:
    one_time = (place.folder / "one-time").read_text()
    page = browsers().new_page()
    page.goto("/sign-in?next=/answer")
    sign_in(page, "new", one_time)
    expect(page).to_have_url(f"{place.url}/password")
    page.goto("/answer")
    expect(page).to_have_url(f"{place.url}/password")
    assert violations(page) == []
    page.get_by_label("One-time password").fill(one_time)
    page.get_by_label("New password", exact=True).fill("short")
    page.get_by_label("New password again").fill("short")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("expected 12 to 200 characters")
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD + "!")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The two new passwords differ.")
    page.get_by_label("New password again").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{place.url}/answer")


def test_a_session_that_was_planted_is_not_taken_over(browsers: Browsers, place: Place) -> None:
    context = browsers()
    thief = browsers("bea")
    planted = next(cookie for cookie in thief.cookies() if cookie["name"] == "heeler_session")
    context.add_cookies([{"name": "heeler_session", "value": planted["value"], "url": place.url}])
    page = context.new_page()
    answer = context.request.post(
        f"{API}/session", data={"name": "ann", "password": PASSWORD}, headers={"Origin": place.url}
    )
    assert answer.json()["person"]["name"] == "ann"
    fresh = next(cookie for cookie in context.cookies() if cookie["name"] == "heeler_session")
    assert fresh["value"] != planted["value"]
    assert fresh["httpOnly"]
    assert fresh["sameSite"] == "Strict"
    assert thief.request.get(f"{API}/session").status == 401, "the planted session has ended"
    page.goto("/answer")
    expect(page.locator("#who")).to_have_text("ann")


@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_sign_in_can_be_used_by_everybody(
    browsers: Browsers, shots: Path | None, options: dict[str, object], scheme: str
) -> None:
    page = browsers(color_scheme=scheme, **options).new_page()
    page.goto("/sign-in")
    look(page, shots, f"sign-in-{scheme}-{'phone' if options else 'wide'}")
    assert violations(page) == []
    assert not is_too_wide(page)

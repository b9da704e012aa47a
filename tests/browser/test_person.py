"""One person's limits, pay and payments, and gold items: each act, by mouse and by keys alone, at every width."""

import uuid

import pytest
from playwright.sync_api import Page, expect

from heeler.core.audit import AuditLog
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.work import Amount, WorkKey
from tests.browser.conftest import Asking, Browsers
from tests.browser.helpers import PHONE, Place, is_too_wide, look, tab_to, violations
from tests.unit.feedback.helpers import make_answer
from tests.unit.service.helpers import API, store_of

XSS = "<img src=x onerror=alert(1)>"


def has_earned(place: Place, name: str, minor: int) -> None:
    """Have somebody worked for so much, at one cent a second."""
    accounts = Accounts(
        place.folder / "people.db", AuditLog(place.folder / "audit.jsonl"), session_idle_s=1, session_s=1
    )
    key = WorkKey(person_id=place.people[name], day="2026-01-31", currency="EUR", rate_minor=3600)
    accounts.work.count({key: Amount(items=3, milliseconds=1000 * minor)}, {}, {})
    accounts.close()


def opened(browsers: Browsers, place: Place, name: str, **options: object) -> Page:
    page = browsers("ada", **options).new_page()
    page.goto(f"/person?id={place.people[name]}")
    # Without payments there is nothing of it to be seen on a phone.
    expect(page.locator("#payments table")).to_be_attached()
    expect(page.locator("#name")).to_have_text(name)
    return page


def care(page: Page, place: Place, name: str) -> dict:
    return page.request.get(f"{API}/people/{place.people[name]}/care").json()


def test_limits_and_pay_of_one_person_are_set_and_taken_back(browsers: Browsers, place: Place, shots) -> None:
    page = opened(browsers, place, "bea")
    hours = page.get_by_label("Hours a day")
    expect(hours).to_have_value("")
    expect(hours).to_have_attribute("placeholder", "8")
    hours.fill("4.5")
    page.get_by_label("Answers a day").fill("200")
    page.get_by_label("An hour's pay").fill("1650")
    page.get_by_label("Currency", exact=True).fill("EUR")
    expect(page.locator("#limits .worth")).to_have_text("€16.50 an hour.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#limits .said")).to_have_text("Saved.")
    found = care(page, place, "bea")
    assert (found["day_hours"], found["day_items"], found["rate_minor"], found["currency"]) == (4.5, 200, 1650, "EUR")
    look(page, shots, "person-wide")
    assert violations(page) == []
    page.reload()
    expect(hours).to_have_value("4.5")
    for name in ("Hours a day", "Answers a day", "An hour's pay", "Currency"):
        page.get_by_label(name, exact=name == "Currency").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#limits .said")).to_have_text("Saved.")
    assert care(page, place, "bea")["own"] == []


def test_a_rate_without_a_currency_is_refused_by_name(browsers: Browsers, place: Place) -> None:
    page = opened(browsers, place, "bea")
    page.get_by_label("An hour's pay").fill("1650")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("currency: expected one such as EUR")
    expect(page.locator("#limits .said")).to_have_text("")


def test_what_is_owed_is_noted_as_paid_once(browsers: Browsers, place: Place) -> None:
    has_earned(place, "eve", 1234)
    page = opened(browsers, place, "eve")
    expect(page.locator("#owed")).to_have_text("Owed: €12.34.")
    expect(page.locator("#days")).to_contain_text("2026-01-31")
    expect(page.get_by_label("Amount, smallest unit")).to_have_value("1234")
    page.get_by_label("Amount, smallest unit").fill("1000")
    expect(page.locator("#payment .worth")).to_have_text("€10.00.")
    page.get_by_label("Note", exact=True).fill("transfer <b>7</b>")
    page.get_by_role("button", name="Note as paid").dblclick()
    expect(page.locator("#owed")).to_have_text("Owed: €2.34.")
    expect(page.locator("#payments tbody tr")).to_have_count(1)
    expect(page.locator("#payments")).to_contain_text("transfer <b>7</b>")
    page.goto("/admin")
    row = page.locator("#pay tr", has_text="eve")
    row.get_by_role("button", name="Note €2.34 to eve as paid").dblclick()
    expect(row.get_by_role("button")).to_have_count(0)
    work = page.request.get(f"{API}/people/{place.people['eve']}/work").json()
    assert sorted(one["amount_minor"] for one in work["payments"]) == [234, 1000]
    assert work["owed_minor"] == {"EUR": 0}
    row.get_by_role("link", name="eve").click()
    expect(page.locator("#owed")).to_have_text("Owed: €0.00.")


def test_a_payment_by_mistake_is_taken_back_and_its_person_reads_why(browsers: Browsers, place: Place, shots) -> None:
    has_earned(place, "olga", 700)
    page = opened(browsers, place, "olga")
    page.get_by_role("button", name="Note as paid").click()
    expect(page.locator("#owed")).to_have_text("Owed: €0.00.")
    row = page.locator("#payments tbody tr")
    dialog = page.get_by_role("dialog", name="Take back €7.00")
    row.get_by_role("button", name="Take back €7.00").click()
    page.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    row.get_by_role("button", name="Take back €7.00").click()
    reason = page.get_by_label("Reason, which they can read")
    for nothing in ("", "  "):
        reason.fill(nothing)
        page.get_by_role("button", name="Take it back").click()
        expect(dialog, "there must be a reason").to_be_visible()
    look(page, shots, "person-take-back-wide")
    assert violations(page) == []
    reason.fill(f"not to her {XSS}")
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("#owed")).to_have_text("Owed: €7.00.")
    expect(row).to_contain_text(f"not to her {XSS}")
    expect(row.get_by_role("button")).to_have_count(0)
    expect(row.locator("del")).to_have_text("€7.00")
    look(page, shots, "person-taken-back-wide")
    assert violations(page) == []
    own = browsers("olga", **PHONE).new_page()
    own.goto("/me")
    expect(own.locator("#owed")).to_have_text("Owed to you: €7.00")
    expect(own.locator("#payments tbody tr")).to_contain_text(f"not to her {XSS}")
    expect(own.get_by_role("button", name="Take back")).to_have_count(0)
    look(own, shots, "me-taken-back-phone")
    assert violations(own) == []
    assert not is_too_wide(own)


def test_a_payment_is_taken_back_by_keys_alone_and_on_a_telephone(browsers: Browsers, place: Place, shots) -> None:
    body = {"id": str(uuid.uuid4()), "amount_minor": 900, "currency": "EUR", "note": "a long note of a transfer " * 4}
    context = browsers("ada", **PHONE)
    path = f"{API}/people/{place.people['bea']}/payments"
    assert context.request.post(path, data=body, headers={"Origin": place.url}).ok
    page = context.new_page()
    page.goto(f"/person?id={place.people['bea']}")
    tab_to(page, page.get_by_role("button", name="Take back €9.00"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Reason, which they can read")).to_be_focused()
    look(page, shots, "person-take-back-390")
    page.keyboard.type("noted twice")
    page.keyboard.press("Enter")
    expect(page.locator("#payments")).to_contain_text("noted twice")
    expect(page.locator("#payments"), "whoever uses keys stays where they were").to_be_focused()
    look(page, shots, "person-taken-back-390")
    assert violations(page) == []
    assert not is_too_wide(page)


def test_who_was_paid_nothing_is_shown_no_payments(browsers: Browsers, place: Place) -> None:
    page = browsers("ann").new_page()
    page.goto("/me")
    expect(page.locator("#owed")).not_to_be_empty()
    expect(page.get_by_text("What was paid")).to_be_hidden()


def test_limits_and_payments_by_keys_alone(browsers: Browsers, place: Place) -> None:
    has_earned(place, "fay", 500)
    page = browsers("ada").new_page()
    page.goto("/admin")
    tab_to(page, page.get_by_role("button", name="Note €5.00 to fay as paid"))
    page.keyboard.press("Enter")
    row = page.locator("#pay tr", has_text="fay")
    expect(row).to_contain_text("€0.00")
    expect(page.locator("#pay"), "whoever uses keys stays where they were").to_be_focused()
    has_earned(place, "fay", 300)
    tab_to(page, page.locator("#people").get_by_role("link", name="fay"), back=True)
    page.keyboard.press("Enter")
    expect(page.locator("#owed")).to_have_text("Owed: €3.00.")
    tab_to(page, page.get_by_label("Answers a day"))
    page.keyboard.type("50")
    page.keyboard.press("Enter")
    expect(page.locator("#limits .said")).to_have_text("Saved.")
    assert care(page, place, "fay")["day_items"] == 50
    tab_to(page, page.get_by_role("button", name="Note as paid"))
    page.keyboard.press(" ")
    expect(page.locator("#owed")).to_have_text("Owed: €0.00.")
    expect(page.locator("#payments")).to_contain_text("€5.00")


def test_gold_items_are_made_looked_at_and_removed_by_keys_alone(
    browsers: Browsers, place: Place, asking: Asking, shots
) -> None:
    run, (compared, rated) = asking(["preference", "rating"])
    page = browsers("ada").new_page()
    page.goto("/admin")
    expect(page.locator("#gold table")).to_be_visible()
    page.locator("#run").focus()
    page.locator("#run").select_option(run)
    expect(page.get_by_label("Newest queries").get_by_role("option")).to_have_count(3)
    tab_to(page, page.get_by_label("Newest queries"))
    page.keyboard.press("ArrowDown")
    query = page.get_by_label("Query", exact=True)
    expect(query).to_have_value(rated.id)
    page.get_by_label("Newest queries").press("ArrowDown")
    expect(query).to_have_value(compared.id)
    query.fill("")
    tab_to(page, query)
    page.keyboard.type(compared.id)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#gold-item canvas")).to_have_count(2)
    look(page, shots, "admin-gold-wide")
    assert violations(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    row = page.locator("#gold tbody tr")
    expect(row).to_contain_text("right")
    expect(page.locator("#gold-item canvas")).to_have_count(0)
    query.focus()
    page.keyboard.type(rated.id)
    page.keyboard.press("Enter")
    expect(page.locator("#error")).to_have_text("This is a rating: give the right score.")
    expect(page.get_by_label("Right score, 0 to 10")).to_be_focused()
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page.locator("#gold tbody tr", has_text=rated.id)).to_contain_text("7 of 10")
    tab_to(page, page.get_by_role("button", name=f"Remove gold item {rated.id}"), back=True)
    page.keyboard.press("Enter")
    expect(row).to_have_count(1)
    expect(page.locator("#gold")).to_be_focused()


def test_how_people_did_on_gold_items_is_told_by_name(browsers: Browsers, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 4)
    gone = f"kept-{uuid.uuid4()}"
    with store_of(place.folder, run) as store:
        for name in (place.people["ann"], gone):
            store.add_annotator(name, "person")
        for query, choice in zip(queries, ("left", "left", "right"), strict=False):
            store.gold.add(query.id, {"choice": "left"}, place.people["ada"])
            store.add_feedback([make_answer(query, annotator=place.people["ann"], choice=choice)])
        store.add_feedback([make_answer(queries[0], "other", annotator=gone)])
    page = browsers("ada").new_page()
    page.goto("/admin")
    expect(page.locator("#gold table")).to_be_visible()
    page.locator("#run").select_option(run)
    rows = page.locator("#gold-results tbody tr")
    expect(rows.filter(has_text="ann")).to_have_text("ann3267 %")
    expect(rows.filter(has_text="somebody who is gone")).to_contain_text("100 %")
    rows.get_by_role("link", name="ann").click()
    expect(page.locator("#gold")).to_contain_text(run)
    expect(page.locator("#gold tr", has_text=run)).to_contain_text("67 %")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_persons_page_holds_on_a_telephone(browsers: Browsers, place: Place, scheme: str, shots) -> None:
    page = opened(browsers, place, "ann", color_scheme=scheme, **PHONE)
    look(page, shots, f"person-390-{scheme}")
    assert violations(page) == []
    assert not is_too_wide(page)


@pytest.mark.parametrize("query", ["", "?id=nobody", "?id=%3Cimg%20src=x%20onerror=alert(1)%3E"])
def test_who_is_no_person_is_told(browsers: Browsers, query: str) -> None:
    page = browsers("ada").new_page()
    page.goto(f"/person{query}")
    expect(page.locator("#error")).to_be_visible()
    expect(page.locator("#person")).to_be_hidden()
    assert violations(page) == []
    page.get_by_role("navigation").get_by_role("link", name="Admin").click()

"""The page on which people answer: every kind, every key, undo, and answers that survive bad luck."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import APIResponse, BrowserContext, Page, Route, expect

from heeler.core.nouns import FeedbackKind, Query
from heeler.feedback.kinds import AIDS, QUESTIONS, VIEWS
from heeler.feedback.sides import is_flipped
from heeler.feedback.unsafe import UNSAFE_KINDS, UNSAFE_QUESTIONS, UnsafeKind
from tests.browser.conftest import HOPPER, Asking, Browsers
from tests.browser.helpers import (
    PATIENCE_MS,
    PHONE,
    Place,
    answers,
    is_too_wide,
    look,
    open_run,
    shown,
    violations,
    wait_for,
)
from tests.shown_runs import stretches, texts
from tests.unit.service.helpers import store_of


def all_is_sent(page: Page) -> None:
    page.wait_for_function("() => Object.keys(localStorage).length === 0")


def films_are_here(page: Page, number: int) -> None:
    page.wait_for_function(
        "n => performance.getEntriesByType('resource').filter(e => e.name.endsWith('/film')).length >= n", arg=number
    )


def test_arrows_answer_in_the_order_of_the_queries(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 4)
    page.goto(f"/answer?run={run}")
    keys = ("ArrowLeft", "ArrowRight", "ArrowDown", "ArrowUp")
    for query, key in zip(queries, keys, strict=True):
        shown(page, query)
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="Nothing to answer now")).to_be_visible()
    found = wait_for(page, place, run, 4)
    by_query = {answer.query_id: answer for answer in found}
    ann, flip = place.people["ann"], {"left": "right", "right": "left"}
    meant = ["left", "right", "equal", "cant_tell"]
    expected = [flip.get(c, c) if is_flipped(q.id, ann) else c for c, q in zip(meant, queries, strict=True)]
    assert [by_query[query.id].value["choice"] for query in queries] == expected
    assert [answer.query_id for answer in found] == [query.id for query in queries], "in the order they were given"
    assert all(answer.annotator == ann for answer in found)
    assert all(0 < (answer.time_taken_s or 0) < 10 for answer in found)
    expect(page.locator("#count")).to_have_text("4 answered")


def test_sides_are_flipped_on_the_screen_and_not_in_the_answer(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 6)
    ann = place.people["ann"]
    assert len({is_flipped(query.id, ann) for query in queries}) == 2, "some are flipped, some are not"
    page.goto(f"/answer?run={run}")
    for query in queries:
        shown(page, query)
        page.keyboard.press(" ")
        page.locator("input[type=range]").first.fill("0")
        same = page.evaluate(
            """async ([run, query, flip]) => {
                const { loadShown } = await import(document.querySelector("script[type=module]").src
                    .replace("answer.js", "answer-media.js"));
                const clip = await loadShown(`/runs/${run}/leases/${query}/segments/${flip ? 1 : 0}`);
                const canvas = document.createElement("canvas");
                canvas.width = canvas.height = 480;
                clip.draw(canvas.getContext("2d"), 0);
                return canvas.toDataURL() === document.querySelector(".clips canvas").toDataURL();
            }""",
            [run, query.id, is_flipped(query.id, ann)],
        )
        assert same, "the left picture is of the second segment where it is flipped, else of the first"
        page.get_by_role("button", name="Left is better").click()
    found = {answer.query_id: answer.value["choice"] for answer in wait_for(page, place, run, 6)}
    assert found == {query.id: "right" if is_flipped(query.id, ann) else "left" for query in queries}


def test_backspace_undoes_the_last_answer(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 3)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    page.keyboard.press("ArrowDown")
    shown(page, queries[1])
    page.keyboard.press("Backspace")
    shown(page, queries[0])
    expect(page.get_by_role("button", name="Undo the last answer")).to_be_disabled()
    page.keyboard.press("ArrowUp")
    shown(page, queries[1])
    page.keyboard.press("ArrowDown")
    shown(page, queries[2])
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("heading", name="Nothing to answer now")).to_be_visible()
    page.keyboard.press("Backspace")
    shown(page, queries[2])
    page.keyboard.press("ArrowUp")
    found = wait_for(page, place, run, 3)
    assert [answer.value["choice"] for answer in found] == ["cant_tell", "equal", "cant_tell"]
    all_is_sent(page)
    page.keyboard.press("Backspace")
    expect(page.locator("#live")).to_contain_text("too late to undo")
    assert len(answers(place, run)) == 3


def test_what_is_undone_while_more_is_asked_for_is_shown_once(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 2)
    held: list[Route] = []
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    films_are_here(page, 4)
    page.route("**/leases", lambda route: held.append(route))
    page.keyboard.press("ArrowLeft")
    shown(page, queries[1])
    for _ in range(PATIENCE_MS // 20):
        if held:
            break
        page.wait_for_timeout(20)
    page.keyboard.press("Backspace")
    shown(page, queries[0])
    with page.expect_response("**/leases"):
        held.pop().continue_()
    page.unroute("**/leases")
    for query in queries:
        shown(page, query)
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("heading", name="Nothing to answer now")).to_be_visible()
    found = wait_for(page, place, run, 2)
    assert [(answer.query_id, answer.value["choice"]) for answer in found] == [(q.id, "equal") for q in queries]


def test_answers_survive_a_lost_connection_and_a_closed_tab(browsers: Browsers, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 4)
    context = browsers("ann")
    page = open_run(context, run)
    shown(page, queries[0])
    films_are_here(page, 8)
    context.set_offline(True)
    for query in queries[:3]:
        shown(page, query)
        page.keyboard.press("ArrowDown")
    expect(page.locator("#waiting")).to_have_text("3 waiting to be sent")
    assert answers(place, run) == []
    page.close()
    context.set_offline(False)
    page = open_run(context, run)
    found = wait_for(page, place, run, 3)
    assert [answer.query_id for answer in found] == [query.id for query in queries[:3]]
    shown(page, queries[3])
    all_is_sent(page)
    page.reload()
    shown(page, queries[3])
    assert len(answers(place, run)) == 3, "sent once"


def test_a_picture_that_cannot_be_read_is_asked_for_again(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"])
    spoilt: list[Route] = []

    def spoil(route: Route) -> None:
        spoilt.append(route)
        route.fulfill(body=b"no picture", content_type="image/webp")

    page.route("**/film", spoil, times=1)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    assert len(spoilt) == 1


def keep_films(context: BrowserContext) -> None:
    """What a browser does by itself, but for while requests are looked at: a clip that was loaded is there."""
    kept: dict[str, APIResponse] = {}

    def answer(route: Route) -> None:
        url = route.request.url
        if url not in kept:
            kept[url] = route.fetch()
        route.fulfill(response=kept[url])

    context.route("**/segments/**", answer)


def test_what_was_answered_before_the_page_came_is_not_asked_again(
    browsers: Browsers, place: Place, asking: Asking
) -> None:
    """The questions are told before the answer has arrived, and are heard of after its receipt."""
    run, queries = asking(["preference"] * 2)
    context = browsers("ann")
    keep_films(context)
    page = open_run(context, run)
    shown(page, queries[0])
    films_are_here(page, 4)
    # A page that goes tries once more, past what can be set offline from here.
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('offline')); }")
    page.keyboard.press("ArrowDown")
    shown(page, queries[1])
    page.close()
    told: list[tuple[Route, APIResponse]] = []
    sent: list[Route] = []
    context.route("**/leases", lambda route: told.append((route, route.fetch())))
    context.route("**/feedback", lambda route: sent.append(route))
    page = open_run(context, run)
    while not (told and sent):
        page.wait_for_timeout(20)
    assert [item["query_id"] for item in told[0][1].json()["items"]] == [query.id for query in queries]
    context.unroute("**/feedback")
    for route in sent:
        route.continue_()
    (answer,) = wait_for(page, place, run, 1)
    assert answer.query_id == queries[0].id
    all_is_sent(page)
    for route, response in told:
        route.fulfill(response=response)
    context.unroute("**/leases")
    shown(page, queries[1])


def test_a_closed_tab_sends_what_it_holds(browsers: Browsers, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 2)
    context = browsers("ann")
    page = open_run(context, run)
    shown(page, queries[0])
    page.keyboard.press("ArrowDown")
    page.goto("/password")
    assert len(wait_for(page, place, run, 1)) == 1
    page = open_run(context, run)
    shown(page, queries[1])
    all_is_sent(page)
    assert len(answers(place, run)) == 1


def test_one_tab_answers_at_a_time(browsers: Browsers, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 2)
    context = browsers("ann")
    first = open_run(context, run)
    shown(first, queries[0])
    second = open_run(context, run)
    expect(second.get_by_text("You are answering for this run in another tab.")).to_be_visible()
    second.get_by_role("button", name="Answer here instead").click()
    shown(second, queries[0])
    expect(first.get_by_text("You are answering for this run in another tab.")).to_be_visible()
    first.keyboard.press("ArrowDown")
    first.get_by_role("button", name="Answer here instead").click()
    expect(second.get_by_text("You are answering for this run in another tab.")).to_be_visible()
    first.wait_for_function("() => performance.getEntriesByName('heeler-shown').length === 2")
    first.keyboard.press("ArrowUp")
    shown(first, queries[1])
    assert [answer.value["choice"] for answer in wait_for(first, place, run, 1)] == ["cant_tell"]


def test_an_answer_that_comes_too_late_is_told_and_skipped(browsers: Browsers, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 2)
    page = open_run(browsers("ann"), run)
    shown(page, queries[0])
    # A page asks again every few seconds and would have back what is given back here.
    held: list[Route] = []
    page.route("**/leases", lambda route: held.append(route))
    with store_of(place.folder, run) as store:
        store.give_back(place.people["ann"], [queries[0].id])
    other = open_run(browsers("bea"), run)
    shown(other, queries[0])
    page.unroute("**/leases")
    for route in held:
        route.continue_()
    other.keyboard.press("ArrowDown")
    wait_for(other, place, run, 1)
    page.keyboard.press("ArrowUp")
    shown(page, queries[1])
    page.keyboard.press("ArrowUp")
    expect(page.locator("#notice")).to_contain_text("One answer was not taken. Somebody else has answered it by now.")
    found = wait_for(page, place, run, 2)
    assert {(answer.query_id, answer.annotator) for answer in found} == {
        (queries[0].id, place.people["bea"]),
        (queries[1].id, place.people["ann"]),
    }


def test_ratings_by_digits(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["rating"] * 4)
    page.goto(f"/answer?run={run}")
    for query, key in zip(queries, ("7", "0", "+"), strict=False):
        shown(page, query)
        page.keyboard.press(key)
    shown(page, queries[3])
    page.get_by_role("button", name="3", exact=True).click()
    found = wait_for(page, place, run, 4)
    assert [dict(answer.value) for answer in found] == [
        {"score": score, "low": 0.0, "high": 10.0} for score in (7.0, 0.0, 10.0, 3.0)
    ]


def test_good_and_bad_while_a_clip_plays(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["evaluation"] * 1)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    page.keyboard.press(" ")
    slider = page.get_by_label("Step of the clip")
    for step, key in ((20, "b"), (5, "g"), (10, "-"), (6, "+")):
        slider.fill(str(step))
        page.get_by_role("heading", level=2).focus()
        page.keyboard.press(key)
    expect(page.get_by_role("listitem")).to_have_count(4)
    page.keyboard.press("Backspace")
    page.get_by_role("button", name="Remove: Good at 0.05 s").click()
    page.keyboard.press("Control+Enter")
    (found,) = wait_for(page, place, run, 1)
    assert dict(found.value) == {"marks": [{"time_s": 0.04, "sign": 1}, {"time_s": 0.08, "sign": -1}]}


def test_a_critique_of_a_span(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["critique"] * 2)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_have_text("Write something first.")
    page.get_by_label("From").fill("4")
    page.get_by_label("To", exact=True).fill("9")
    page.get_by_label("Your words").fill("It leans ← too far, <b>here</b>")
    page.get_by_role("button", name="Good").click()
    page.get_by_role("button", name="Bad").click()
    page.keyboard.press("Control+Enter")
    shown(page, queries[1])
    box = page.locator(".strip").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.21, box["y"] + 10)
    page.mouse.up()
    page.get_by_label("Your words").fill("dragged")
    page.get_by_role("button", name="Send").click()
    found = wait_for(page, place, run, 2)
    assert dict(found[0].value) == {"text": "It leans ← too far, <b>here</b>", "start": 3, "end": 9, "sign": -1}
    assert dict(found[1].value) == {"text": "dragged", "start": 5, "end": 13}


def test_what_is_hard_to_judge_is_shown_slowly_and_with_the_numbers_behind_it(
    page: Page, place: Place, asking: Asking
) -> None:
    run, queries = asking(["rating"])
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    usual = page.locator(".pace").inner_text()
    expect(page.locator(".clips canvas")).to_have_count(1)
    with store_of(place.folder, run) as store:
        store.set_setting(AIDS, ["rating"])
    page.reload()
    shown(page, queries[0])
    expect(page.get_by_role("img", name="The clip: the numbers behind the clip")).to_be_visible()
    assert page.locator(".pace").inner_text() != usual


@pytest.mark.parametrize("kind", UNSAFE_KINDS)
def test_whoever_is_to_say_what_was_unsafe_is_asked_so(
    page: Page, place: Place, asking: Asking, kind: UnsafeKind
) -> None:
    run, (query,) = asking([kind])
    with store_of(place.folder, run) as store:
        store.set_setting(QUESTIONS, {kind: UNSAFE_QUESTIONS[kind]})
    page.goto(f"/answer?run={run}")
    shown(page, query)
    expect(page.locator("#question")).to_have_text(UNSAFE_QUESTIONS[kind])
    expect(page.locator("#question")).to_contain_text("unsafe")


@pytest.mark.parametrize("kind", ["preference", "rating"])
def test_what_is_hard_to_judge_comes_with_what_a_model_thinks_of_it(
    page: Page, place: Place, asking: Asking, kind: FeedbackKind
) -> None:
    run, (query,) = asking([kind])
    number = len(query.segment_ids)
    view = {
        "first_better": 0.8 if number == 2 else None,
        "best": [[5, 10], [15, 20]][:number],
        "worst": [[0, 5], [10, 15]][:number],
    }
    with store_of(place.folder, run) as store:
        store.set_setting(AIDS, [kind])
        store.set_setting(VIEWS, {query.id: view})
    page.goto(f"/answer?run={run}")
    shown(page, query)
    words = page.locator("#view-words")
    expect(words).not_to_be_visible()
    page.get_by_text("What a model thinks of it").click()
    expect(words).to_contain_text("A model learned this from earlier answers and may be wrong.")
    if kind == "rating":
        expect(words).to_contain_text("The clip: it likes 0.04 to 0.08 s most and 0 to 0.04 s least.")
        return
    first, second = ("right", "left") if is_flipped(query.id, place.people["ann"]) else ("left", "right")
    expect(words).to_contain_text(f"It expects that people prefer {first}, with 80 %.")
    expect(words).to_contain_text(f"{second.capitalize()}: it likes 0.12 to 0.16 s most and 0.08 to 0.12 s least.")


def test_an_answer_says_whether_the_models_view_was_there_and_opened(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 6)
    opened, folded, without, reloaded, undone, at_once = queries
    view = {"first_better": 0.8, "best": [[5, 10], [15, 20]], "worst": [[0, 5], [10, 15]]}
    with store_of(place.folder, run) as store:
        store.set_setting(AIDS, ["preference"])
        store.set_setting(VIEWS, {query.id: view for query in queries if query is not without})
    page.goto(f"/answer?run={run}")
    summary, words = page.get_by_text("What a model thinks of it"), page.locator("#view-words")
    shown(page, opened)
    summary.click()
    expect(words).to_be_visible()
    page.keyboard.press("ArrowLeft")
    shown(page, folded)
    expect(words).not_to_be_visible()
    page.keyboard.press("ArrowRight")
    shown(page, without)
    expect(page.locator("#view")).not_to_be_visible()
    page.keyboard.press("ArrowDown")
    shown(page, reloaded)
    summary.click()
    expect(words).to_be_visible()
    summary.click()
    expect(words).not_to_be_visible()
    wait_for(page, place, run, 3)
    all_is_sent(page)
    page.reload()
    shown(page, reloaded)
    page.keyboard.press("ArrowLeft")
    shown(page, undone)
    page.keyboard.press("ArrowLeft")
    shown(page, at_once)
    page.keyboard.press("Backspace")
    shown(page, undone)
    summary.click()
    expect(words).to_be_visible()
    page.keyboard.press("ArrowRight")
    shown(page, at_once)
    # Opened and answered at once: the browser tells of an opening later.
    page.evaluate(
        """() => { document.querySelector("#view summary").click();
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true })); }"""
    )
    expect(page.get_by_role("heading", name="Nothing to answer now")).to_be_visible()
    found = {answer.query_id: answer.view for answer in wait_for(page, place, run, 6)}
    assert found == {
        opened.id: {**view, "opened": True},
        folded.id: {**view, "opened": False},
        without.id: None,
        reloaded.id: {**view, "opened": True},
        undone.id: {**view, "opened": True},
        at_once.id: {**view, "opened": True},
    }


def test_a_correction_of_an_action(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["correction"])
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    for _ in range(3):
        page.keyboard.press(".")
    page.get_by_label("Action 2", exact=True).fill("0.5")
    page.get_by_label("Action 3, by slider").fill("-1")
    page.keyboard.press("Control+Enter")
    (found,) = wait_for(page, place, run, 1)
    assert found.value["step"] == 3
    assert found.value["action"][1:] == [0.5, -1.0]
    assert found.value["action"][0] == pytest.approx(float(HOPPER[0].action[3, 0]), abs=1e-4)


def test_a_correction_of_a_choice(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["correction"], stretches("CartPole-v1", 1, num_steps=8), "CartPole-v1")
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    page.get_by_role("group", name="Action").get_by_role("button", name="1").click()
    page.get_by_role("button", name="Send").click()
    (found,) = wait_for(page, place, run, 1)
    assert dict(found.value) == {"step": 0, "action": [1]}


@pytest.mark.parametrize(("env_id", "keys"), [("CartPole-v1", ["ArrowLeft", "ArrowRight"]), ("Hopper-v5", ["a", " "])])
def test_a_demonstration_by_keyboard(page: Page, place: Place, asking: Asking, env_id: str, keys: list[str]) -> None:
    run, queries = asking(["demonstration"], stretches(env_id, 1, num_steps=8), env_id)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    expect(page.get_by_text("0 of at most 2000 steps.")).to_be_visible()
    a_tick = {"CartPole-v1": 2, "Hopper-v5": 5}[env_id]
    for number, key in enumerate(keys, start=1):
        page.keyboard.press(key)
        expect(page.get_by_text(f"{number * a_tick} of at most 2000 steps.")).to_be_visible()
    page.keyboard.press("Control+Enter")
    (found,) = wait_for(page, place, run, 1)
    with store_of(place.folder, run) as store:
        segment: Any = store.segment(found.value["segment_id"])
    expected = {"CartPole-v1": [[0], [0], [1], [1]], "Hopper-v5": [[0, 0, -1]] * 5 + [[0, 0, 0]] * 5}[env_id]
    assert segment.action.tolist() == expected


def test_a_world_without_keys_is_left_to_others(page: Page, asking: Asking) -> None:
    run, queries = asking(["demonstration", "rating"], stretches("Humanoid-v5", 2, num_steps=4), "Humanoid-v5")
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    page.get_by_role("button", name="Leave it to others").click()
    shown(page, queries[1])


XSS = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"\'&amp;'


def test_texts_are_compared_criticised_and_corrected(page: Page, place: Place, asking: Asking) -> None:
    said = texts("Blue 🌍 sky", f"Grey {XSS}", "🌍 is round", "It is gren.", prompt=f"Why? {XSS}")
    run, queries = asking(["preference", "critique", "correction"], said)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    expect(page.locator(".prompt")).to_contain_text(XSS)
    expect(page.locator(".texts")).to_contain_text(XSS)
    assert violations(page) == []
    page.keyboard.press("ArrowDown")
    shown(page, queries[1])
    page.get_by_label("From").fill("1")
    page.get_by_label("To", exact=True).fill("4")
    expect(page.locator("mark")).to_have_text("🌍 is")
    page.evaluate(
        """() => { const text = document.querySelector(".texts .text").lastChild;
            const range = document.createRange(); range.setStart(text, 1); range.setEnd(text, 6);
            getSelection().removeAllRanges(); getSelection().addRange(range); }"""
    )
    expect(page.locator("mark")).to_have_text("round")
    page.get_by_label("Your words").fill(f"Roughly. {XSS}")
    page.keyboard.press("Control+Enter")
    shown(page, queries[2])
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("change it first")
    page.get_by_label("Better text").fill("It is green.")
    page.keyboard.press("Control+Enter")
    found = wait_for(page, place, run, 3)
    assert dict(found[1].value) == {"text": f"Roughly. {XSS}", "start": 5, "end": 10}
    assert dict(found[2].value) == {"text": "It is green."}
    assert page.evaluate("window.hacked") is None


def test_playback_by_keys(page: Page, asking: Asking) -> None:
    run, queries = asking(["preference"])
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    expect(page.locator(".pace")).to_have_text("Shown 10 times slower than real time.")
    page.keyboard.press("]")
    expect(page.locator(".pace")).to_have_text("Shown 5 times slower than real time.")
    page.keyboard.press("[")
    page.keyboard.press("[")
    expect(page.locator(".pace")).to_have_text("Shown 20 times slower than real time.")
    slider = page.get_by_label("Step of the clip")
    page.wait_for_function("() => document.querySelector('.transport input').value !== '0'")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    slider.fill("10")
    page.get_by_role("heading", level=2).focus()
    page.keyboard.press(",")
    page.keyboard.press(",")
    page.keyboard.press(".")
    expect(slider).to_have_value("9")
    expect(page.locator(".transport .number")).to_have_text("10 / 25")
    pictures = page.evaluate("[...document.querySelectorAll('.clips canvas')].map(c => c.toDataURL().length)")
    assert min(pictures) > 3000, "something is drawn on both"
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("10")
    expect(page.locator("#count")).to_be_hidden()


def test_who_wants_less_movement_starts_clips_themselves(browsers: Browsers, asking: Asking) -> None:
    run, queries = asking(["preference"])
    page = open_run(browsers("ann", reduced_motion="reduce"), run)
    shown(page, queries[0])
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.get_by_label("Step of the clip")).to_have_value("0")


def test_help_lists_the_keys_and_swallows_them(page: Page, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 2)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("undo the last answer")
    assert violations(page) == []
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#count")).to_be_hidden()


def test_new_questions_are_found_by_themselves(page: Page, place: Place, asking: Asking) -> None:
    run, _ = asking([])
    page.goto(f"/answer?run={run}")
    expect(page.get_by_role("heading", name="Nothing to answer now")).to_be_visible()
    assert violations(page) == []
    with store_of(place.folder, run) as store:
        ids = store.add_segments(HOPPER[:1])
        query = Query(id=f"late-{run}", kind="rating", segment_ids=(ids[0],), policy_version=0, asked_step=0)
        store.add_queries([query])
    shown(page, query)


def test_items_are_loaded_in_advance(page: Page, asking: Asking) -> None:
    run, queries = asking(["preference"] * 6)
    films: list[str] = []
    page.on("response", lambda response: films.append(response.url) if response.url.endswith("/film") else None)
    page.goto(f"/answer?run={run}")
    shown(page, queries[0])
    films_are_here(page, 8)
    assert {url.split("/")[-4] for url in films} >= {query.id for query in queries[:4]}


def test_runs_can_be_chosen(page: Page, asking: Asking) -> None:
    run, queries = asking(["preference"])
    asking(["preference"])
    page.goto("/answer")
    page.get_by_role("link", name=run, exact=True).click()
    shown(page, queries[0])
    page.goto("/answer?run=nowhere")
    expect(page.get_by_role("alert")).to_have_text("There is no such run, or it does not ask.")
    assert violations(page) == []


ONE_OF_EACH: tuple[FeedbackKind, ...] = (
    "preference",
    "rating",
    "evaluation",
    "critique",
    "correction",
    "demonstration",
)


@pytest.mark.parametrize(("scheme", "options"), [("light", {}), ("dark", PHONE)], ids=["wide", "phone"])
def test_every_kind_can_be_used_by_everybody(
    browsers: Browsers, asking: Asking, shots: Path | None, options: dict[str, Any], scheme: str
) -> None:
    context = browsers("ann", color_scheme=scheme, **options)
    for kind in ONE_OF_EACH:
        run, queries = asking([kind])
        page = open_run(context, run)
        shown(page, queries[0])
        if kind == "demonstration":
            expect(page.get_by_text("0 of at most 2000 steps.")).to_be_visible()
        if kind == "evaluation":
            page.keyboard.press("g")
            page.keyboard.press("b")
        assert violations(page) == [], kind
        assert not is_too_wide(page), kind
        look(page, shots, f"answer-{kind}-{scheme}-{'phone' if options else 'wide'}")
        page.close()


def test_a_phone_answers_by_touch(browsers: Browsers, place: Place, asking: Asking) -> None:
    run, queries = asking(["preference"] * 2)
    page = open_run(browsers("ann", **PHONE), run)
    shown(page, queries[0])
    for name in ("Left is better", "Right is better", "Equally good", "I cannot tell", "Pause"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 40
    button = page.get_by_role("button", name="Equally good")
    expect(button).to_be_in_viewport()
    button.tap()
    shown(page, queries[1])
    page.get_by_role("button", name="I cannot tell").tap()
    assert [answer.value["choice"] for answer in wait_for(page, place, run, 2)] == ["equal", "cant_tell"]

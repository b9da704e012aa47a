"""The operator's page, with a learner that really learns beside the service."""

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.nouns import Command
from heeler.core.rundir import RunDirectory
from tests.browser.conftest import Browsers
from tests.browser.helpers import PHONE, Place, is_too_wide, look, violations
from tests.unit.feedback.helpers import make_answer
from tests.unit.service.helpers import API, ENVIRONMENT, make_run, store_of

LEARN = """
import sys, time
from dataclasses import replace
from heeler.core.errors import RunStopped
from heeler.loop.running import run
from tests.unit.loop.tiny import tiny_preferences
config = tiny_preferences(checkpoint_every=10, keep_checkpoints=50)
# As long as the test needs it, and no faster than the charts: it is stopped by a button.
try:
    run(replace(config, total_steps=10**8), sys.argv[1], on_metrics=lambda row: time.sleep(0.05))
except RunStopped:
    sys.exit(7)
"""
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"


class Learner:
    """A learner's process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process = subprocess.Popen([sys.executable, "-c", LEARN, str(path)], env=ENVIRONMENT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def learner(place: Place) -> Iterator[Learner]:
    learner = Learner(place.folder / "pendulum")
    yield learner
    learner.end()


def opened(browsers: Browsers, name: str = "olga", run: str = "pendulum", **options: object) -> Page:
    page = browsers(name, **options).new_page()
    page.set_default_timeout(20_000)
    page.goto(f"/operate?run={run}")
    return page


def confirm(page: Page, button: str, yes: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.locator("dialog").get_by_role("button", name=yes, exact=True).click()
    expect(page.locator("dialog")).to_be_hidden()


def shown_points(page: Page) -> int:
    """Of the chart that shows fewest, as they are drawn and not as they are held."""
    return page.evaluate(
        "Math.min(...[...document.querySelectorAll('.chart:not([hidden]) .plot')].map("
        "(plot) => plot.calcdata?.[0].length ?? 0), 1e9) % 1e9"
    )


def await_points(page: Page, number: int) -> None:
    """Wait until every chart shows so many; Playwright's own way evaluates text, which the page's policy forbids."""
    deadline_s = time.monotonic() + 30
    while shown_points(page) < number:
        assert time.monotonic() < deadline_s, f"{shown_points(page)} points are shown"
        page.wait_for_timeout(100)


def test_a_run_is_watched_and_steered_by_buttons(
    browsers: Browsers, place: Place, learner: Learner, shots: Path | None
) -> None:
    page = browsers("olga").new_page()
    page.goto("/")
    expect(page).to_have_url(f"{place.url}/operate")
    page.get_by_role("link", name="pendulum").click(timeout=30_000)
    state, commands = page.locator("#run-state"), page.locator("#commands li")
    expect(state).to_have_text("learning", timeout=20_000)
    await_points(page, 4)
    await_points(page, shown_points(page) + 5)
    expect(page.locator("#clip canvas")).to_be_visible(timeout=30_000)
    look(page, shots, "operate-learning")

    confirm(page, "Pause", "Pause")
    expect(commands.first).to_contain_text("by olga; acknowledged", timeout=15_000)
    expect(commands.first).to_contain_text("paused at step")
    expect(state).to_have_text("paused", timeout=10_000)
    page.get_by_role("button", name="Roll back…").click()
    chosen = page.locator("dialog select option").first.get_attribute("value")
    page.locator("dialog").get_by_role("button", name="Roll back", exact=True).click()
    expect(commands.first).to_contain_text(f"to step {int(str(chosen)):,}.", timeout=15_000)
    page.get_by_role("button", name="Budget…").click()
    page.get_by_label("Comparisons in all").fill("0")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text("Give a whole number from 1 on.")
    page.get_by_label("Comparisons in all").fill("50")
    page.keyboard.press("Enter")
    expect(commands.first).to_contain_text("the budget is 50 comparisons; it was 24", timeout=15_000)
    look(page, shots, "operate-paused")
    confirm(page, "Resume", "Resume")
    expect(commands.first).to_contain_text("went on from step", timeout=15_000)
    expect(state).to_have_text("learning", timeout=10_000)
    confirm(page, "Stop", "Stop")
    expect(commands.first).to_contain_text("stopped at step", timeout=15_000)
    assert learner.process.wait(timeout=30) == 7
    expect(state).to_have_text("stopped", timeout=10_000)
    expect(page.locator("#alarms .alarm")).to_have_count(0)
    page.get_by_role("button", name="Look and check again").click()
    expect(page.locator("#audit-checks")).to_contain_text("The learner’s log is as it was written")
    expect(page.locator("#audit")).to_contain_text("run.stop")
    expect(page.locator("#audit")).to_contain_text("asked_by: olga")


def by_keyboard(page: Page, button: str) -> None:
    """Press a button and say yes, without a mouse."""
    page.get_by_role("button", name=button, exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_hidden(timeout=15_000)


def test_a_run_is_held_and_let_go_and_stopped_hard_by_keyboard(
    browsers: Browsers, place: Place, shots: Path | None
) -> None:
    learner = Learner(place.folder / "held")
    try:
        page = browsers("olga").new_page()
        page.goto("/operate")
        page.get_by_role("link", name="held").click(timeout=30_000)
        state, commands, alarms = page.locator("#run-state"), page.locator("#commands li"), page.locator("#alarms")
        expect(state).to_have_text("learning", timeout=20_000)
        by_keyboard(page, "Slow")
        expect(commands.first).to_contain_text("slowed since step", timeout=15_000)
        by_keyboard(page, "Freeze")
        expect(commands.first).to_contain_text("frozen since step", timeout=15_000)
        expect(alarms).to_contain_text("The run is frozen: it acts, and learns nothing", timeout=30_000)
        expect(page.get_by_role("button", name="Thaw")).to_be_visible(timeout=10_000)
        expect(page.get_by_role("button", name="Freeze")).to_have_count(0)
        expect(page.get_by_role("button", name="Slow")).to_have_count(0)
        by_keyboard(page, "Fall back")
        expect(commands.first).to_contain_text("refused: there is nothing trusted to fall back to", timeout=15_000)
        look(page, shots, "operate-held")
        by_keyboard(page, "Thaw")
        expect(commands.first).to_contain_text("learns freely; it was frozen", timeout=15_000)
        expect(page.get_by_role("button", name="Thaw")).to_have_count(0, timeout=10_000)
        by_keyboard(page, "Stop hard")
        expect(commands.first).to_contain_text(f"process {learner.process.pid} ended within", timeout=15_000)
        assert learner.process.wait(timeout=30) == -signal.SIGKILL
        expect(state).to_have_text("stopped", timeout=10_000)
        expect(alarms.locator(".alarm")).to_have_count(0, timeout=10_000)
        expect(page.locator("#audit")).to_contain_text("run.hard_stop")
    finally:
        learner.end()


def kept_run(folder: Path, name: str) -> Path:
    """A run without a learner, with checkpoints and metrics."""
    make_run(folder, name)
    path = folder / name
    for step in (1000, 2000, 3000):
        state = {"lineage": {"policy_version": step // 1000, "answers": step // 100}}
        RunDirectory(path).save_checkpoint(step, {"w": np.zeros(2)}, state, keep=9)
    rows = [
        {
            "step": 1000 * n,
            "update": n,
            "elapsed_s": 2.0 * n,
            "true_return_mean": 5 * n**0.5,
            "predicted_reward_mean": n % 7 / 50,
            "reward_model_validation_accuracy": 0.8 if n < 250 else 0.6,
            "reward_model_train_accuracy": 0.9,
            "labels_used": 2 * n,
            "asked": 2 * n + 5,
            "answered": 2 * n,
            "fits": n // 10,
            "kl": 0.01,
        }
        for n in range(1, 301)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_two_people_release_a_checkpoint_and_one_takes_it_back(browsers: Browsers, place: Place) -> None:
    kept_run(place.folder, "releasing")
    olga = opened(browsers, "olga", "releasing")
    olga.get_by_role("button", name="Propose a checkpoint…").click()
    olga.locator("dialog select").select_option("2000")
    olga.locator("dialog").get_by_role("button", name="Propose").dblclick()
    row = olga.locator("#releases tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("proposed")
    expect(row).to_contain_text("Another person approves it.")
    ada = opened(browsers, "ada", "releasing")
    approve = "Approve the release of step 2,000"
    ada.get_by_role("button", name=approve).click()
    ada.locator("dialog").get_by_role("button", name="Approve", exact=True).click()
    expect(ada.locator("#releases tbody tr")).to_contain_text("in use")
    expect(row).to_contain_text("in use", timeout=10_000)
    olga.get_by_role("button", name="Withdraw the release of step 2,000").click()
    olga.locator("dialog").get_by_role("button", name="Withdraw", exact=True).click()
    expect(row).to_contain_text("withdrawn")
    expect(olga.locator("#audit")).to_contain_text("release.withdraw")


def test_a_double_click_and_a_lost_answer_are_one_command(browsers: Browsers, place: Place) -> None:
    kept_run(place.folder, "twice")
    page = opened(browsers, "olga", "twice")
    lost: list[str] = []

    def lose(route) -> None:
        """The service does it, and its answer is lost on the way."""
        if route.request.method != "POST" or lost:
            route.continue_()
            return
        lost.append(route.request.post_data_json["id"])
        route.fetch()
        route.abort()

    page.route("**/commands", lose)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#ask-words")).to_contain_text("No learner is running now")
    page.locator("dialog").get_by_role("button", name="Pause").dblclick()
    expect(page.locator("#commands li")).to_have_count(1)
    expect(page.locator("#commands li")).to_contain_text("waits Pause: asked")
    with store_of(place.folder, "twice") as store:
        assert [command.id for _, command in store.commands(limit=9)] == lost


def test_words_of_others_are_text(browsers: Browsers, place: Place) -> None:
    path = kept_run(place.folder, "evil")
    (path / "config.yaml").write_text(json.dumps({"recipe": EVIL, "env": {"id": EVIL}, "seed": 1, "preferences": {}}))
    with store_of(place.folder, "evil") as store:
        command = Command(id=str(uuid.uuid4()), kind="pause", person=EVIL.replace(" ", "_"), asked_unix_s=1.0)
        store.ask_command(command)
        store.finish_command(command.id, EVIL)
    AuditLog(path / AUDIT_NAME).append("learner", EVIL, EVIL, **{EVIL: EVIL})
    ada = browsers("ada")
    people = ada.request.get(f"{API}/people").json()["items"]
    omar = next((one for one in people if one["name"] == EVIL), None)
    if omar is None:
        body = {"name": EVIL, "role": "operator"}
        answer = ada.request.post(f"{API}/people", data=body, headers={"Origin": place.url})
        assert answer.ok, answer.text()
        omar = answer.json()["person"]
    AuditLog(path / AUDIT_NAME).append(omar["id"], "run.stop", "evil")
    page = opened(browsers, "olga", "evil")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for place_of in ("#run-about", "#commands", "#audit"):
        expect(page.locator(place_of)).to_contain_text(EVIL)
    expect(page.locator("#clip")).to_contain_text("cannot be drawn")
    page.goto("/operate")
    expect(page.locator("#run-table")).to_contain_text(EVIL)
    assert page.locator("main img, main script").count() == 0
    assert dialogs == []


def test_a_log_that_was_tampered_with_is_seen(browsers: Browsers, place: Place) -> None:
    path = kept_run(place.folder, "tampered")
    AuditLog(path / AUDIT_NAME).append("learner", "run.begin", "tampered")
    (path / AUDIT_NAME).write_bytes((path / AUDIT_NAME).read_bytes().replace(b"begin", b"BEGIN"))
    page = opened(browsers, "olga", "tampered")
    expect(page.locator("#audit-checks .notice.bad")).to_contain_text("was tampered with or damaged")


def test_annotators_do_not_come_here(browsers: Browsers, place: Place) -> None:
    page = browsers("ann").new_page()
    answer = page.goto("/operate")
    assert answer is not None
    assert answer.status == 403
    page.goto("/")
    expect(page).to_have_url(f"{place.url}/answer")
    expect(page.get_by_role("link", name="Operate")).to_have_count(0)


def test_a_run_that_is_not_there_is_told(browsers: Browsers) -> None:
    page = opened(browsers, "olga", "nowhere")
    expect(page.locator("#notice")).to_have_text("there is no run 'nowhere'")


@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_used_by_everybody(
    browsers: Browsers, place: Place, shots: Path | None, options: dict[str, object], scheme: str
) -> None:
    name = f"shown-{scheme}-{'phone' if options else 'wide'}"
    path = kept_run(place.folder, name)
    AuditLog(path / AUDIT_NAME).append("learner", "run.begin", name, step=0)
    page = opened(browsers, "olga", name, color_scheme=scheme, **options)
    expect(page.locator(".alarm")).to_have_count(2)
    expect(page.locator("#audit tbody tr")).to_have_count(1)
    await_points(page, 4)
    look(page, shots, f"operate-{name}")
    assert violations(page) == []
    assert not is_too_wide(page)
    page.get_by_role("button", name="Roll back…").focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_visible()
    look(page, shots, f"operate-dialog-{name}")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Roll back…")).to_be_focused()


@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
def test_figures_of_a_language_model_are_shown(
    browsers: Browsers, place: Place, shots: Path | None, options: dict[str, object]
) -> None:
    name = f"language-{'phone' if options else 'wide'}"
    path = kept_run(place.folder, name)
    rows = [
        {
            "step": 256 * n,
            "update": n,
            "elapsed_s": 40.0 * n,
            "reward": n / 40,
            "held_out": 0.73 if n % 2 else None,
            "costs/toxicity/mean": 0.066 / n,
            "costs/toxicity/budget": 0.005,
            "completions/mean_length": 18 - n / 2,
            "pairs": 4 * n,
            "asked": 4 * n,
            "kl": 1.0,
        }
        for n in range(1, 13)
    ]
    told = [{key: value for key, value in row.items() if value is not None} for row in rows]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    page = opened(browsers, "olga", name, **options)
    await_points(page, 4)
    look(page, shots, f"operate-{name}")
    figures = page.locator(".chart:not([hidden])")
    expect(figures.locator("figcaption")).to_have_text(
        [
            "Reward of an answer",
            "Held-out comparisons",
            "Toxic answers",
            "Length of answers (tokens)",
            "Comparisons",
            "Speed (steps a second)",
            "Change of the policy (KL)",
        ]
    )
    expect(figures.nth(1)).to_contain_text("73 %")
    expect(figures.nth(2).locator("td")).to_have_text(["0.6 %", "0.5 %"])
    # What a language model's run never has is not held against it as a dash.
    expect(figures.nth(4).locator("th")).to_have_text(["learned from", "asked"])
    assert not is_too_wide(page)


def test_cards_beside_each_other_begin_at_the_same_height(browsers: Browsers, place: Place) -> None:
    kept_run(place.folder, "rows")
    page = opened(browsers, "olga", "rows")
    await_points(page, 4)
    for cards in (".columns > .card", ".chart:not([hidden])"):
        tops = page.locator(cards).evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().top)")
        assert tops[0] == pytest.approx(tops[1], abs=0.5), cards


def test_a_stale_reward_model_is_shown_until_a_checkpoint_did_without(
    place: Place, browsers: Browsers, shots: Path | None
) -> None:
    path = kept_run(place.folder, "stale")
    directory = RunDirectory(path)
    with store_of(place.folder, "stale") as store:
        store.add_feedback([make_answer(query) for query in store.open_queries(2)])
        directory.save_checkpoint(4000, {"w": np.zeros(2)}, {"preferences": {"taken": [[1, "q"], [2, "r"]]}}, keep=9)
        store.withdrawals.forget("ann", "remove")
    page = opened(browsers, "olga", "stale")
    alarm = page.locator(".alarm.warn", has_text="learned from 2 answers that were withdrawn")
    expect(alarm).to_contain_text("train again from step 3,000")
    look(page, shots, "operate-stale")
    directory.save_checkpoint(5000, {"w": np.zeros(2)}, {"preferences": {"taken": []}}, keep=9)
    expect(alarm).to_have_count(0, timeout=15_000)

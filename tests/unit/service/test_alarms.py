"""Alarms on planted series, and none on a run that goes well."""

import math
from dataclasses import replace
from typing import Any

import pytest

from heeler.service.alarms import NUM_ROWS, Alarm, RunFacts, alarms

NOW = 1_000_000.0
GOOD = RunFacts(
    state="learning",
    now_unix_s=NOW,
    last_row_unix_s=NOW - 1,
    asks_people=True,
    num_open_queries=5,
    last_answer_unix_s=NOW - 60,
    free_bytes=100 << 30,
    stale_reward_model=None,
    last_act="run.begin",
)

FLAT = {"predicted_reward_mean": lambda n: 0.0}


def clean(number: int = NUM_ROWS, **series: Any) -> list[dict[str, Any]]:
    """Rows of a run that goes well, noise included; `series` plants others: a function of the row's number."""
    rows = []
    elapsed_s = 0.0
    for n in range(number):
        wobble = math.sin(n * 12.9898) * 43758.5453 % 1 - 0.5
        update_s = series["update_s"](n) if "update_s" in series else 1 + 0.3 * wobble + 2 * (n % 10 == 0)
        elapsed_s += update_s
        row = {
            "step": 1000 * (n + 1),
            "update": n + 1,
            "elapsed_s": elapsed_s,
            "kl": 0.01 + 0.008 * wobble,
            "value_loss": 0.2 + 0.1 * wobble,
            "labels_used": min(700, 20 + 2 * n),
            "fits": 1 + n // 10,
            "reward_model_validation_accuracy": 0.8 + 0.08 * (math.sin((n // 10) * 78.233) * 4375.85 % 1 - 0.5),
            "predicted_reward_mean": n / 100 + 0.3 * wobble,
        }
        row |= {name: plant(n) for name, plant in series.items() if name != "update_s"}
        rows.append(row)
    return rows


def names(rows: list[dict[str, Any]], facts: RunFacts = GOOD) -> list[str]:
    return [alarm.name for alarm in alarms(rows, facts)]


def only(rows: list[dict[str, Any]], facts: RunFacts = GOOD) -> Alarm:
    (alarm,) = alarms(rows, facts)
    assert alarm.words.endswith(".")
    assert alarm.advice.endswith(".")
    return alarm


@pytest.mark.parametrize("number", [0, 1, 2, 9, 31, 75, NUM_ROWS])
def test_a_run_that_goes_well_raises_none(number):
    assert names(clean(number)) == []


@pytest.mark.parametrize("state", ["learning", "waiting for people", "paused", "finished", "stopped"])
def test_no_state_by_itself_is_an_alarm(state):
    facts = replace(GOOD, state=state, last_act="run.stop" if state == "stopped" else "run.begin")
    assert names(clean(), facts) == []


def test_a_run_on_the_true_reward_raises_none():
    rows = [{"step": n, "update": n, "elapsed_s": float(n), "kl": 0.01, "value_loss": 1.0} for n in range(1, 300)]
    assert names(rows, replace(GOOD, asks_people=False, last_answer_unix_s=None)) == []


def test_a_learner_that_is_silent_for_long_has_stalled():
    alarm = only(clean(), replace(GOOD, last_row_unix_s=NOW - 200))
    assert (alarm.name, alarm.severity, alarm.since_step) == ("stalled", "bad", 1000 * NUM_ROWS)
    assert "3 minutes" in alarm.words
    assert names(clean(), replace(GOOD, last_row_unix_s=NOW - 100)) == []
    slow = clean(update_s=lambda n: 60.0)
    assert names(slow, replace(GOOD, last_row_unix_s=NOW - 200)) == [], "an update may take minutes"


def test_a_paused_run_has_not_stalled():
    assert names(clean(), replace(GOOD, state="paused", last_row_unix_s=NOW - 9999)) == []


@pytest.mark.parametrize(
    ("act", "words"), [("run.diverge", "diverged"), ("run.begin", "killed"), ("command.obeyed", "killed")]
)
def test_a_learner_that_nobody_stopped_is_missed(act, words):
    alarm = only(clean(), replace(GOOD, state="stopped", last_act=act))
    assert (alarm.name, alarm.severity) == ("learner_gone", "bad")
    assert words in alarm.words


def test_agreement_below_chance_and_falling():
    low = only(clean(reward_model_validation_accuracy=lambda n: 0.8 if n < 300 else 0.45, **FLAT), GOOD)
    assert (low.name, low.severity) == ("agreement", "bad")
    assert low.since_step == 371_000
    fallen = alarms(clean(reward_model_validation_accuracy=lambda n: 0.85 if n < 350 else 0.65, **FLAT), GOOD)
    assert [(alarm.name, alarm.severity) for alarm in fallen] == [("agreement", "warn")]
    few = clean(reward_model_validation_accuracy=lambda n: 0.3, labels_used=lambda n: 60, **FLAT)
    assert names(few) == [], "of a handful of answers it says nothing"


def test_one_bad_fit_is_noise():
    assert names(clean(reward_model_validation_accuracy=lambda n: 0.3 if n >= 390 else 0.8)) == []


def test_reward_that_rises_while_agreement_falls():
    rows = clean(
        reward_model_validation_accuracy=lambda n: 0.8 - 0.12 * n / 400, predicted_reward_mean=lambda n: n / 20
    )
    alarm = only(rows)
    assert (alarm.name, alarm.severity) == ("reward_without_agreement", "bad")
    flat = clean(reward_model_validation_accuracy=lambda n: 0.8 - 0.12 * n / 400, predicted_reward_mean=lambda n: 0.1)
    assert names(flat) == []


def test_questions_that_nobody_answers():
    silent = replace(GOOD, last_answer_unix_s=NOW - 3600)
    assert only(clean(), silent).severity == "warn"
    waiting = only(clean(), replace(silent, state="waiting for people"))
    assert (waiting.name, waiting.severity) == ("unanswered", "bad")
    assert "60 minutes" in waiting.words
    for calm in ({"asks_people": False}, {"num_open_queries": 0}, {"state": "paused"}, {"state": "finished"}):
        assert names(clean(), replace(silent, **calm)) == []


@pytest.mark.parametrize(("name", "value"), [("kl", 0.2), ("value_loss", 9.0)])
def test_spikes_that_last_and_spikes_that_do_not(name, value):
    usual = {"kl": 0.01, "value_loss": 0.2}[name]
    lasting = only(clean(**{name: lambda n: value if n >= 390 else usual}))
    assert (lasting.name, lasting.severity, lasting.since_step) == ("unstable", "warn", 391_000)
    assert names(clean(**{name: lambda n: value if n >= 397 else usual})) == []


def test_a_small_kl_that_grows_is_no_alarm():
    assert names(clean(kl=lambda n: 0.03 if n >= 390 else 0.001)) == []


def test_what_monitors_found_lately_is_told_by_name_with_its_newest_step():
    rows = clean()
    rows[-70] |= {"findings": 1, "findings/dynamics": 1}
    assert names(rows) == []
    rows[-9] |= {"findings": 2, "findings/kl_spike": 1, "findings/gradients": 1}
    rows[-3] |= {"findings": 1, "findings/kl_spike": 1}
    alarm = only(rows)
    assert (alarm.name, alarm.severity, alarm.since_step) == ("found", "warn", rows[-9]["step"])
    assert f"kl_spike (step {rows[-3]['step']:,})" in alarm.words
    assert "dynamics" not in alarm.words


def test_a_run_that_takes_twice_as_long():
    alarm = only(clean(update_s=lambda n: 2.5 if n >= 385 else 1.0))
    assert (alarm.name, alarm.severity) == ("slower", "warn")
    assert names(clean(update_s=lambda n: 1.5 if n >= 385 else 1.0)) == []


def test_a_reward_that_learned_from_withdrawn_answers():
    alarm = only(clean(), replace(GOOD, stale_reward_model="the reward model learned from 1 answer that was withdrawn"))
    assert (alarm.name, alarm.severity) == ("stale_reward", "warn")
    assert alarm.words.startswith("The reward model learned from 1 answer")


def test_a_disk_that_is_nearly_full():
    assert only(clean(), replace(GOOD, free_bytes=1 << 30)).severity == "warn"
    assert only(clean(), replace(GOOD, free_bytes=1 << 20)).severity == "bad"


def test_the_bad_ones_come_first():
    rows = clean(update_s=lambda n: 2.5 if n >= 385 else 1.0)
    assert [alarm.severity for alarm in alarms(rows, replace(GOOD, free_bytes=1))] == ["bad", "warn"]


@pytest.mark.parametrize(
    ("level", "severity", "words"),
    [("slow", "warn", "learns slowly"), ("freeze", "warn", "is frozen"), ("fall_back", "bad", "has fallen back")],
)
def test_a_run_that_is_held_is_told_for_as_long_as_it_is(level, severity, words):
    held = {"level": level, "by": "a rule", "reason": "cost_drift: off", "since_step": 5000, "trusted": None}
    alarm = only(clean(), replace(GOOD, held=held))
    assert (alarm.name, alarm.severity, alarm.since_step) == ("held", severity, 5000)
    assert words in alarm.words
    assert "a rule: cost_drift: off" in alarm.words
    assert names(clean(), replace(GOOD, held=held, state="finished")) == []


def test_a_warning_stands_while_its_step_is_among_the_newest():
    rows = clean()
    warned = {"step": rows[-3]["step"], "reason": "gradients: off"}
    alarm = only(rows, replace(GOOD, warned=warned))
    assert (alarm.name, alarm.severity) == ("warned", "warn")
    assert "gradients: off" in alarm.words
    assert names(rows, replace(GOOD, warned=warned | {"step": 0})) == []
    assert names([], replace(GOOD, warned=warned)) == []


def test_a_run_that_somebody_stopped_hard_raises_none():
    assert names(clean(), replace(GOOD, state="stopped", last_act="run.hard_stop")) == []


def test_a_change_of_what_people_want_is_told_for_a_while():
    rows = clean(100)
    facts = replace(GOOD, drifted={"step": 90_000, "reason": "what people want has changed after answer 300"})
    assert only(rows, facts).name == "drifted"
    assert names(rows, replace(facts, drifted={"step": 10_000, "reason": "long ago"})) == []


def test_groups_who_want_different_things_are_told_of_for_a_while():
    rows = clean(100)
    facts = replace(GOOD, grouped={"step": 90_000, "reason": "people want different things: 2 groups were found"})
    assert only(rows, facts).name == "grouped" and "2 groups" in only(rows, facts).words
    assert names(rows, replace(facts, grouped={"step": 10_000, "reason": "long ago"})) == []


def test_a_run_that_only_people_who_are_held_out_have_answered_needs_others():
    rows, facts = clean(100), replace(GOOD, state="waiting for people", only_held_out=12)
    alarm = only(rows, facts)
    assert (alarm.name, alarm.severity, alarm.since_step) == ("only_held_out", "bad", 100_000)
    assert alarm.words.startswith("All 12 answers that came are by people who are held out")
    assert "preferences.held_out_people at 0" in alarm.advice
    one = only([], replace(facts, state="learning", only_held_out=1))
    assert one.words.startswith("The one answer that came is by people")
    for quiet in (replace(facts, state="finished"), replace(facts, state="paused"), replace(facts, only_held_out=None)):
        assert names(rows, quiet) == []


def test_people_who_cannot_be_trusted_are_told_of_and_careless_ones_are_not():
    people = {"people": lambda n: 20.0, "people_careless": lambda n: 5.0}
    assert names(clean(100, **people)) == []
    alarm = only(clean(100, **people, people_hostile=lambda n: 2.0, people_colluding=lambda n: 3.0))
    assert alarm.name == "untrusted" and "2 hostile, 3 colluding" in alarm.words

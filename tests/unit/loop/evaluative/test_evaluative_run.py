"""Runs that learn from good and bad: whole, cut short, steered, and with people who watch."""

import itertools
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from heeler.algorithms.tamer import TAMERConfig
from heeler.core.audit import AUDIT_NAME, entries, verify
from heeler.core.errors import ConfigError, DataError, RunError, RunStopped
from heeler.core.nouns import Command
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.stores import open_store
from heeler.loop.config import from_dict, to_dict
from heeler.loop.evaluative.config import evaluative_config_from_dict
from heeler.loop.evaluative.outcome import learned_in, saved_outcome
from heeler.loop.evaluative.run import TRAINER, EvaluativeRun
from heeler.loop.evaluative.running import resume_evaluative, run_evaluative
from heeler.loop.evaluative.stretches import Stretches
from heeler.loop.report import write_report
from tests.unit.loop.evaluative.tiny import live_queries, press, tiny_evaluative, watch

METHODS = ("tamer", "deep-tamer", "coach", "deep-coach")


def tensors_of(path):
    checkpoint, refused = RunDirectory(path).newest_checkpoint()
    assert checkpoint is not None and not refused
    return {name: array.tobytes() for name, array in checkpoint.tensors.items() if not name.startswith("shown.")}


def rows_of(path):
    return [{k: v for k, v in row.items() if k != "elapsed_s"} for row in RunDirectory(path).metrics()]


@pytest.mark.parametrize("method", METHODS)
def test_a_run_from_its_beginning_to_its_end(tmp_path, method):
    result = run_evaluative(tiny_evaluative(method), tmp_path / "run")
    rows = rows_of(tmp_path / "run")
    assert [row["step"] for row in rows] == list(range(3, 37, 3))
    assert rows[-1]["minutes"] == pytest.approx(36 / 2 / 60)
    assert rows[-1]["signals"] > 3
    assert result.outcome.num_signals == rows[-1]["signals"] - rows[-1]["unheard_signals"]
    assert saved_outcome(RunDirectory(tmp_path / "run")) == result.outcome
    assert verify(tmp_path / "run" / AUDIT_NAME).problems == ()
    assert [entry.act for entry in entries(tmp_path / "run" / AUDIT_NAME, after=0, limit=100)] == [
        "run.begin",
        "run.finish",
    ]
    page = write_report(tmp_path / "run").read_text()
    assert method in page and "a scripted trainer" in page
    assert learned_in(tmp_path / "run").config.method == method


def test_what_a_scripted_trainer_pressed_stands_in_the_store(tmp_path):
    run_evaluative(tiny_evaluative(), tmp_path / "run")
    with open_store(RunDirectory(tmp_path / "run")) as store:
        answers = [answer for _, answer in store.feedback_after(0, limit=1000, up_to_step=None)]
        queries = {query.id: query for query in live_queries(store)}
        segments = store.segments(query.segment_ids[0] for query in queries.values())
    assert {answer.annotator for answer in answers} == {TRAINER}
    for answer in answers:
        (mark,) = answer.value["marks"]
        segment = segments[queries[answer.query_id].segment_ids[0]]
        assert 0 <= mark["time_s"] <= len(segment) / 2 and mark["sign"] in (-1, 1)
    # Stretches lie end to end, and none goes on beyond its episode.
    firsts = sorted((int(query.score), len(segments[query.segment_ids[0]])) for query in queries.values())
    assert all(first + long == later for (first, long), (later, _) in itertools.pairwise(firsts))
    assert sum(long for _, long in firsts) == 36


@pytest.mark.parametrize("method", ["tamer", "deep-coach"])
@pytest.mark.parametrize("cut_after", [1, 5, 9])
def test_a_run_that_is_cut_short_and_gone_on_with_is_the_run_that_never_stopped(tmp_path, method, cut_after):
    config = tiny_evaluative(method)
    run_evaluative(config, tmp_path / "whole")

    class Cut(BaseException):
        """As a kill: nobody catches it."""

    def cut(row):
        if row["update"] == cut_after:
            raise Cut

    with pytest.raises(Cut):
        run_evaluative(config, tmp_path / "cut", on_metrics=cut)
    resume_evaluative(tmp_path / "cut")
    assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")
    assert tensors_of(tmp_path / "cut") == tensors_of(tmp_path / "whole")


# People


def people_run(tmp_path, **settings):
    """A run that is stepped by hand, while somebody watches; and its store."""
    config = tiny_evaluative(teacher="people", **settings)
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    (directory.path / "checkpoints").mkdir(exist_ok=True)
    store = open_store(directory)
    run = EvaluativeRun(directory, config, store)
    run.begin()
    watch(directory.path)
    return run, store


def turn(run):
    """One turn, whatever the clock says."""
    run._due_s = 0.0
    row = run.iterate()
    assert row is not None
    return row


def test_nothing_is_acted_while_nobody_watches(tmp_path):
    run, store = people_run(tmp_path)
    watched = run.directory.path / "media" / ".watched"
    watched.unlink()
    assert run.iterate() is None and run.step == 0
    assert store.setting("waiting_for_people", None) is not None
    watch(run.directory.path)
    assert turn(run)["step"] == 3
    assert store.setting("waiting_for_people", None) is None
    store.close()


def test_it_is_shown_no_faster_than_people_were_promised(tmp_path):
    run, store = people_run(tmp_path, steps_per_second=30.0)
    began_s, num_turns = time.monotonic(), 0
    while num_turns < 5:
        num_turns += run.iterate() is not None
    # Five turns of three steps at 30 a second; the first is shown at once.
    assert time.monotonic() - began_s >= 4 * 0.1 - 0.06
    store.close()


def test_presses_are_learned_from_by_the_clock_of_what_was_shown(tmp_path):
    """Whenever they come in: two turns later they are credited to the same steps."""
    run, store = people_run(tmp_path, steps_per_second=2.0)
    for _ in range(2):
        turn(run)
    query = live_queries(store)[0]
    press(store, query, [(1.4, 1)], key=1)
    turn(run)
    before = run.session.state.weight_LF.clone()
    turn(run)
    assert run.num_signals == 1 and run.num_good == 1
    assert (run.session.state.weight_LF == before).all()
    # Reactions of .2 to 2 s before 1.4 s: the first three steps, of half a second each.
    assert float(before.abs().sum()) > 0
    store.close()


def test_the_same_press_twice_is_one_press(tmp_path):
    run, store = people_run(tmp_path)
    turn(run)
    for _ in range(2):
        press(store, live_queries(store)[0], [(0.5, -1)], key=1)
    turn(run)
    assert run.num_signals == 1 and run.num_good == 0
    store.close()


def test_several_people_may_say_something_of_one_stretch_and_each_more_than_once(tmp_path):
    run, store = people_run(tmp_path)
    turn(run)
    query = live_queries(store)[0]
    press(store, query, [(0.3, 1)], key=1)
    press(store, query, [(0.35, -1)], key=2)
    press(store, query, [(0.4, 1)], key=3, annotator="bea")
    turn(run)
    assert (run.num_signals, run.num_good) == (3, 2)
    store.close()


def test_marks_outside_the_stretch_are_refused_and_told(tmp_path):
    run, store = people_run(tmp_path)
    turn(run)
    press(store, live_queries(store)[0], [(99.0, 1)], key=1)
    turn(run)
    assert run.num_signals == 0
    (words,) = run.refused
    assert "value.marks[0].time_s must be at most" in words and "got 99" in words
    store.close()


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ([(1.0, 1), (0.5, 1)], r"value.marks\[1\].time_s: expected at least 1"),
        ([(-0.5, 1)], r"value.marks\[0\].time_s"),
        ([(float("nan"), 1)], "finite number"),
        ([(0.5, 2)], r"value.marks\[0\].sign: expected -1 or 1"),
    ],
)
def test_marks_that_cannot_be_are_refused_by_the_store(tmp_path, marks, words):
    run, store = people_run(tmp_path)
    turn(run)
    with pytest.raises(DataError, match=words):
        press(store, live_queries(store)[0], marks, key=1)
    store.close()


def test_what_is_watched_live_is_put_to_nobody_else(tmp_path):
    run, store = people_run(tmp_path)
    turn(run)
    store.add_annotator("bea", "person")
    assert store.open_queries(10) == []
    assert store.lease("bea", 10, overlap=3, duration_s=60) == []
    assert store.answering()[0] == 0
    store.close()


def test_killed_after_saving_and_before_showing_the_stretch_is_shown_all_the_same(tmp_path, monkeypatch):
    run, store = people_run(tmp_path)
    turn(run)
    monkeypatch.setattr(EvaluativeRun, "_publish", lambda self: None)
    turn(run)
    shown = len(live_queries(store))
    monkeypatch.undo()
    again = EvaluativeRun(run.directory, run.config, store)
    again.begin()
    assert again.step == 6
    newest = live_queries(store)
    assert len(newest) > shown
    # What is said of it is about the steps that the run remembers.
    press(store, newest[-1], [(0.2, 1)], key=7)
    turn(again)
    assert again.num_signals == 1
    store.close()


def test_presses_while_the_learner_was_away_are_learned_when_it_is_back(tmp_path):
    run, store = people_run(tmp_path)
    for _ in range(2):
        turn(run)
    press(store, live_queries(store)[-1], [(0.25, 1)], key=1)
    again = EvaluativeRun(run.directory, run.config, store)
    again.begin()
    turn(again)
    assert again.num_signals == 1 and again.num_unheard == 0
    # Once: a third learner goes on after them.
    third = EvaluativeRun(run.directory, run.config, store)
    third.begin()
    turn(third)
    assert third.num_signals == 1
    store.close()


def test_what_is_said_while_it_is_frozen_is_not_learned(tmp_path):
    run, store = people_run(tmp_path)
    turn(run)
    assert "frozen" in run.hold("freeze", by="a person", reason="asked for")
    press(store, live_queries(store)[0], [(0.3, 1)], key=1)
    turn(run)
    run.thaw()
    turn(run)
    assert run.num_signals == 0
    for level in ("slow", "fall_back"):
        with pytest.raises(ConfigError, match="can be frozen"):
            run.hold(level, by="a person", reason="asked for")
    with pytest.raises(ConfigError, match="no comparisons"):
        run.set_budget(3)
    store.close()


def test_rolled_back_it_forgets_what_was_said_of_later_stretches(tmp_path):
    run, store = people_run(tmp_path)
    for number in range(3):
        turn(run)
        press(store, live_queries(store)[-1], [(0.2, 1)], key=number)
    turn(run)
    assert run.num_signals == 3
    run.roll_back(6)
    assert (run.step, run.num_signals) == (6, 1)
    turn(run)
    assert len(rows_of(run.directory.path)) == 3
    store.close()


def test_paused_and_stopped_by_an_operator(tmp_path):
    """Commands are obeyed between turns, and stand in the audit log."""
    path = tmp_path / "run"

    def told(row):
        if row["update"] == 2 and not asked:
            asked.append(True)
            with Store.open(path / "heeler.db", segments_dir=None) as store:
                for number, kind in enumerate(("pause", "resume", "stop")):
                    key = f"00000000-0000-0000-0000-{number:012d}"
                    store.ask_command(Command(id=key, kind=kind, person="olga", asked_unix_s=time.time()))

    asked = []
    with pytest.raises(RunStopped, match="olga stopped the run at step 6"):
        run_evaluative(tiny_evaluative(), path, on_metrics=told)
    acts = [entry.act for entry in entries(path / AUDIT_NAME, after=0, limit=100)]
    assert acts == ["run.begin", *["command.obeyed"] * 3, "run.stop"]
    assert resume_evaluative(path).outcome.step == 36


def test_people_press_while_the_run_goes_on_by_itself(tmp_path):
    """The learner in its own thread, as fast as people were promised; presses come in through another connection."""
    path = tmp_path / "run"
    config = tiny_evaluative(teacher="people", steps_per_second=60.0, total_steps=90)
    begun = threading.Event()
    learner = threading.Thread(target=run_evaluative, args=(config, path), kwargs={"on_begin": begun.set})
    learner.start()
    assert begun.wait(20)
    pressed, deadline_s = 0, time.monotonic() + 60
    with Store.open(path / "heeler.db", segments_dir=path / "segments") as store:
        while learner.is_alive() and time.monotonic() < deadline_s:
            watch(path)
            for query in live_queries(store)[pressed:]:
                pressed += 1
                press(store, query, [(0.04, 1 if pressed % 2 else -1)], key=pressed)
            time.sleep(0.02)
    learner.join(20)
    assert not learner.is_alive()
    row = rows_of(path)[-1]
    assert row["step"] == 90
    assert row["signals"] >= 0.7 * pressed
    assert row["minutes"] == pytest.approx(90 / 60 / 60)


# Bad input


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps_per_second": 0.0}, "steps_per_second must be above 0"),
        ({"steps_per_second": float("nan")}, "steps_per_second must be above 0"),
        ({"total_steps": 2}, "total_steps must be at least num_steps"),
        ({"num_steps": 0}, "num_steps must be >= 1"),
        ({"coach": tiny_evaluative("coach").coach}, "exactly one of"),
        ({"tamer": None}, "exactly one of"),
        ({"store_patience_s": 3.0}, "store_patience_s would be ignored"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        tiny_evaluative(**settings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "Pendulum-v1", "kwargs": {}}, "needs a world with Discrete actions"),
        ({"id": "Acrobot-v1", "kwargs": {}}, "no scripted trainer knows"),
        ({"num_envs": 2}, "num_envs must be 1"),
    ],
)
def test_worlds_that_cannot_be_are_refused_before_anything_is_written(tmp_path, change, words):
    with pytest.raises(ConfigError, match=words):
        config = tiny_evaluative()
        tamer = TAMERConfig()
        run_evaluative(replace(config, env=replace(config.env, **change), tamer=tamer), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_box_actions_are_learned_by_coach(tmp_path):
    config = tiny_evaluative("coach", "people")
    assert config.coach is not None
    basis = replace(config.coach.basis, columns=None)
    config = replace(
        config, env=replace(config.env, id="Pendulum-v1", kwargs={}), coach=replace(config.coach, basis=basis)
    )
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with open_store(directory) as store:
        run = EvaluativeRun(directory, config, store)
        run.begin()
        watch(directory.path)
        turn(run)
        press(store, live_queries(store)[0], [(0.3, 1)], key=1)
        turn(run)
        segment = run._shown[0].segment
        assert segment.action.dtype == np.float32 and (np.abs(segment.action) <= 2).all()
        assert float(run.session.state.weight_LF.abs().sum()) > 0


def test_other_commands_say_what_kind_of_run_it_is(tmp_path):
    values = to_dict(tiny_evaluative())
    assert evaluative_config_from_dict(values) == tiny_evaluative()
    with pytest.raises(ConfigError, match="learns from good and bad"):
        from_dict(values)


def test_a_changed_configuration_is_refused(tmp_path):
    config = tiny_evaluative()
    run_evaluative(config, tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    path.write_text(path.read_text().replace("high_s: 2.0", "high_s: 1.0"))
    with pytest.raises(RunError, match=r"delay\.high_s from 2\.0 to 1\.0"):
        resume_evaluative(tmp_path / "run")


def test_the_oldest_stretches_are_forgotten():
    kept = Stretches(0.5)
    kept.load([[f"q{number}", 3 * number, 3] for number in range(2500)])
    kept.add([])
    assert len(kept.state()) == 2000 and kept.state()[0][0] == "q500"

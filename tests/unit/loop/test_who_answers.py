"""The loop with many people: who they are is found, kept over a restart, forgotten with them, and shown."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heeler.cli.people import trust
from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import PolicyVersion
from heeler.core.rundir import RunDirectory
from heeler.feedback.annotators.known import FILE_NAME, known_people, leave_behind, left_behind
from heeler.feedback.annotators.reliability import ReliabilityConfig
from heeler.feedback.annotators.verdicts import VerdictConfig
from heeler.feedback.control_crowd import ControlCrowdConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.stores import open_store
from heeler.feedback.teachers import TeacherConfig
from heeler.feedback.withdrawal import id_sha256
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.drifting import Drifting
from heeler.loop.report import write_report
from heeler.loop.report_people import people_section, people_to_show
from heeler.loop.running import resume, run
from heeler.loop.telling_changes import tell_changes
from heeler.oversight.monitors.falling import Falling, where_it_fell
from heeler.rewards.answerers import DriftConfig, PeopleConfig
from heeler.rewards.preference_model import PreferenceModelConfig
from tests.faults.test_run_kill import final_weights, metric_trace
from tests.unit.feedback.helpers import make_answer, make_query, make_segment
from tests.unit.loop.stage import Stage, stage_config
from tests.unit.loop.tiny import tiny_preferences

CROWD = ControlCrowdConfig(num_people=8, overlap=2, hostile_share=0.25, gold_share=0.1)
MODEL = PreferenceModelConfig(hidden_sizes=(16,), inputs=("action", "next_observation"), learning_rate=3e-3)


def crowd_stage(folder: Path, crowd: ControlCrowdConfig = CROWD, budget: int = 160, **settings) -> Stage:
    config = stage_config(
        teacher=crowd,
        people=PeopleConfig(),
        schedule=LabelSchedule(budget=budget),
        refit_every=40,
        acquisition="random",
        model=MODEL,
        **settings,
    )
    stage = Stage(config, folder)
    assert stage.loop.who is not None
    stage.loop.who._folder = folder
    return stage


def crowd_run() -> RunConfig:
    config = tiny_preferences()
    assert config.preferences is not None
    return replace(config, preferences=replace(config.preferences, teacher=CROWD, people=PeopleConfig()))


def test_hostile_people_are_found_while_the_reward_is_learned(tmp_path: Path) -> None:
    stage = crowd_stage(tmp_path)
    stage.finish()
    assert stage.loop.who is not None and stage.loop.num_useful == 160
    assert len(stage.loop.ledger.taken) == 320, "all answers are learned from, and the budget counts questions"
    known = {one.annotator: one.judgement for one in known_people(stage.store, tmp_path).people}
    kinds = stage.loop.teacher.people  # type: ignore[union-attr]
    for name, judged in known.items():
        assert (judged.reliability < 0.5) == (kinds[name] == "hostile"), (name, judged)
    told = stage.loop.metrics()
    assert told["people"] == 8 and told["people_hostile"] + told["people_careless"] == 2


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    class Stopped(Exception):
        """Where the run is cut short."""

    def stop(row) -> None:
        if row["update"] == 6:
            raise Stopped

    run(crowd_run(), tmp_path / "whole")
    with pytest.raises(Stopped):
        run(crowd_run(), tmp_path / "run", on_metrics=stop)
    resume(tmp_path / "run")
    assert final_weights(tmp_path / "run") == final_weights(tmp_path / "whole")
    assert metric_trace(tmp_path / "run") == metric_trace(tmp_path / "whole")
    left = [left_behind(tmp_path / name) for name in ("run", "whole")]
    assert left[0] is not None and left[1] is not None
    np.testing.assert_array_equal(left[0].margin_Q, left[1].margin_Q)
    text = b"".join(path.read_bytes() for path in (tmp_path / "run" / "checkpoints").rglob("state.json"))
    state = json.loads(text[: text.index(b"\n}") + 2] if b"\n}" in text else text.split(b"}{")[0] + b"}")
    assert "person-" not in json.dumps(state["preferences"]["people"]), "nobody is named in a checkpoint"


def test_who_is_withdrawn_is_gone_from_data_people_and_file(tmp_path: Path) -> None:
    stage = crowd_stage(tmp_path, budget=40)
    stage.finish()
    name = next(iter(stage.loop.teacher.people))  # type: ignore[union-attr]
    given = [p for p, f in stage.store.feedback_after(0, limit=1000, up_to_step=None) if f.annotator == name]
    stage.store.withdrawals.forget(name, "remove")
    stage.turn()
    assert given and not set(given) & set(stage.loop.ledger.taken)
    data = stage.loop.model_state.comparisons
    assert data is not None and len(data.outcome_Q) == len(stage.loop.ledger.taken)
    assert stage.loop.num_useful == stage.loop.num_answered == len(set(stage.loop.ledger.taken.values()))
    assert stage.loop.model_state.num_fits == 3, "begun anew, and fitted at once in turns with people"
    left = left_behind(tmp_path)
    assert left is not None and set(left.position_Q.tolist()) == set(stage.loop.ledger.taken)
    assert name not in {one.annotator for one in known_people(stage.store, tmp_path).people}


def test_a_kept_pseudonym_leads_nowhere_and_changes_no_number(tmp_path: Path) -> None:
    stage = crowd_stage(tmp_path, budget=40)
    stage.finish()
    name = next(iter(stage.loop.teacher.people))  # type: ignore[union-attr]
    before = {one.annotator: one.judgement.reliability for one in known_people(stage.store, tmp_path).people}
    stage.store.withdrawals.forget(name, "keep")
    stage.turn()
    after = {one.annotator: one.judgement.reliability for one in known_people(stage.store, tmp_path).people}
    assert name not in after
    assert sorted(before.values()) == pytest.approx(sorted(after.values()))


def test_a_change_of_mind_is_noticed_forgotten_and_told(tmp_path: Path) -> None:
    crowd = ControlCrowdConfig(num_people=5, beta=8.0, mistake=0.0, drift_step=5 * 320)
    stage = crowd_stage(tmp_path, crowd, budget=450, num_updates=20)
    directory = RunDirectory.create(tmp_path / "run", to_dict(stage.config))
    for _ in range(20):
        stage.turn()
        tell_changes(stage.loop, directory, stage.store, stage.step)
    acts = entries(directory.path / AUDIT_NAME, after=0, limit=100)
    (told,) = [
        entry.details for entry in acts if entry.act == "preferences.drift" and entry.details["annotator"] is None
    ]
    assert told["noticed_after"] <= 60
    assert told["foretold_since"] < 0.5 < 0.7 < told["foretold_before"]
    assert stage.store.setting("drifted", None) == {"step": told["step"], "reason": told["reason"]}
    asked = {q.id: q.asked_step for q in stage.all_queries()}
    step_of = {p: asked[q] for p, q in stage.loop.ledger.taken.items()}
    first_after = min(p for p, step in step_of.items() if step >= crowd.drift_step)
    assert abs(told["after_position"] - first_after) <= 30
    rollout = stage.act()
    learned = stage.model.predict(stage.loop.model_state, rollout).mean(0).numpy()
    assert np.corrcoef(learned.ravel(), rollout.true_reward.ravel())[0, 1] < -0.5, "the reward has followed"
    assert_shown_as_learned(stage, tmp_path)
    shown = known_people(stage.store, tmp_path).people
    assert {one.judgement.verdict for one in shown} <= {"reliable", "unknown"}, "who changed their mind is not careless"
    again = Stage(stage.config, tmp_path / "again")
    tensors, state = stage.loop.tensors(), json.loads(json.dumps(stage.loop.state()))
    again.loop.store = stage.store
    again.loop.choice.history = []
    again.loop.load(tensors, state | {"history": []})
    assert json.loads(json.dumps(again.loop.state())) | {"history": []} == state | {"history": []}


def test_who_changed_alone_is_shown_by_what_they_answered_since(tmp_path: Path) -> None:
    stage = crowd_stage(tmp_path, budget=80)
    stage.turns(10)
    assert stage.loop.who is not None and stage.loop.who.drifting is not None
    name = next(iter(stage.loop.teacher.people))  # type: ignore[union-attr]
    changed = max(stage.loop.ledger.taken)
    stage.loop.who.drifting.since[id_sha256(name)] = changed
    stage.finish()
    given = stage.store.feedback_after(changed, limit=1000, up_to_step=None)
    counted = {one.annotator: one.judgement.num_answers for one in known_people(stage.store, tmp_path).people}
    num_since = sum(answer.annotator == name for _, answer in given)
    assert 0 < counted.pop(name) <= num_since < min(counted.values())
    assert_shown_as_learned(stage, tmp_path)


def assert_shown_as_learned(stage: Stage, folder: Path) -> None:
    """What is told of people from what the learner left is what it found at its last fit."""
    loop = stage.loop
    assert loop.who is not None
    people = loop.who._weigh(stage.model, loop.model_state, loop.ledger.taken, loop.ledger.cant_tell).people
    shown = [one.judgement for one in known_people(stage.store, folder).people]
    assert sorted(one.reliability for one in shown) == pytest.approx(sorted(people.mean_P))
    count = Counter(one.verdict for one in shown)
    assert loop.who.told == loop.who.told | {f"people_{verdict}": num for verdict, num in count.items()}


def test_changes_of_all_alone_are_told_where_an_earlier_version_left_no_more(tmp_path: Path) -> None:
    stage = crowd_stage(tmp_path, budget=40)
    stage.finish()
    left = left_behind(tmp_path)
    assert left is not None
    changed = np.sort(left.position_Q)[[len(left.position_Q) // 2]]
    leave_behind(tmp_path, replace(left, since_Q=None, changed_after=changed))
    counted = sum(one.judgement.num_answers for one in known_people(stage.store, tmp_path).people)
    assert 0 < counted <= int((left.position_Q > changed).sum())


def test_without_a_change_nothing_is_forgotten() -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(40):
        drifting = Drifting(DriftConfig(error_rate=0.05), 400)
        for position in range(400):
            drifting.add(position + 1, f"p{position % 4}", bool(rng.random() < 0.8))
        alarms += bool(drifting.changed_after or drifting.since)
        if not drifting.changed_after:
            assert drifting.forgotten([1, 400]).tolist() == [1.0, 1.0]
    assert alarms <= 6, "two watches at 5 % each, in 40 runs"


def test_one_person_who_changes_alone_says_nothing_of_them_before() -> None:
    rng = np.random.default_rng(1)
    drifting = Drifting(DriftConfig(), 2000)
    for position in range(1, 2001):
        person = f"p{position % 8}"
        right = 0.05 if person == "p3" and position > 1000 else 0.9
        drifting.add(position, person, bool(rng.random() < right))
    (change,) = drifting.take_news()
    assert change.annotator == "p3" and 900 < change.after_position < 1100
    assert drifting.changed_after == []
    assert drifting.tells([500, 500, 1900], ["p3", "p4", "p3"]).tolist() == [0.0, 1.0, 1.0]


def test_where_a_share_fell_is_the_likeliest_split() -> None:
    assert where_it_fell([True] * 30 + [False] * 20) == 30
    assert where_it_fell([True, True, False, True] * 10 + [False] * 15) == 40
    watch = Falling(0.01, 500)
    assert not any(watch.add(number % 5 != 0) for number in range(200))
    assert any(watch.add(number % 5 == 0) for number in range(60))


def test_the_command_and_the_report_show_who_answered_and_name_no_person(tmp_path: Path, capsys) -> None:
    path = tmp_path / "run"
    run(crowd_run(), path)
    capsys.readouterr()
    assert trust(path, json=True, out=tmp_path / "trust.json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "trust.json").read_text())
    assert told["told_by"] == "learned reward" and len(told["people"]) == 8
    assert sum(one["weight"] for one in told["people"]) == pytest.approx(1.0)
    assert trust(path) == 0
    assert "reliability" in capsys.readouterr().out
    assert "Who answered" in write_report(path).read_text()
    (path / FILE_NAME).write_bytes(b"PK torn")
    with pytest.raises(DataError, match="damaged"):
        trust(path)


def test_people_who_answered_where_no_learner_looked_are_told_by_crowd_bt(tmp_path: Path) -> None:
    stage = Stage(stage_config(teacher="people"), tmp_path)
    while not stage.loop.waits_for_people:
        stage.turn()
    with pytest.raises(DataError, match="nobody has compared anything"):
        known_people(stage.store, tmp_path)
    stage.answer(stage.all_queries(), "left", "ann")
    known = known_people(stage.store, tmp_path)
    assert known.told_by == "crowd-bt"
    assert [one.annotator for one in known.people] == ["ann"]


def test_the_command_and_the_report_go_by_the_settings_of_the_run(tmp_path: Path, capsys) -> None:
    settings = PeopleConfig(reliability=ReliabilityConfig(prior_honest=60.0), verdicts=VerdictConfig(least_answers=2))
    config = stage_config(teacher="people", people=settings)
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    stage = Stage(config, directory.path)
    while not stage.loop.waits_for_people:
        stage.turn()
    stage.answer(stage.all_queries()[:2], "left", "ann")
    stage.answer(stage.all_queries()[2:3], "left", "bob")
    assert trust(directory.path, json=True) == 0
    told = {one["id"]: one for one in json.loads(capsys.readouterr().out)["people"]}
    assert told["ann"]["verdict"] == "reliable" and told["ann"]["reliability"] > 0.95, "as is believed before"
    assert "too few" in told["bob"]["reason"]
    shown = people_to_show(stage.store, directory)
    assert shown is not None and shown.known is not None
    assert {one.annotator: one.judgement.verdict for one in shown.known.people} == {
        name: one["verdict"] for name, one in told.items()
    }


def test_labels_are_told_of_where_nobody_compared_anything(tmp_path: Path, capsys) -> None:
    directory = RunDirectory.create(tmp_path / "run", to_dict(stage_config(teacher="people")))
    with open_store(directory) as store:
        store.add_policy_version(PolicyVersion(version=0, step=0))
        ids = store.add_segments([make_segment(seed) for seed in range(10)])
        queries = [make_query(place, name, kind="rating") for place, name in enumerate(ids)]
        store.add_queries(queries)
        for who in ("ann", "bob"):
            store.add_annotator(who, "person")
            scores = [{"score": float(place % 2), "low": 0.0, "high": 1.0} for place in range(10)]
            store.add_feedback(
                [make_answer(q, who, annotator=who, value=s) for q, s in zip(queries, scores, strict=True)]
            )
        assert trust(directory.path, json=True, out=tmp_path / "told.json") == 0
        told = json.loads(capsys.readouterr().out)
        assert told == json.loads((tmp_path / "told.json").read_text())
        assert told["people"] == [] and told["told_by"] == "nothing"
        (labels,) = told["labels"]
        assert (labels["kind"], labels["num_shared"]) == ("rating", 10)
        assert {one["annotator"]: one["num_labels"] for one in labels["people"]} == {"ann": 10, "bob": 10}
        assert trust(directory.path) == 0
        printed = capsys.readouterr().out
        assert "20 answers of kind rating by 2 people" in printed and "ann  reliable" in printed
        section = people_section(people_to_show(store, directory))
        assert "20 answers of kind rating" in section and "person 1" in section and "ann" not in section


def test_settings_of_crowds_and_people_are_read_back_and_wrong_ones_refused() -> None:
    config = crowd_run()
    assert from_dict(to_dict(config)) == config
    values = to_dict(config)
    values["preferences"]["teacher"]["hostile_shar"] = 0.1
    with pytest.raises(ConfigError, match="hostile_shar"):
        from_dict(values)
    oracle = tiny_preferences()
    assert from_dict(to_dict(oracle)) == oracle and oracle.preferences is not None
    with pytest.raises(ConfigError, match="people would tell nothing"):
        replace(oracle.preferences, teacher=TeacherConfig(), people=PeopleConfig())

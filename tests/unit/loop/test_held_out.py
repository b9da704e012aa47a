"""People who are held out: nothing that they answer moves the reward, killed and resumed or not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError
from heeler.core.rundir import RunDirectory
from heeler.feedback.control_crowd import ControlCrowdConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.told import ONLY_HELD_OUT
from heeler.loop.held_out import is_held_out_person, only_held_out, refuse_all_held_out
from heeler.loop.preferences import PreferenceLoop
from heeler.loop.running import resume, run
from tests.unit.loop.stage import Stage, stage_config, with_preferences
from tests.unit.loop.tiny import tiny_preferences

CROWD = ControlCrowdConfig(num_people=10)
SHARE = 0.3


def held_out_run(**settings):
    return with_preferences(replace(tiny_preferences(teacher="crowd"), **settings), held_out_people=SHARE)


def test_ids_alone_choose_about_the_share():
    people = [f"somebody {number}" for number in range(4000)]
    chosen = {name for name in people if is_held_out_person(name, 0, 0.2)}
    assert 0.17 < len(chosen) / 4000 < 0.23
    assert chosen == {name for name in reversed(people) if is_held_out_person(name, 0, 0.2)}
    assert chosen != {name for name in people if is_held_out_person(name, 1, 0.2)}
    assert not any(is_held_out_person(name, 0, 0.0) for name in people)


def test_their_answers_are_read_and_others_asked_in_their_place(tmp_path: Path):
    stage = Stage(stage_config(teacher=CROWD, held_out_people=SHARE), tmp_path)
    stage.finish()
    loop = stage.loop
    given = dict(stage.store.feedback_after(0, limit=10_000, up_to_step=None))
    theirs = {p for p, f in given.items() if is_held_out_person(f.annotator, stage.config.seed, SHARE)}
    assert theirs
    assert set(loop.ledger.held_out) == theirs
    assert set(loop.ledger.taken) == set(given) - theirs
    # The last turn's questions may still be without a useful answer.
    assert loop.num_useful == len(loop.ledger.taken) >= 36
    assert loop.num_asked == loop.num_useful + len(theirs)
    assert loop.num_open == 0
    assert loop.metrics()["held_out_answers"] == len(theirs)


def test_what_they_say_changes_nothing_that_is_learned(tmp_path: Path):
    def learned(choice: str, folder: Path) -> Stage:
        stage = Stage(stage_config(teacher="people", held_out_people=0.5, schedule=LabelSchedule(budget=40)), folder)
        honest, held = _one_of_each(stage.config.seed)
        for name in (honest, held):
            stage.store.add_annotator(name, "person")
        for _ in range(6):
            stage.turn()
            for place, query in enumerate(stage.store.open_queries(10_000)):
                stage.answer([query], ("left", "right")[place % 2], honest) if place % 3 else None
                stage.answer([query], choice, held) if place % 3 == 0 else None
        return stage

    left, right = learned("left", tmp_path / "a"), learned("right", tmp_path / "b")
    assert left.loop.ledger.held_out
    assert left.loop.model_state.num_fits > 0
    for name, tensor in left.loop.tensors().items():
        torch.testing.assert_close(right.loop.tensors()[name], tensor, rtol=0, atol=0)


def _one_of_each(seed: int) -> tuple[str, str]:
    names = [f"p{number}" for number in range(50)]
    held = next(name for name in names if is_held_out_person(name, seed, 0.5))
    return next(name for name in names if not is_held_out_person(name, seed, 0.5)), held


def test_a_question_that_somebody_else_answers_too_is_learned_from(tmp_path: Path):
    stage = Stage(stage_config(teacher="people", held_out_people=0.5), tmp_path)
    honest, held = _one_of_each(stage.config.seed)
    for name in (honest, held):
        stage.store.add_annotator(name, "person")
    stage.turn()
    query = stage.all_queries()[0]
    stage.answer([query], "left", held)
    stage.loop.listen(stage.step)
    assert (stage.loop.num_answered, stage.loop.ledger.num_set_aside) == (0, 1)
    stage.answer([query], "right", honest)
    stage.loop.listen(stage.step)
    assert (stage.loop.num_answered, stage.loop.ledger.num_set_aside) == (1, 0)
    assert list(stage.loop.ledger.taken.values()) == list(stage.loop.ledger.held_out.values()) == [query.id]


def test_while_they_alone_have_answered_the_store_says_so(tmp_path: Path):
    stage = Stage(stage_config(teacher="people", held_out_people=0.5), tmp_path)
    honest, held = _one_of_each(stage.config.seed)
    for name in (honest, held):
        stage.store.add_annotator(name, "person")
    stage.turn()
    assert stage.store.setting(ONLY_HELD_OUT, None) is None
    first, second, third = stage.all_queries()[:3]
    stage.answer([first, second], "left", held)
    stage.loop.listen(stage.step)
    assert stage.store.setting(ONLY_HELD_OUT, None) == 2
    told = only_held_out(stage.loop.metrics())
    assert told is not None and told.startswith("all 2 answers that came are by people who are held out")
    again = PreferenceLoop(stage.config, stage.store, stage.model)
    again.load(stage.loop.tensors(), json.loads(json.dumps(stage.loop.state())))
    again.listen(stage.step)
    assert stage.store.setting(ONLY_HELD_OUT, None) == 2, "a resumed run still says so"
    stage.answer([third], "cant_tell", honest)
    stage.loop.listen(stage.step)
    assert stage.store.setting(ONLY_HELD_OUT, None) is None
    assert only_held_out(stage.loop.metrics()) is None
    stage.store.withdrawals.forget(honest, answers="remove")
    stage.loop.listen(stage.step)
    assert stage.store.setting(ONLY_HELD_OUT, None) == 2
    stage.store.withdrawals.forget(held, answers="remove")
    stage.loop.listen(stage.step)
    assert stage.store.setting(ONLY_HELD_OUT, None) is None


def test_nothing_of_it_is_said_where_nobody_is_held_out(tmp_path: Path):
    stage = Stage(stage_config(teacher="people"), tmp_path)
    stage.turn()
    assert stage.store.setting(ONLY_HELD_OUT, "never set") == "never set"
    assert only_held_out(stage.loop.metrics()) is None


def test_people_all_of_whom_are_held_out_are_refused():
    honest, held = _one_of_each(0)
    for people in ([], [honest], [held, honest]):
        refuse_all_held_out(people, 0, 0.5)
    with pytest.raises(
        ConfigError, match=r"^preferences\.held_out_people: 0\.5 holds out the one person who may answer"
    ):
        refuse_all_held_out([held], 0, 0.5)
    others = [name for name in (f"q{number}" for number in range(40)) if is_held_out_person(name, 0, 0.5)]
    with pytest.raises(ConfigError, match=rf"holds out all {len(others)} people who may answer, by id and seed"):
        refuse_all_held_out(others, 0, 0.5)


def test_what_somebody_took_back_is_no_longer_held_against_the_reward(tmp_path: Path):
    stage = Stage(stage_config(teacher="people", held_out_people=0.5), tmp_path)
    _, held = _one_of_each(stage.config.seed)
    stage.store.add_annotator(held, "person")
    stage.turn()
    stage.answer(stage.all_queries()[:2], "left", held)
    stage.loop.listen(stage.step)
    assert len(stage.loop.ledger.held_out) == 2
    stage.store.withdrawals.forget(held, answers="remove")
    stage.loop.listen(stage.step)
    assert stage.loop.ledger.held_out == {}


def test_whoever_is_forgotten_and_leaves_their_answers_stays_held_out(tmp_path: Path):
    stage = Stage(stage_config(teacher="people", held_out_people=0.5), tmp_path)
    honest, held = _one_of_each(stage.config.seed)
    for name in (honest, held):
        stage.store.add_annotator(name, "person")
    stage.turn()
    first, second = stage.all_queries()[:2]
    stage.answer([first, second], "left", held)
    stage.answer([second], "right", honest)
    stage.loop.listen(stage.step)
    stage.store.withdrawals.forget(held, answers="keep")
    # Whoever else answered the same is taken back, so that everything is read again, under the new name.
    stage.store.withdrawals.forget(honest, answers="remove")
    stage.loop.listen(stage.step)
    assert sorted(stage.loop.ledger.held_out.values()) == sorted([first.id, second.id])
    assert stage.loop.ledger.taken == {}


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path):
    class Stopped(Exception):
        """Somebody pulled the plug."""

    def stop(row: dict[str, float]) -> None:
        if row["update"] == 7:
            raise Stopped

    run(held_out_run(), tmp_path / "whole")
    with pytest.raises(Stopped):
        run(held_out_run(), tmp_path / "run", on_metrics=stop)
    resume(tmp_path / "run")
    whole, again = (RunDirectory.open(tmp_path / name).newest_checkpoint()[0] for name in ("whole", "run"))
    assert whole is not None
    assert again is not None
    assert whole.state["preferences"]["held_out"]
    assert whole.state["preferences"] == again.state["preferences"]
    for name, array in whole.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], array)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out_people": 0.6}, "held_out_people must be a share from 0 to 0.5, got 0.6"),
        ({"held_out_people": -0.1}, "held_out_people must be a share from 0 to 0.5, got -0.1"),
        ({"held_out_people": 0.2}, "would hold out everybody or nobody, as one simulated teacher answers"),
        ({"held_out_people": 1e-9, "teacher": CROWD}, "holds out 0 of the crowd's 10 people"),
    ],
)
def test_shares_that_cannot_be_meant_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        with_preferences(tiny_preferences(), **changes)

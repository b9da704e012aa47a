"""Answers that were withdrawn go out of the reward's data: what is left is as if they had never been there."""

import json

import pytest
import torch

from heeler.core.rundir import RunDirectory
from heeler.feedback.staleness import staleness
from tests.unit.loop.stage import Stage, stage_config


def people_stage(folder) -> Stage:
    return Stage(stage_config(teacher="people"), folder)


def ask_all(stage: Stage) -> list:
    while not stage.loop.waits_for_people:
        stage.turn()
    return stage.all_queries()


def rows(stage: Stage) -> list[str]:
    """The reward's data, in no order, but for the bootstrap's weights."""
    data = stage.loop.model_state.comparisons
    if data is None:
        return []
    return sorted(
        json.dumps([feature.tolist(), int(outcome), bool(held)])
        for feature, outcome, held in zip(data.feature_Q2LF, data.outcome_Q, data.validation_Q, strict=True)
    )


def test_what_is_left_is_what_was_never_there(tmp_path):
    stage, reference = people_stage(tmp_path / "a"), people_stage(tmp_path / "b")
    queries = ask_all(stage)
    assert [q.id for q in ask_all(reference)] == [q.id for q in queries]
    stage.answer(queries[:4], "left", "ann")
    stage.answer(queries[4:6], "cant_tell", "ann")
    stage.answer(queries[2:], "right", "bob")
    reference.answer(queries[2:], "right", "bob")
    stage.loop.listen(stage.step)
    assert (stage.loop.num_answered, stage.loop.ledger.num_cant_tell) == (len(queries), 2)
    stage.loop.model_state, _ = stage.loop.model.fit(stage.loop.model_state)
    stage.store.withdrawals.forget("ann", "remove")
    stage.loop.listen(stage.step)
    reference.loop.listen(reference.step)
    assert rows(stage) == rows(reference)
    assert stage.loop.ledger.answered == reference.loop.ledger.answered == {q.id for q in queries[2:]}
    for name in ("num_answered", "num_unfitted", "num_useful"):
        assert getattr(stage.loop, name) == getattr(reference.loop, name), name
    assert stage.loop.ledger.num_cant_tell == reference.loop.ledger.num_cant_tell
    fresh = stage.loop.model_state.network.state_dict()
    never = reference.loop.model_state.network.state_dict()
    assert all(torch.equal(fresh[name], never[name]) for name in never), "nothing is left in the weights"
    assert set(stage.loop.ledger.taken.values()) == {q.id for q in queries[2:]}


def test_a_kept_answer_changes_nothing(tmp_path):
    stage = people_stage(tmp_path)
    queries = ask_all(stage)
    stage.answer(queries, "left", "ann")
    stage.loop.listen(stage.step)
    before = stage.loop.model_state
    stage.store.withdrawals.forget("ann", "keep")
    stage.loop.listen(stage.step)
    assert stage.loop.model_state is before
    assert stage.loop.num_answered == len(queries)


@pytest.mark.parametrize("is_early", [False, True])
def test_a_checkpoint_with_withdrawn_answers_is_gone_on_with_without_them(tmp_path, is_early):
    """`is_early`: a checkpoint of before they said which answers they hold."""
    stage = people_stage(tmp_path)
    queries = ask_all(stage)
    stage.answer(queries[:3], "left", "ann")
    stage.answer(queries[3:], "right", "bob")
    stage.loop.listen(stage.step)
    tensors, state = stage.loop.tensors(), json.loads(json.dumps(stage.loop.state()))
    if is_early:
        for name in ("taken", "cant_tell", "seen_withdrawals"):
            del state[name]
    stage.store.withdrawals.forget("ann", "remove")
    stage.loop.load(tensors, state)
    assert len(rows(stage)) == len(queries) - 3
    assert set(stage.loop.ledger.taken.values()) == stage.loop.ledger.answered == {q.id for q in queries[3:]}
    assert stage.loop.num_answered == len(queries) - 3


def test_checkpoints_that_learned_from_withdrawn_answers_are_told(tmp_path):
    stage = people_stage(tmp_path / "store")
    directory = RunDirectory.create(tmp_path / "run", {"recipe": "test"})
    queries = ask_all(stage)
    for step, (some, who) in enumerate([(queries[:2], "bob"), (queries[2:4], "ann")], start=1):
        stage.answer(some, "left", who)
        stage.loop.listen(stage.step)
        directory.save_checkpoint(step * 100, {}, {"preferences": stage.loop.state()}, keep=9)
    assert staleness(directory, stage.store).in_words is None
    stage.store.withdrawals.forget("ann", "remove")
    found = staleness(directory, stage.store)
    assert (dict(found.stale), found.sound) == ({200: 2}, 100)
    assert found.in_words == "the reward model learned from 2 answers that were withdrawn; train again from step 100"
    stage.loop.listen(stage.step)
    directory.save_checkpoint(300, {}, {"preferences": stage.loop.state()}, keep=9)
    assert staleness(directory, stage.store).in_words is None

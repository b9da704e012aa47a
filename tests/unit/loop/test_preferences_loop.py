"""Asking, listening and rewarding, turn by turn."""

from dataclasses import replace

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.core.nouns import Feedback, PolicyVersion, Query, stable_id
from heeler.core.rundir import RunDirectory
from heeler.feedback.acquisition import ACQUISITIONS
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME
from heeler.feedback.teachers import TeacherConfig
from heeler.loop.running import run
from heeler.rewards.preference_model import PreferenceModelConfig
from tests.unit.feedback.helpers import make_query, make_text
from tests.unit.loop.stage import Stage, stage_config, with_preferences
from tests.unit.loop.tiny import tiny_preferences


@pytest.fixture
def folder(tmp_path):
    return tmp_path


# Budget


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_the_budget_is_used_exactly(folder, acquisition):
    stage = Stage(stage_config(acquisition=acquisition), folder)
    stage.finish()
    assert stage.loop.num_useful == 40
    assert stage.store.counts()["queries"] == stage.store.counts()["feedback"] == 40
    data = stage.loop.model_state.comparisons
    assert data is not None
    assert len(data.outcome_Q) == 40


@pytest.mark.parametrize("initial_share", [0.0, 0.25, 1.0])
def test_first_questions_come_in_the_warm_up_and_the_rest_by_the_schedule(folder, initial_share):
    schedule = LabelSchedule(budget=40, initial_share=initial_share)
    stage = Stage(stage_config(schedule=schedule), folder)
    first = max(1, round(40 * initial_share))
    asked = []
    for _ in range(20):
        stage.turn()
        asked.append(stage.loop.num_asked)
    assert [min(count, first) for count in asked[:3]] == [round(first / 3), round(first * 2 / 3), first]
    for update in range(3, 20):
        assert asked[update] >= schedule.target(stage.config.steps_per_update * update, stage.config.total_steps)
    assert asked[15] == asked[-1] == 40, "all are asked by 80 % of the run"
    assert stage.loop.num_useful == 40


def test_the_last_update_asks_what_is_left_where_the_last_step_never_comes(folder):
    config = stage_config(schedule=LabelSchedule(budget=40, finish_share=1.0))
    stage = Stage(replace(config, total_steps=config.total_steps + config.steps_per_update - 1), folder)
    stage.turns(19)
    assert stage.loop.num_asked < 40
    stage.turn()
    assert stage.update == stage.config.num_updates
    assert stage.loop.num_useful == 40


def test_a_tiny_run_uses_its_budget_exactly(folder):
    rows = []
    run(tiny_preferences(), folder / "run", on_metrics=rows.append)
    assert rows[-1]["labels_used"] == rows[-1]["asked"] == rows[-1]["answered"] == 24
    with Store.open(folder / "run" / STORE_NAME, segments_dir=folder / "run" / "segments") as store:
        assert store.query_count() == 24


def test_clips_longer_than_any_episode_are_refused_once_the_warm_up_is_over(folder):
    config = stage_config(segment_length=18)
    config = replace(config, env=replace(config.env, kwargs={"max_episode_steps": 10}))
    stage = Stage(config, folder)
    stage.turns(2)
    with pytest.raises(ConfigError, match=r"segment_length must be .* got 18: the longest stretch .* has 10 steps"):
        stage.turn()


# Slow, silent and skipping teachers


def test_a_slow_teacher_is_not_waited_for(folder):
    """Questions of a stretch are answered five rollouts later; meanwhile others are asked and the reward is used."""
    stage = Stage(stage_config(num_updates=40), folder)
    delay = 5 * stage.config.steps_per_update
    stage = Stage(with_preferences(stage.config, teacher=TeacherConfig(delay_steps=delay)), folder / "slow")
    pending = []
    for update in range(1, 41):
        _, reward = stage.turn()
        assert (reward is not None) == (update >= 8), "first fit when the last of the warm-up's answers has come"
        assert stage.loop.teacher is not None
        pending.append(stage.loop.teacher.num_pending)
    assert max(pending[8:]) > 0
    assert pending[-1] == 0
    assert stage.loop.num_useful == 40
    for _, answer in stage.store.feedback_after(0, limit=100, up_to_step=None):
        query = stage.store.queries([answer.query_id])[0]
        assert answer.answered_step == query.asked_step + delay


def test_answers_that_never_come_in_time_leave_no_reward(folder):
    stage = Stage(stage_config(teacher=TeacherConfig(delay_steps=10**9)), folder)
    for _ in range(20):
        assert stage.turn()[1] is None
    assert stage.loop.num_asked == 10, "no more is asked before the first answers have taught anything"


# People


def people_stage(folder, **settings) -> Stage:
    return Stage(stage_config(teacher="people", **settings), folder)


def test_people_are_waited_for_only_before_the_first_reward(folder):
    stage = people_stage(folder)
    for _ in range(3):
        assert not stage.loop.waits_for_people, "the warm-up's questions are not all put yet"
        assert stage.turn()[1] is None
    assert stage.loop.waits_for_people
    stage.answer(stage.store.open_queries(100), "left")
    stage.loop.listen(stage.step)
    assert stage.loop.has_enough
    assert stage.turn()[1] is not None
    assert not stage.loop.waits_for_people
    for _ in range(16):
        assert stage.turn()[1] is not None, "nobody answers, and learning goes on"
        assert not stage.loop.waits_for_people
    assert stage.loop.num_asked == 40
    assert stage.loop.num_useful == 10


def test_an_answer_of_cant_tell_before_the_first_fit_is_replaced_by_another_question(folder):
    stage = people_stage(folder)
    stage.turns(3)
    queries = stage.store.open_queries(100)
    stage.answer(queries[:4], "cant_tell")
    stage.answer(queries[4:], "right")
    assert stage.loop.waits_for_people
    stage.loop.listen(stage.step)
    assert not stage.loop.has_enough
    assert not stage.loop.waits_for_people, "it acts once more, so that there is something new to ask about"
    assert stage.turn()[1] is None
    fresh = stage.store.open_queries(100)
    assert len(fresh) == 4
    assert not {query.id for query in fresh} & {query.id for query in queries}
    stage.answer(fresh, "left")
    assert stage.turn()[1] is not None
    assert stage.loop.num_useful == 10


def test_a_question_that_is_set_aside_before_the_first_fit_is_replaced_by_another(folder):
    stage = people_stage(folder)
    stage.turns(3)
    queries = stage.store.open_queries(100)
    for query in queries[:4]:
        stage.store.flags.set_aside(query.id, "admin")
    stage.answer(queries[4:], "right")
    assert stage.loop.waits_for_people
    stage.loop.listen(stage.step)
    assert not stage.loop.has_enough
    assert not stage.loop.waits_for_people, "it acts once more, so that there is something new to ask about"
    assert stage.turn()[1] is None
    fresh = stage.store.open_queries(100)
    assert len(fresh) == 4
    assert not {query.id for query in fresh} & {query.id for query in queries}
    stage.answer(fresh, "left")
    assert stage.turn()[1] is not None
    assert stage.loop.num_useful == 10


def test_late_answers_are_learned_from(folder):
    stage = people_stage(folder)
    stage.turns(3)
    stage.answer(stage.store.open_queries(100), "left")
    stage.turns(17)
    late = stage.store.open_queries(100)
    assert len(late) == 30
    num_fits = stage.loop.model_state.num_fits
    stage.answer(late, "right")
    _, reward = stage.turn()
    assert reward is not None
    assert stage.loop.model_state.num_fits == num_fits + 1
    assert stage.loop.num_useful == 40
    data = stage.loop.model_state.comparisons
    assert data is not None
    assert data.outcome_Q.tolist() == [0] * 10 + [1] * 30


def test_a_second_answer_to_a_question_changes_nothing(folder):
    """Two people may have the same question open at once; the first answer counts, and the budget counts questions."""
    stage = people_stage(folder)
    stage.turns(3)
    queries = stage.store.open_queries(100)
    stage.answer(queries, "left", "ann")
    stage.answer(queries[:5], "right", "bob")
    stage.turn()
    assert (stage.loop.num_answered, stage.loop.num_useful) == (10, 10)
    data = stage.loop.model_state.comparisons
    assert data is not None
    assert data.outcome_Q.tolist() == [0] * 10
    stage.answer(queries[5:], "cant_tell", "bob")
    stage.turns(2)
    assert (stage.loop.num_answered, stage.loop.ledger.num_cant_tell) == (10, 0)
    assert stage.store.counts()["feedback"] == 20, "they are kept all the same"


def test_a_real_answer_after_cant_tell_comes_too_late(folder):
    stage = people_stage(folder)
    stage.turns(3)
    queries = stage.store.open_queries(100)
    stage.answer(queries[:1], "cant_tell", "ann")
    stage.loop.listen(stage.step)
    stage.answer(queries, "left", "bob")
    stage.loop.listen(stage.step)
    assert (stage.loop.num_answered, stage.loop.ledger.num_cant_tell, stage.loop.num_useful) == (10, 1, 9)


def test_the_same_answer_posted_twice_is_one(folder):
    stage = people_stage(folder)
    stage.turns(3)
    answers = stage.answer(stage.store.open_queries(100), "left")
    stage.store.add_feedback(answers)
    stage.loop.listen(stage.step)
    stage.store.add_feedback(answers)
    stage.loop.listen(stage.step)
    assert stage.loop.num_useful == 10


def test_questions_of_a_lost_stretch_count_as_asked(folder):
    """They stay open after a crash, people answer them, and the budget must cover them."""
    config = stage_config(teacher="people")
    stage = Stage(config, folder)
    stage.turns(3)
    stage.answer(stage.store.open_queries(100), "left")
    stage.turns(2)
    tensors, state = stage.loop.tensors(), stage.loop.state()
    asked_then = stage.loop.num_asked
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    stage.turns(5)
    asked = stage.loop.num_asked
    assert asked > asked_then
    stage.store.close()
    resumed = Stage(config, folder)
    resumed.loop.load(tensors, state)
    assert resumed.loop.num_asked == asked
    resumed.step, resumed.update = stage.config.steps_per_update * 5, 5
    resumed.finish()
    assert resumed.store.query_count() == 40


def test_questions_that_others_put_into_the_store_are_not_counted_as_asked(folder):
    """A program may have put texts, or ratings of clips, into the store of a run."""
    config = stage_config(teacher="people")
    stage = Stage(config, folder)
    texts = stage.store.add_segments([make_text("a"), make_text("b")])
    stage.store.add_queries([make_query("pair", *texts), make_query("one", texts[0], kind="rating")])
    stage.turns(3)
    tensors, state = stage.loop.tensors(), stage.loop.state()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    assert stage.store.query_count() == stage.loop.num_asked + 2
    stage.store.close()
    resumed = Stage(config, folder)
    assert resumed.loop.num_asked == stage.loop.num_asked
    resumed.loop.load(tensors, state)
    assert resumed.loop.num_asked == stage.loop.num_asked


# Saving


def test_save_and_load_goes_on_with_the_same_questions_and_rewards(folder):
    """The simulated teacher's loop, stopped and loaded between two turns, repeats itself exactly."""
    config = stage_config(teacher=TeacherConfig(beta=1.0, mistake=0.1, delay_steps=400))
    stage = Stage(config, folder / "one")
    stage.turns(6)
    tensors = {name: tensor.clone() for name, tensor in stage.loop.tensors().items()}
    state, collector = stage.loop.state(), stage.collector.state_dict()
    collector = {name: array.copy() for name, array in collector.items()}
    noise, step, update = stage.noise.get_state(), stage.step, stage.update
    expected = [stage.turn()[1] for _ in range(8)]
    queries = [query.id for query in stage.all_queries()]
    stage.store.close()

    other = Stage(config, folder / "one")
    other.loop.load(tensors, state)
    other.collector.load_state_dict(collector)
    other.noise.set_state(noise)
    other.step, other.update = step, update
    for reward in expected:
        np.testing.assert_array_equal(other.turn()[1], reward)
    assert [query.id for query in other.all_queries()] == queries


# What is asked


def test_both_sides_are_as_likely_to_show_the_better_clip(folder):
    """Candidates are ordered pairs; neither the draw nor the choice may favour a side."""
    stage = Stage(stage_config(schedule=LabelSchedule(budget=300), num_updates=30), folder)
    stage.finish()
    left = right = 0
    for query in stage.all_queries():
        a, b = stage.segments_of(query)
        assert a.true_reward is not None
        assert b.true_reward is not None
        left += a.true_reward.sum() > b.true_reward.sum()
        right += a.true_reward.sum() < b.true_reward.sum()
    assert left + right == 300
    assert abs(left - 150) < 4 * 300**0.5 / 2


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_history_share_says_how_many_questions_show_an_older_clip(folder, share):
    model = PreferenceModelConfig(hidden_sizes=(8,), max_epochs=1, validation_share=0.0)
    stage = Stage(stage_config(history_share=share, acquisition="random", model=model), folder)
    stage.finish()
    later = [query for query in stage.all_queries() if query.asked_step > stage.config.steps_per_update]
    with_older = [len({s.policy_version for s in stage.segments_of(query)}) == 2 for query in later]
    assert all(with_older) if share else not any(with_older)


@pytest.mark.parametrize("held_out", [False, True])
def test_active_questions_are_those_that_members_disagree_on(folder, held_out):
    """Those kept for validation too, so that early stopping judges a fit by what it trains on."""
    model = PreferenceModelConfig(hidden_sizes=(16,), max_epochs=2, validation_share=0.3)
    scores = {}
    for acquisition in ("random", "disagreement"):
        schedule = LabelSchedule(budget=80)
        config = stage_config(
            acquisition=acquisition, num_candidates=20, schedule=schedule, num_updates=12, model=model
        )
        stage = Stage(config, folder / acquisition)
        spreads = []
        while stage.update < 12:
            rollout = stage.act()
            before = stage.loop.num_asked
            stage.loop.ask(rollout, stage.step)
            if stage.loop.is_fitted:
                for query in stage.all_queries()[before:]:
                    left, right = stage.segments_of(query)
                    if stage.loop.choice.is_held_out(left) != held_out:
                        continue
                    returns = stage.model.segment_returns(stage.loop.model_state, [left, right])
                    spreads.append((returns[:, 0] - returns[:, 1]).sigmoid().var(correction=0).item())
            stage.loop.listen(stage.step)
            stage.loop.reward(rollout, progress=0.0)
        scores[acquisition] = np.mean(spreads)
    assert scores["disagreement"] > 1.5 * scores["random"]


def ask_once_more(stage: Stage) -> tuple[np.ndarray, np.ndarray]:
    """[Q] scores of the questions of another rollout, and [M, Q, 2] the members' returns of both clips."""
    before = {query.id for query in stage.store.open_queries(100)}
    stage.loop.ask(stage.act(), stage.step)
    queries = [query for query in stage.store.open_queries(100) if query.id not in before]
    assert len(queries) >= 2
    returns = [stage.model.segment_returns(stage.loop.model_state, stage.segments_of(query)) for query in queries]
    return np.array([query.score for query in queries]), np.stack([pair.numpy() for pair in returns], 1)


def test_older_clips_are_judged_by_the_newest_reward(folder):
    stage = Stage(stage_config(schedule=LabelSchedule(budget=120), history_share=1.0), folder)
    stage.turns(5)
    scores, return_MQ2 = ask_once_more(stage)
    probability = 1 / (1 + np.exp(return_MQ2[..., 1] - return_MQ2[..., 0]))
    np.testing.assert_allclose(scores, probability.var(0), rtol=1e-3)


def test_ties_count_in_what_questions_are_chosen_for(folder):
    stage = people_stage(folder, schedule=LabelSchedule(budget=120), acquisition="entropy")
    stage.turns(3)
    for place, query in enumerate(stage.store.open_queries(100)):
        stage.answer([query], "equal" if place % 2 else "left")
    stage.turn()
    scores, return_MQ2 = ask_once_more(stage)
    half = (return_MQ2[..., 0] - return_MQ2[..., 1]) / 2
    tie = np.full_like(half, stage.model.tie_weight(stage.loop.model_state))
    weight = np.stack([np.exp(half), np.exp(-half), tie], -1)
    probability = (weight / weight.sum(-1, keepdims=True)).mean(0)
    np.testing.assert_allclose(scores, -(probability * np.log(probability)).sum(-1), rtol=1e-3)
    assert scores.max() > np.log(2), "more than two outcomes could make up"


def test_coverage_spreads_over_what_clips_show(folder):
    """Each question of a rollout lies some way from those chosen before it; the first has none before it."""
    model = PreferenceModelConfig(hidden_sizes=(8,), max_epochs=1, validation_share=0.0)
    stage = Stage(stage_config(schedule=LabelSchedule(budget=120), acquisition="coverage", model=model), folder)
    stage.turns(5)
    scores, _ = ask_once_more(stage)
    assert scores[0] == 0
    assert (scores[1:] > 0.1).all()
    assert (np.diff(scores[1:]) <= 0).all()


def test_first_questions_are_chosen_by_the_first_answers(folder):
    """The reward is fitted while the first questions are put, and reaches the learner when all of them are answered."""
    stage = Stage(stage_config(schedule=LabelSchedule(budget=96), refit_every=8), folder)
    assert stage.turn()[1] is None
    assert stage.loop.num_useful == 8
    assert stage.loop.model_state.num_fits == 1
    assert stage.turn()[1] is None
    assert stage.turn()[1] is not None
    assert stage.loop.num_useful == 24
    assert stage.loop.num_unfitted == 0
    assert [query.acquisition for query in stage.all_queries()] == ["random"] * 8 + ["disagreement"] * 16


def test_exploration_pays_for_disagreement_until_the_last_question_is_due(folder):
    schedule = LabelSchedule(budget=40, finish_share=0.5)
    stage = Stage(stage_config(schedule=schedule, exploration=2.0), folder)
    stage.turns(4)
    rollout = stage.act()
    bonus = {}
    for progress in (0.0, 0.25, 0.5, 0.9):
        paid = stage.loop.reward(rollout, progress=progress)
        state = stage.loop.model_state
        raw = stage.model.predict(state, rollout)
        bonus[progress] = paid - stage.model.reward(state, raw)
    spread = ((raw - state.offset_M[:, None, None]) * state.scale_M[:, None, None]).std(0, correction=0).numpy()
    np.testing.assert_allclose(bonus[0.0], 2 * (spread - spread.mean()), atol=1e-5)
    np.testing.assert_allclose(bonus[0.25], bonus[0.0] / 2, atol=1e-5)
    assert not bonus[0.5].any()
    assert not bonus[0.9].any()


def test_metrics_of_a_run_can_be_written(folder):
    run(tiny_preferences(), folder / "run")
    rows = RunDirectory.open(folder / "run").metrics()
    assert len(rows) == 12
    assert rows[-1]["fits"] >= 2
    assert 0 <= rows[-1]["reward_model_validation_accuracy"] <= 1
    assert -1 <= rows[-1]["reward_correlation"] <= 1


def test_answers_to_questions_of_a_lost_stretch_do_not_count_for_a_simulated_teacher(folder):
    """A resumed run need not ask what the lost stretch asked, where it cannot be repeated bit for bit."""
    stage = Stage(stage_config(), folder)
    stage.turns(2)
    used = stage.loop.num_useful
    rollout = stage.act()
    segments = stage.loop.choice.cut(rollout, np.array([[0, 0], [0, 1]]))
    stage.store.add_policy_version(PolicyVersion(version=rollout.policy_version, step=0))
    stage.store.add_segments(segments)
    lost = Query(
        id=stable_id("lost"),
        kind="preference",
        segment_ids=(segments[0].id, segments[1].id),
        policy_version=rollout.policy_version,
        asked_step=0,
    )
    stage.store.add_queries([lost])
    stage.store.add_feedback(
        [
            Feedback(
                key=stable_id("answer to the lost"),
                query_id=lost.id,
                kind="preference",
                value={"choice": "left"},
                annotator="simulated",
                answered_step=0,
            )
        ]
    )
    stage.loop.listen(stage.step)
    assert stage.loop.num_useful == used

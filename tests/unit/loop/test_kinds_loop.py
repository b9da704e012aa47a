"""Asking by every kind, listening and rewarding, turn by turn."""

import json
import math
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from heeler.cli import main
from heeler.core.errors import ConfigError
from heeler.core.nouns import FEEDBACK_KINDS
from heeler.core.rundir import RunDirectory
from heeler.feedback.action_bounds import ActionBounds
from heeler.feedback.kinds import AIDS, FIRST_FOR, VIEWS
from heeler.feedback.kinds_teacher_config import KindAnswers, KindsTeacherConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.staleness import staleness
from heeler.feedback.stores import control_segments, open_store
from heeler.feedback.told import ACTIONS
from heeler.feedback.unsafe import UnsafeTeacherConfig
from heeler.loop.config import LimitsConfig, from_dict, to_dict
from heeler.loop.cost_config import UnsafeAnswersConfig
from heeler.loop.kinds.answer_worth import worth_of_answers
from heeler.loop.kinds.config import EnoughConfig, KindsConfig
from heeler.loop.kinds.enough import Enough, rank_correlation
from heeler.loop.report import write_report
from heeler.loop.report_kinds import worth_of_kinds
from heeler.loop.running import resume, run
from heeler.oversight.monitors.config import MonitorsConfig
from heeler.rewards.preference_model import is_validation
from heeler.safety.costs import CostConfig
from tests.unit.loop.kinds_stage import REWARD, KindsStage, stage_config
from tests.unit.loop.tiny import tiny_kinds, tiny_preferences


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def longest(kinds: KindsConfig) -> float:
    return max(kinds.seconds.of(kind) for kind in kinds.kinds)


# Budget


@pytest.mark.parametrize("asking", ["information", "uniform"])
def test_the_budget_is_peoples_time(folder, asking):
    stage = KindsStage(stage_config(asking=asking), folder)
    stage.finish()
    ledger, kinds = stage.loop.ledger, stage.config.kinds
    assert kinds is not None
    taken = [one.time_taken_s or 0.0 for _, one in stage.store.feedback_after(0, limit=1000, up_to_step=None)]
    assert ledger.used_s == pytest.approx(math.fsum(taken))
    assert 160 - longest(kinds) <= ledger.used_s <= 160 + 4 * longest(kinds)
    assert stage.loop.num_open == 0
    assert stage.loop.learned.state.num_fits >= 2


def test_every_kind_is_asked_and_learned_from(folder):
    stage = KindsStage(stage_config(kinds=FEEDBACK_KINDS, asking="uniform", schedule=LabelSchedule(budget=400)), folder)
    stage.finish()
    counts = Counter(one.kind for one in stage.loop.ledger.taken.values())
    assert set(counts) == set(FEEDBACK_KINDS)
    fit = stage.loop.learned.state.last_fit
    figures = stage.loop.metrics()
    for kind in FEEDBACK_KINDS:
        assert figures[f"kinds/{kind}/asked"] == figures[f"kinds/{kind}/answered"] == counts[kind]
        assert figures[f"kinds/{kind}/seconds"] > 0
        assert math.isfinite(fit[f"precision_{kind}"])
    assert sum(figures[f"kinds/{kind}/bits"] for kind in FEEDBACK_KINDS) > 0


def test_single_kinds_are_asked_alone(folder):
    stage = KindsStage(stage_config(kinds=("rating",)), folder)
    stage.turns(8)
    assert {one.kind for one in stage.loop.ledger.asked.values()} == {"rating"}
    assert stage.loop.has_reward


def test_questions_are_put_over_the_warm_up_and_no_reward_comes_before_they_are_answered(folder):
    stage = KindsStage(stage_config(), folder)
    assert stage.turn() is None
    assert 0 < stage.loop.ledger.in_hand_s < 40 + 10
    rewards = [stage.turn() for _ in range(5)]
    assert rewards[-1] is not None
    assert stage.loop.ledger.used_s >= 40


def test_what_is_chosen_by_information_says_more_a_second_than_what_is_drawn(folder):
    """Where ratings are answered by chance and slowly, and comparisons surely and fast, those are asked."""
    teacher = KindsTeacherConfig(
        preference=KindAnswers(beta=math.inf, seconds=2.0), rating=KindAnswers(beta=0.0, seconds=12.0)
    )
    model = replace(stage_config().kinds.model, reward=replace(REWARD, max_epochs=40))
    stage = KindsStage(
        stage_config(kinds=("preference", "rating"), teacher=teacher, model=model, schedule=LabelSchedule(budget=300)),
        folder,
    )
    stage.finish()
    used = {kind: stage.loop.metrics()[f"kinds/{kind}/seconds"] for kind in ("preference", "rating")}
    later = [q.kind for q in _queries(stage) if q.acquisition == "information_per_second"]
    assert later.count("preference") > 3 * later.count("rating"), used
    assert all(q.score > 0 for q in _queries(stage) if q.acquisition == "information_per_second")


def _queries(stage: KindsStage):
    return stage.store.queries(list(stage.loop.ledger.asked))


def test_the_person_who_says_more_a_second_is_asked(folder):
    teacher = KindsTeacherConfig(num_people=2, people_spread=1.2, seconds_spread=0.1)
    stage = KindsStage(stage_config(kinds=("preference", "rating"), teacher=teacher), folder)
    stage.finish()
    slowness = {name: stage.loop.times.slowness(name) for name in teacher.people}
    later = {q.id for q in _queries(stage) if q.acquisition == "information_per_second"}
    asked = Counter(one.person for one in stage.loop.ledger.taken.values() if one.query_id in later)
    fast = min(slowness, key=lambda name: slowness[name])
    assert max(slowness.values()) > 1.5 * min(slowness.values())
    assert asked[fast] > 2 * asked[next(name for name in teacher.people if name != fast)]


def test_clips_of_a_question_are_on_one_side_of_the_split(folder):
    stage = KindsStage(stage_config(kinds=("preference", "demonstration")), folder)
    stage.finish()
    for name, asked in stage.loop.ledger.asked.items():
        (query,) = stage.store.queries([name])
        ids = [*query.segment_ids, *(segment for segment, _ in asked.alternatives)]
        sides = {is_validation(one.trajectory_id, 0.25) for one in stage.store.segments(ids).values()}
        assert len(sides) == 1
    assert stage.loop.learned.state.evidence.validation_I.any()


# People


def people_stage(folder, **settings) -> KindsStage:
    return KindsStage(stage_config(teacher="people", **settings), folder)


def ask_first(stage: KindsStage):
    while not stage.loop.waits_for_people:
        assert stage.turn() is None
    return stage.store.open_queries(1000)


def test_people_are_waited_for_only_before_the_first_reward(folder):
    stage = people_stage(folder)
    stage.answer(ask_first(stage))
    stage.loop.listen(stage.step)
    while not stage.loop.has_enough:
        stage.turn()
        stage.answer(stage.store.open_queries(1000))
        stage.loop.listen(stage.step)
    assert stage.turn() is not None
    assert not stage.loop.waits_for_people
    for _ in range(5):
        assert stage.turn() is not None, "nobody answers, and learning goes on"


def test_answers_of_several_people_to_one_question_all_count_and_each_only_once(folder):
    stage = people_stage(folder)
    queries = ask_first(stage)[:3]
    stage.answer(queries, "ann")
    stage.answer(queries[:1], "bob")
    stage.loop.listen(stage.step)
    assert Counter(one.person for one in stage.loop.ledger.taken.values()) == {"ann": 3, "bob": 1}
    assert stage.loop.ledger.used_s == 16.0


def test_what_says_nothing_takes_time_and_teaches_nothing(folder):
    stage = people_stage(folder, kinds=("preference", "critique"))
    queries = ask_first(stage)
    nothing = {"preference": {"choice": "cant_tell"}, "critique": {"text": "hm", "start": 0, "end": 3}}
    stage.answer(queries, **nothing)
    stage.loop.listen(stage.step)
    assert len(stage.loop.learned.state.evidence) == 0
    assert stage.loop.ledger.used_s == 4.0 * len(queries)
    assert not stage.loop.has_enough
    stage.turn()
    assert stage.store.open_queries(10), "there is nothing to fit to without another question"


def test_what_is_no_action_of_the_world_is_left_out_of_an_old_store_and_told_of(folder):
    budget = LabelSchedule(budget=900, initial_share=0.6)
    kinds = ("correction", "demonstration")
    stage = people_stage(folder, env="CartPole-v1", kinds=kinds, asking="uniform", schedule=budget)
    stage.store.set_setting(ACTIONS, ActionBounds.of(stage.world.single_action_space).to_setting())
    waiting = ask_first(stage)
    shown = stage.store.segment(waiting[0].segment_ids[0])
    (impossible,) = stage.store.add_segments([replace(shown, action=np.full_like(shown.action, 7))])
    corrections, demonstrations = ([one for one in waiting if one.kind == kind] for kind in kinds)
    stage.answer([*corrections, *demonstrations[1:]], correction={"step": 1, "action": [1]})
    stage.answer(demonstrations[:1], demonstration={"segment_id": impossible})
    # As one came in before answers were held against the world.
    with closing(sqlite3.connect(folder / "heeler.db")) as old, old:
        old.execute("UPDATE feedback SET value = json_replace(value, '$.action[0]', 7) WHERE position = 1")
    stage.loop.listen(stage.step)
    left_out = [each for each in stage.loop.ledger.taken.values() if each.is_left_out]
    assert sorted(each.kind for each in left_out) == ["correction", "demonstration"]
    assert not any(each.says for each in left_out) and stage.loop.ledger.num_useful > 0
    words = "2 answers name what is no action of this world, and nothing is learned from that"
    assert [stage.loop.warning(), stage.loop.warning()] == [words, None]


def test_a_kind_that_people_cannot_judge_is_expected_to_say_less(folder):
    teacher = KindsTeacherConfig(cannot=("preference",))
    stage = KindsStage(stage_config(teacher=teacher, kinds=("preference", "rating"), asking="uniform"), folder)
    stage.finish()
    says = stage.loop.ledger.says(("preference", "rating"))
    assert says["preference"] < 0.8 < says["rating"] == 1.0


def test_people_who_cannot_tell_are_told_of_and_shown_aids(folder):
    stage = people_stage(folder, kinds=("preference", "rating"), schedule=LabelSchedule(budget=600, initial_share=0.6))
    for _ in range(12):
        stage.turn()
        stage.answer(stage.store.open_queries(1000), preference={"choice": "cant_tell"})
    assert stage.loop.hard == ["preference"]
    assert stage.store.setting(AIDS, []) == ["preference"]
    assert stage.loop.metrics()["kinds/preference/cannot_judge"] == 1.0
    assert "kinds/rating/cannot_judge" not in stage.loop.metrics()
    assert [details["reason"] for act, details in stage.told if act == "asking.aids"] == [
        "kinds that people cannot judge by: preference"
    ]


def test_who_is_asked_what_is_hard_to_judge_may_see_what_the_reward_thinks_of_it(folder):
    stage = people_stage(folder, kinds=("preference", "rating"), schedule=LabelSchedule(budget=600, initial_share=0.6))
    left_open: set[str] = set()
    for _ in range(12):
        stage.turn()
        waiting = stage.store.open_queries(1000)
        left_open = left_open or {one.id for one in waiting if one.kind == "preference"}
        left_open = set(sorted(left_open)[:2])
        told = [one for one in waiting if one.id not in left_open]
        stage.answer(told, preference={"choice": "cant_tell"})
    assert stage.loop.hard == ["preference"] and stage.loop.learned.is_fitted
    waiting = [one for one in stage.store.open_queries(1000) if one.kind == "preference"]
    assert waiting
    shown = stage.store.setting(VIEWS, {})
    assert set(shown) == {query.id for query in waiting}
    model, state = stage.loop.learned.model, stage.loop.learned.state
    for query in waiting:
        segments = control_segments(stage.store, query.segment_ids)
        returns_M2 = model.segment_returns(state, [segments[name] for name in query.segment_ids])
        logit_M = state.noise.precision("preference") * (returns_M2[:, 0] - returns_M2[:, 1])
        assert shown[query.id]["first_better"] == pytest.approx(float(torch.sigmoid(logit_M).mean()), abs=1e-5)
        for place, name in enumerate(query.segment_ids):
            reward_L = model.step_rewards(state, segments[name]).mean(0)
            sums = [float(reward_L[start : start + 2].sum()) for start in range(7)]
            assert shown[query.id]["best"][place] == [np.argmax(sums), np.argmax(sums) + 2]
            assert shown[query.id]["worst"][place] == [np.argmin(sums), np.argmin(sums) + 2]


def test_open_questions_go_first_to_who_is_comparatively_best_at_them(folder):
    stage = people_stage(folder, kinds=("preference", "rating"), schedule=LabelSchedule(budget=600, initial_share=0.6))
    left_open: set[str] = set()
    for turn in range(12):
        stage.turn()
        waiting = stage.store.open_queries(1000)
        left_open = left_open or {one.id for one in waiting[:6]}
        told = [one for one in waiting if one.id not in left_open]
        stage.answer(told[::2], "ann")
        assert turn or stage.store.setting(FIRST_FOR, None) is None
        stage.answer(told[1::2], "bob")
    stage.turn()
    waiting = {one.id for one in stage.store.open_queries(1000)}
    first = stage.store.setting(FIRST_FOR, {})
    assert set(first) == {"ann", "bob"}
    assert left_open <= set(first["ann"]) | set(first["bob"])
    assert len(first["ann"]) + len(first["bob"]) == len(set(first["ann"]) | set(first["bob"]))
    assert waiting >= left_open


# Withdrawn, lost, saved


def test_withdrawn_answers_are_left_out_and_the_rest_is_fitted_again(folder):
    stage, reference = people_stage(folder / "a"), people_stage(folder / "b")
    queries = ask_first(stage)
    assert [q.id for q in ask_first(reference)] == [q.id for q in queries]
    stage.answer(queries[:3], "bob")
    for each in (stage, reference):
        each.answer(queries, "ann")
        each.loop.listen(each.step)
    stage.loop.learned.fit(stage.loop.ledger.used_s, [])
    stage.store.withdrawals.forget("bob", "remove")
    stage.loop.listen(stage.step)
    state, never = stage.loop.learned.state, reference.loop.learned.state
    assert sorted(state.answers) == sorted(never.answers)
    assert state.people == never.people == ["ann"]
    assert stage.loop.ledger.used_s == reference.loop.ledger.used_s
    assert stage.loop.times.state_dict() == reference.loop.times.state_dict()
    fresh, untouched = state.network.state_dict(), never.network.state_dict()
    assert all(torch.equal(fresh[name], untouched[name]) for name in untouched), "nothing is left in the weights"
    assert stage.loop.learned.num_unfitted == reference.loop.learned.num_unfitted


def saved(stage: KindsStage) -> tuple[dict[str, np.ndarray], Any]:
    arrays, state = stage.loop.kept()
    return {name: array.copy() for name, array in arrays.items()}, json.loads(json.dumps(state, allow_nan=False))


def test_what_was_saved_goes_on_bit_for_bit(folder):
    stage = KindsStage(stage_config(kinds=FEEDBACK_KINDS), folder)
    stage.turns(9)
    arrays, state = saved(stage)
    again = stage.new_loop()
    again.restore(arrays, state)
    restored_arrays, restored_state = again.kept()
    assert json.loads(json.dumps(restored_state)) == state
    assert all(np.array_equal(restored_arrays[name], array) for name, array in arrays.items())


def test_questions_of_a_lost_stretch_count_as_asked_and_their_answers_are_taken_in(folder):
    stage = people_stage(folder, kinds=("rating", "demonstration"))
    stage.turn()
    arrays, state = saved(stage)
    stage.turn()
    lost = [q for q in stage.store.open_queries(1000) if q.id not in state["ledger"]["asked"]]
    assert lost
    again = stage.new_loop()
    again.restore(arrays, state)
    assert set(again.ledger.asked) >= {q.id for q in lost}
    stage.loop = again
    stage.answer(lost)
    again.listen(stage.step)
    assert {one.query_id for one in again.ledger.taken.values()} == {q.id for q in lost}


def test_a_killed_run_goes_on_as_if_it_had_never_stopped(tmp_path):
    class Stopped(Exception):
        pass

    def stop(row):
        if row["update"] == 6:
            raise Stopped

    def trace(path):
        timed = ("elapsed_s", "acting_s", "reward_s", "learning_s")
        return [{k: v for k, v in row.items() if k not in timed} for row in RunDirectory.open(path).metrics()]

    config = tiny_kinds(of="preference,rating,evaluation", monitors=None)
    run(config, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(config, tmp_path / "run", on_metrics=stop)
    resume(tmp_path / "run")
    assert trace(tmp_path / "run") == trace(tmp_path / "whole")
    ends = [RunDirectory.open(tmp_path / name).newest_checkpoint()[0] for name in ("run", "whole")]
    assert ends[0] is not None
    assert ends[1] is not None
    assert all(np.array_equal(ends[0].tensors[name], array) for name, array in ends[1].tensors.items())
    last = trace(tmp_path / "run")[-1]
    assert last["fits"] >= 2
    assert last["answered"] == last["asked"] > 10
    directory = RunDirectory.open(tmp_path / "run")
    with directory.locked(), open_store(directory) as store:
        assert staleness(directory, store).in_words is None
        store.withdrawals.forget("simulated", "remove")
        assert "withdrawn; train again from step" in (staleness(directory, store).in_words or "")


def test_the_budget_can_be_changed_while_it_runs(folder):
    stage = KindsStage(stage_config(), folder)
    stage.turns(6)
    stage.loop.set_budget(1)
    before = stage.loop.ledger.in_hand_s
    stage.turns(3)
    assert stage.loop.ledger.in_hand_s == pytest.approx(before, rel=0.2)
    arrays, state = saved(stage)
    again = stage.new_loop()
    again.restore(arrays, state)
    assert again.schedule.budget == 1


def test_asking_stops_when_answers_change_nothing_any_more(folder):
    config = stage_config(enough=EnoughConfig(bits_per_s=10.0, rank=-1.0, num_fits=2), refit_every=2)
    stage = KindsStage(config, folder)
    stage.finish()
    acts = [act for act, _ in stage.told]
    assert acts[0] == "asking.stop"
    assert "answers no longer change what is learned" in stage.told[0][1]["reason"]
    assert stage.loop.metrics()["asking_stopped"] == 1.0
    assert stage.loop.ledger.used_s < 150


# Configuration


def test_kinds_and_preferences_are_refused_together():
    with pytest.raises(ConfigError, match="preferences and kinds each learn the reward"):
        replace(tiny_kinds(), preferences=tiny_preferences().preferences)


def test_a_configuration_is_read_as_it_was_written():
    config = tiny_kinds(of="preference,critique,correction")
    assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kinds": ()}, "at least one kind"),
        ({"kinds": ("ratings",)}, r"got 'ratings'\. Did you mean"),
        ({"asking": "entropy"}, "kinds.asking must be one of information, uniform"),
        ({"segment_length": 0}, "kinds.segment_length must be >= 1, got 0"),
        ({"segment_length": 999}, "segment_length must be <= num_steps"),
        ({"history_share": 2.0}, "kinds.history_share"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        stage_config(**changes)


def test_corrections_need_a_reward_of_what_is_done_and_a_world_whose_actions_are_known(tmp_path):
    with pytest.raises(ConfigError, match="leave next_observation out of"):
        model = stage_config().kinds.model
        stage_config(kinds=("correction",), model=replace(model, reward=replace(REWARD, inputs=("next_observation",))))
    with pytest.raises(ConfigError, match="can correct only where it is known what an action earns"):
        run(tiny_kinds("CartPole-v1", of="correction"), tmp_path / "run")


def test_the_report_says_what_answers_of_each_kind_were_worth(tmp_path):
    config = tiny_kinds(of="preference,rating")
    assert config.kinds is not None
    never = EnoughConfig(bits_per_s=10.0, rank=-1.0, num_fits=1)
    run(replace(config, kinds=replace(config.kinds, enough=never)), tmp_path / "run")
    page = write_report(tmp_path / "run").read_text("utf-8")
    section = page.split("What answers were worth</h2>")[1].split("</section>")[0]
    assert "<td>preference</td>" in section
    assert "<td>rating</td>" in section
    assert "answers no longer change what is learned" in section
    assert "answers by a simulated teacher" in page
    assert "People&#x27;s time" in page
    checkpoint, _ = RunDirectory.open(tmp_path / "run").newest_checkpoint()
    assert checkpoint is not None
    worth = worth_of_kinds(config, checkpoint, RunDirectory.open(tmp_path / "run").metrics()[-1])
    assert {one.kind: one.answered > 0 for one in worth} == {"preference": True, "rating": True}
    assert sum(one.bits for one in worth) > 0
    assert all(one.gain is None or math.isfinite(one.gain) for one in worth)
    answers = worth_of_answers(checkpoint)
    assert len(answers) == sum(one.answered for one in worth)
    for one in worth:
        own = [each.bits for each in answers if each.kind == one.kind and each.bits is not None]
        assert math.fsum(own) == pytest.approx(one.bits), "all answers of a kind together said what the kind did"
    said = [each.bits for each in answers if each.bits is not None]
    assert said == sorted(said, reverse=True)
    assert {each.bits for each in answers[len(said) :]} == {None}, "what came before the first fit"
    told = page.split("The answers that said most, of ")[1].split("</div></div>")[0]
    assert f"<td>{answers[0].position:,}</td>" in told and "simulated" not in told


def test_the_command_says_what_each_answer_said(tmp_path, capsys):
    run(tiny_kinds(of="preference,evaluation"), tmp_path / "run")
    assert main(["feedback", "worth", str(tmp_path / "run"), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["answers"]
    best = answers[0]
    assert best["bits_per_s"] == pytest.approx(best["bits"] / best["seconds"])
    assert {one["kind"] for one in answers} == {"preference", "evaluation"}
    assert main(["feedback", "worth", str(tmp_path / "run"), "--most", "1"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.startswith(f"{len(answers):,} answers") and f"answer {best['position']:,} by" in line
    assert main(["feedback", "worth", str(tmp_path / "run"), "--most", "0"]) == 2
    assert "--most must be at least 1" in capsys.readouterr().err
    run(tiny_preferences(), tmp_path / "compared")
    assert main(["feedback", "worth", str(tmp_path / "compared")]) == 2
    assert "does not learn from all kinds" in capsys.readouterr().err


def test_the_report_says_by_which_kinds_people_cannot_judge_and_since_when(tmp_path):
    config = tiny_kinds(of="preference,rating")
    assert config.kinds is not None
    teacher = KindsTeacherConfig(cannot=("preference",))
    schedule = replace(config.kinds.schedule, budget=400)
    kinds = replace(config.kinds, teacher=teacher, asking="uniform", schedule=schedule)
    result = run(replace(config, kinds=kinds), tmp_path / "run")
    rows = RunDirectory(result.path).metrics()
    since = next(row["step"] for row in rows if "kinds/preference/cannot_judge" in row)
    page = write_report(tmp_path / "run").read_text("utf-8")
    assert f"Kinds that people cannot judge by: preference, from step {since:,} on." in page


def test_a_kind_by_which_costs_are_asked_is_no_kind_of_the_reward():
    answers = UnsafeAnswersConfig(
        schedule=LabelSchedule(budget=10), teacher=UnsafeTeacherConfig(cost="lava"), kind="rating", segment_length=10
    )
    cost = CostConfig(name="lava", source="answers", budget=1.0)
    limits = LimitsConfig.of("ppo_lagrangian", (cost,), answers)
    with pytest.raises(ConfigError, match="asks by rating what is unsafe"):
        replace(tiny_kinds("LavaGrid"), limits=limits)


def test_a_run_of_all_kinds_keeps_budgets_and_is_watched(tmp_path):
    """With limits and monitors beside it, to the end."""
    limits = LimitsConfig.of("ppo_lagrangian", (CostConfig(name="lava", budget=1.0),))
    config = tiny_kinds("LavaGrid", limits=limits, monitors=MonitorsConfig(), total_steps=4 * 16 * 64)
    assert config.kinds is not None
    rows = []
    run(replace(config, kinds=replace(config.kinds, segment_length=8)), tmp_path / "run", on_metrics=rows.append)
    assert rows[-1]["seconds_used"] > 20
    assert any(name.startswith("cost_lava") for name in rows[-1])


# Enough


def test_ranks_by_hand():
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == -1.0
    assert rank_correlation(np.array([1.0, 1.0]), np.array([1.0, 2.0])) == 0.0
    # Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3.
    found = rank_correlation(np.array([0.0, 5.0, 5.0, 9.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found == pytest.approx(4.5 / math.sqrt(4.5 * 5.0))


def test_asking_stops_only_where_both_hold_and_begins_again_at_twice_the_rate():
    alike, other = np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 1.0, 3.0, 2.0])
    enough = Enough(config=EnoughConfig(bits_per_s=0.01, rank=0.9, num_fits=2))
    assert enough.fitted(alike, alike) is None, "nothing was scored yet"
    enough.asked(0.005)
    assert enough.fitted(alike, alike) is None
    assert enough.fitted(alike, other) is None, "it is ranked otherwise"
    assert enough.fitted(alike, alike) is None
    enough.asked(0.02)
    assert enough.fitted(alike, alike) is None, "a question says enough"
    enough.asked(0.005)
    assert enough.fitted(alike, alike) is None
    assert "less than 0.01" in (enough.fitted(alike, alike) or "")
    again = Enough(config=enough.config)
    again.load(json.loads(json.dumps(enough.state())))
    for each in (enough, again):
        assert each.asked(0.019) is None
        assert each.is_over
        assert "something new to learn" in (each.asked(0.02) or "")
        assert not each.is_over

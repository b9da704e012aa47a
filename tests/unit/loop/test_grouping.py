"""The loop with people who want different things: found, rewarded by a rule, resumed, forgotten, told."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from heeler.cli.people import groups
from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.errors import ConfigError, DataError
from heeler.core.rundir import RunDirectory
from heeler.feedback.annotators.known import known_people
from heeler.feedback.annotators.left_groups import FILE_NAME, left_groups
from heeler.feedback.control_crowd import ControlCrowdConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.withdrawal import id_sha256
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.grouping import Grouping
from heeler.loop.groups_told import groups_told
from heeler.loop.report import write_report
from heeler.loop.running import resume, run
from heeler.loop.telling_changes import tell_changes
from heeler.rewards.answerers import PeopleConfig
from heeler.rewards.group_rewards import GroupingConfig
from heeler.rewards.preference_model import PreferenceModelConfig
from tests.faults.test_run_kill import final_weights, metric_trace
from tests.unit.loop.stage import Stage, stage_config
from tests.unit.loop.tiny import tiny_preferences

TWO = ControlCrowdConfig(num_people=10, overlap=2, beta=8.0, mistake=0.0, second_group_share=0.4)
ONE = replace(TWO, second_group_share=0.0)
MODEL = PreferenceModelConfig(
    hidden_sizes=(8,), inputs=("action", "next_observation"), learning_rate=1e-2, max_epochs=8
)
GROUPS = GroupingConfig(look_every=40, turn_share=0.05, max_groups=3)


def grouped_stage(folder: Path, groups: GroupingConfig | None = GROUPS, crowd: ControlCrowdConfig = TWO) -> Stage:
    config = stage_config(
        teacher=crowd,
        people=PeopleConfig(),
        groups=groups,
        schedule=LabelSchedule(budget=160),
        refit_every=40,
        acquisition="random",
        model=MODEL,
    )
    stage = Stage(config, folder)
    assert stage.loop.who is not None
    stage.loop.who._folder = folder
    return stage


def grouping_of(stage: Stage) -> Grouping:
    assert stage.loop.grouping is not None
    return stage.loop.grouping


def grouped_run(groups: GroupingConfig | None = GROUPS, crowd: ControlCrowdConfig = TWO) -> RunConfig:
    config = tiny_preferences()
    assert config.preferences is not None
    asking = replace(
        config.preferences,
        teacher=crowd,
        people=PeopleConfig(),
        groups=groups,
        schedule=LabelSchedule(budget=160),
        refit_every=30,
        acquisition="random",
        model=MODEL,
    )
    return replace(config, preferences=asking)


@dataclass(frozen=True)
class Finished:
    """A stage after all its turns, to look at."""

    stage: Stage
    folder: Path
    numbers: list[int]
    """Of groups after each look."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("grouped")
    stage = grouped_stage(folder)
    grouping, numbers = grouping_of(stage), list[int]()
    for _ in range(20):
        looks = grouping._num_looks
        stage.turn()
        if grouping._num_looks > looks:
            numbers.append(grouping.num_groups)
    return Finished(stage, folder, numbers)


def test_two_groups_are_found_with_their_people_and_rewards_and_nobody_is_called_hostile(finished: Finished) -> None:
    stage, tmp_path = finished.stage, finished.folder
    grouping = grouping_of(stage)
    assert finished.numbers[0] == 1 and finished.numbers[-1] == 2, "a new number counts once two looks agree on it"
    assert grouping.num_groups == 2 and sorted(grouping.sizes(), reverse=True) == [6, 4]
    kinds = stage.loop.teacher.people  # type: ignore[union-attr]
    side = {kinds[name]: int(np.argmax(grouping.member[id_sha256(name)])) for name in kinds}
    assert side == {"honest": 0, "second": 1}, "the largest group is the first"
    for name, kind in kinds.items():
        assert np.argmax(grouping.member[id_sha256(name)]) == side[kind]
    rollout = stage.act()
    true = rollout.true_reward.ravel()
    raw = [stage.model.predict(state, rollout).mean(0).numpy().ravel() for state in grouping.states]
    assert np.corrcoef(raw[0], true)[0, 1] > 0.7 and np.corrcoef(raw[1], true)[0, 1] < -0.7
    told = {one.annotator: one.judgement for one in known_people(stage.store, tmp_path).people}
    assert min(one.reliability for one in told.values()) > 0.5
    metrics = stage.loop.metrics()
    assert metrics["groups"] == 2 and metrics["people_hostile"] == 0
    assert metrics["group_weight/1"] + metrics["group_weight/2"] == pytest.approx(1)


def test_the_decided_reward_follows_the_rule(tmp_path: Path) -> None:
    stage = grouped_stage(tmp_path)
    stage.finish()
    grouping = grouping_of(stage)
    rollout, reward = stage.turn()
    assert reward is not None and grouping.turn is None
    assert np.corrcoef(reward.ravel(), rollout.true_reward.ravel())[0, 1] > 0.5, "six against four"
    grouping.turns_left = [0, 1]
    rollout, reward = stage.turn()
    assert reward is not None
    assert np.corrcoef(reward.ravel(), rollout.true_reward.ravel())[0, 1] < -0.5, "the second group's turn"
    assert grouping.turn is None, "its only one"
    before = grouping.deciding
    stage.loop.reward(stage.act(), progress=0.0, is_own=False)
    assert grouping.deciding is before, "what a trusted policy does says nothing of how groups fare"


def test_a_crowd_of_one_mind_learns_as_without_groups_bit_for_bit(tmp_path: Path) -> None:
    run(grouped_run(None, ONE), tmp_path / "without")
    run(grouped_run(GROUPS, ONE), tmp_path / "with")
    weights = final_weights(tmp_path / "with")
    assert weights.pop("preferences.groups.chance"), "steps of the untrained policy, should groups be found"
    assert weights == final_weights(tmp_path / "without")
    with_groups = metric_trace(tmp_path / "with")
    assert {row.pop("groups") for row in with_groups} == {1.0}
    assert with_groups == metric_trace(tmp_path / "without")
    assert left_groups(tmp_path / "with") is None and groups(tmp_path / "with") == 0


def test_a_killed_run_goes_on_bit_for_bit_and_names_nobody(tmp_path: Path, capsys) -> None:
    class Stopped(Exception):
        """Where the run is cut short."""

    def stop(row) -> None:
        if row["update"] == 10:
            raise Stopped

    config = grouped_run(replace(GROUPS, rule="least_happy"))
    run(config, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(config, tmp_path / "run", on_metrics=stop)
    resume(tmp_path / "run")
    trace = metric_trace(tmp_path / "whole")
    found = [row["update"] for row in trace if row["groups"] == 2]
    assert found and found[0] < 8, "groups stand in the checkpoint from which it goes on"
    assert final_weights(tmp_path / "run") == final_weights(tmp_path / "whole")
    assert metric_trace(tmp_path / "run") == trace
    left = [left_groups(tmp_path / name) for name in ("run", "whole")]
    assert left[0] is not None and left[1] is not None
    np.testing.assert_array_equal(left[0].margin_QG, left[1].margin_QG)
    checkpoint, _ = RunDirectory.open(tmp_path / "run").newest_checkpoint()
    assert checkpoint is not None and "person-" not in json.dumps(checkpoint.state["preferences"]["people"])
    acts = [one for one in entries(tmp_path / "whole" / AUDIT_NAME, after=0, limit=100)]
    (told,) = [one.details for one in acts if one.act == "preferences.groups"]
    assert told["num_groups"] == 2 and told["sizes"] == [6, 4] and told["rule"] == "least_happy"
    shown_by_command_and_report(tmp_path / "whole", capsys)


def shown_by_command_and_report(path: Path, capsys) -> None:
    """Of a run with two groups, of six and four."""
    capsys.readouterr()
    assert groups(path, json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["size"] for one in told["groups"]] == [6, 4] and told["rule"] == "least_happy"
    assert told["foretold"][0][0]["mean"] > 0.6 > 0.4 > told["foretold"][0][1]["mean"]
    assert told["agreement"][0][0]["mean"] > 0.6 > 0.4 > told["agreement"][0][1]["mean"]
    assert len(told["questions"]) == 5 and len(told["questions"][0]["segment_ids"]) == 2
    assert groups(path) == 0
    assert "group 2  people 4" in capsys.readouterr().out
    page = write_report(path).read_text()
    assert "People who want different things" in page and "Weight of each group" in page


def test_of_few_people_nothing_is_shown_nor_can_it_be_worked_out(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, tmp_path = finished.stage, finished.folder
    told = groups_told(stage.store, tmp_path, GROUPS, [stage.loop.metrics()])
    assert told is not None and [one.size for one in told.groups] == [6, 4]
    hidden = groups_told(stage.store, tmp_path, replace(GROUPS, min_people=5), [stage.loop.metrics()])
    assert hidden is not None and hidden.num_groups == 2
    assert hidden.groups == hidden.agreement == hidden.foretold == hidden.questions == ()
    grouping = grouping_of(stage)
    monkeypatch.setattr(grouping, "config", replace(GROUPS, min_people=5))
    assert not [name for name in grouping.told() if name.startswith("group_")]
    grouping._tell()
    assert grouping.news[-1].sizes == (None, None) and "too few to tell" in grouping.news[-1].in_words


def test_a_group_that_its_people_leave_is_given_up_and_told(tmp_path: Path) -> None:
    stage = grouped_stage(tmp_path)
    stage.finish()
    grouping, directory = grouping_of(stage), RunDirectory.create(tmp_path / "run", to_dict(stage.config))
    grouping.take_news()
    kinds = stage.loop.teacher.people  # type: ignore[union-attr]
    for name in [name for name, kind in kinds.items() if kind == "second"][:2]:
        stage.store.withdrawals.forget(name, "remove")
    stage.turn()
    left = {f.annotator for _, f in stage.store.feedback_after(0, limit=1000, up_to_step=None)}
    assert grouping.num_groups == 1 and not grouping.member, "two are no group"
    assert len(left) == 8 and left_groups(tmp_path) is None
    for name in set(kinds) - left:
        assert id_sha256(name) not in json.dumps(grouping.state())
    tell_changes(stage.loop, directory, stage.store, 7)
    told = stage.store.setting("grouped", None)
    assert told is not None and told["step"] == 7 and "one reward" in told["reason"]


def test_withdrawn_answers_leave_and_the_groups_are_found_anew_at_once(tmp_path: Path) -> None:
    stage = grouped_stage(tmp_path)
    stage.finish()
    grouping, kinds = grouping_of(stage), stage.loop.teacher.people  # type: ignore[union-attr]
    name = next(name for name, kind in kinds.items() if kind == "honest")
    stage.store.withdrawals.forget(name, "remove")
    stage.turn()
    assert sorted(grouping.sizes()) == [4, 5] and id_sha256(name) not in grouping.member
    left = left_groups(tmp_path)
    assert left is not None and set(left.position_Q.tolist()) == set(stage.loop.ledger.taken)


def test_newcomers_count_in_every_group_by_their_share(finished: Finished) -> None:
    stage = finished.stage
    grouping = grouping_of(stage)
    assert grouping._member_of("a stranger") == grouping.share_G.tolist()
    segments = list(stage.segments_of(stage.all_queries()[0]))
    of_all = grouping.returns(stage.model, segments, ["a stranger"] * 2)
    each = [
        (stage.model.segment_returns(state, segments) * state.scale_M[:, None]).mean(0) for state in grouping.states
    ]
    expected = grouping.share_G[0] * each[0] + grouping.share_G[1] * each[1]
    np.testing.assert_allclose(of_all.numpy(), expected.numpy(), rtol=1e-5)


def test_settings_are_read_back_and_what_cannot_work_is_refused(tmp_path: Path) -> None:
    config = grouped_run(replace(GROUPS, rule="budgeted", budget=0.4))
    assert from_dict(to_dict(config)) == config and config.preferences is not None
    with pytest.raises(ConfigError, match="groups are told from who answers"):
        replace(config.preferences, people=None)
    with pytest.raises(ConfigError, match=r"groups.min_people must be at most half of teacher.num_people \(10\)"):
        replace(config.preferences, groups=replace(GROUPS, min_people=6))
    values = to_dict(config)
    values["preferences"]["groups"]["rul"] = "mean"
    with pytest.raises(ConfigError, match="rul"):
        from_dict(values)
    RunDirectory.create(tmp_path / "plain", to_dict(grouped_run(None)))
    with pytest.raises(ConfigError, match="looks for no groups"):
        groups(tmp_path / "plain")
    (tmp_path / FILE_NAME).write_bytes(b"PK torn")
    with pytest.raises(DataError, match="damaged"):
        left_groups(tmp_path)

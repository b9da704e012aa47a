"""Monitors in a run: what they find reaches the log, the metrics, the report; their state survives; nothing changes."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.errors import ConfigError, LearningError
from heeler.core.nouns import Feedback, Query
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.machine import WrittenCheckpoints, machine
from heeler.loop.new_answers import NewAnswers, is_foretold
from heeler.loop.online import OnlineRun
from heeler.loop.report_findings import findings_section, findings_to_show, read_findings
from heeler.loop.running import resume, run
from heeler.loop.watchdog import Watchdog
from heeler.loop.watching import FINDING, setup_of, watch_over, watched
from heeler.oversight.finding import Finding
from heeler.oversight.monitors import MonitorsConfig
from heeler.oversight.monitors.kl_spike import KlSpike
from heeler.oversight.monitors.seen import Seen
from heeler.recipes import imitation
from tests.faults.test_run_kill import final_weights, metric_trace
from tests.unit.loop import tiny

TIMED = ("slow_updates", "resources")


def tiny_ppo(**settings: Any) -> RunConfig:
    """On the true reward, and watched."""
    return tiny.tiny_ppo(**{"monitors": MonitorsConfig(), **settings})


def tiny_preferences(**settings: Any) -> RunConfig:
    """Learned from comparisons, and watched."""
    return tiny.tiny_preferences(**{"monitors": MonitorsConfig(), **settings})


@pytest.fixture
def alarmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the monitors finds something in each update."""

    def look(monitor: KlSpike, seen: Seen) -> Finding | None:
        return monitor.found(seen, "Something is wrong", kl=seen.row["kl"])

    monkeypatch.setattr(KlSpike, "look", look)


def state_of(online: OnlineRun) -> dict[str, Any]:
    """Of the watch, without what goes by the clock."""
    assert online.watch
    state = json.loads(json.dumps(online.watch.state(), allow_nan=False))
    for name in TIMED:
        state["monitors"].pop(name)
    return state


def stepped(config: RunConfig, path: Path, updates: int) -> dict[str, Any]:
    """Learn for some updates, from where a run there stands; its watch's state then."""
    directory = RunDirectory.create(path, to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        for _ in range(updates):
            online.iterate()
        online.world.close()
        return state_of(online)


@pytest.mark.usefixtures("alarmed")
def test_a_finding_reaches_the_audit_log_the_metrics_and_the_report(tmp_path: Path) -> None:
    config = tiny_ppo(monitors=MonitorsConfig(quiet_updates=2))
    run(config, tmp_path / "run")
    lines = [one for one in entries(tmp_path / "run" / AUDIT_NAME, after=0, limit=100) if one.act == FINDING]
    # One in three: a monitor that found something is quiet for two updates.
    assert [one.details["step"] for one in lines] == [512, 512 * 4]
    assert lines[0].details["monitor"] == "kl_spike"
    assert lines[0].details["evidence"]["kl"] >= 0
    rows = RunDirectory.open(tmp_path / "run").metrics()
    assert [row.get("findings") for row in rows] == [1, None, None, 1, None, None]
    assert rows[0]["findings/kl_spike"] == 1
    found = read_findings(tmp_path / "run")
    assert [one.step for one in found] == [512, 2048]
    page = findings_section(found)
    assert "kl_spike" in page and "2,048" in page


def test_findings_of_a_stretch_that_was_walked_again_are_told_once_and_name_nobody(tmp_path: Path) -> None:
    finding = Finding(
        monitor="fast_answers", step=5, reason="person-7 answers <fast>", evidence={"annotator": "person-7"}
    )
    page = findings_section([finding])
    assert "person-7" not in page
    assert "An annotator answers &lt;fast&gt;" in page
    assert findings_section([]) == ""


def test_a_damaged_log_is_what_a_report_tells_of(tmp_path: Path) -> None:
    (tmp_path / AUDIT_NAME).write_text("not a line of a log\n")
    (found,) = findings_to_show(tmp_path)
    assert found.monitor == "audit log"


@pytest.mark.usefixtures("alarmed")
def test_a_walked_again_stretch_is_in_the_log_twice_and_in_the_report_once(tmp_path: Path) -> None:
    config = tiny_ppo(monitors=MonitorsConfig(quiet_updates=0), checkpoint_every=2)
    stepped(config, tmp_path / "run", 3)
    run(config, tmp_path / "run")
    lines = [one for one in entries(tmp_path / "run" / AUDIT_NAME, after=0, limit=100) if one.act == FINDING]
    assert len(lines) == 7
    assert [one.step // 512 for one in read_findings(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("make", [tiny_ppo, tiny_preferences])
def test_what_is_learned_does_not_depend_on_the_watch(tmp_path: Path, make: Any) -> None:
    for name, monitors in (("with", MonitorsConfig()), ("without", None)):
        run(make(monitors=monitors), tmp_path / name)
    assert final_weights(tmp_path / "with") == final_weights(tmp_path / "without")
    assert metric_trace(tmp_path / "with") == metric_trace(tmp_path / "without")


@pytest.mark.parametrize("make", [tiny_ppo, tiny_preferences])
def test_monitors_go_on_bit_for_bit_from_a_checkpoint(tmp_path: Path, make: Any) -> None:
    config = replace(make(), checkpoint_every=3)
    whole = stepped(config, tmp_path / "whole", 6)
    stepped(config, tmp_path / "cut", 4)
    assert stepped(config, tmp_path / "cut", 3) == whole
    assert whole["monitors"]["dynamics"]["regression"]["num_batches"] == 6


def test_a_rollback_takes_the_monitors_back(tmp_path: Path) -> None:
    config = tiny_ppo(checkpoint_every=2)
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        states = []
        for _ in range(4):
            online.iterate()
            states.append(state_of(online))
        online.roll_back(2 * 512)
        assert state_of(online) == states[1]
        online.world.close()


def test_a_run_that_nobody_watched_goes_on_with_a_watch(tmp_path: Path) -> None:
    config = tiny_ppo(monitors=None)
    stepped_without(config, tmp_path / "run", 3)
    path = tmp_path / "run" / "config.yaml"
    path.write_text(yaml.safe_dump(to_dict(replace(config, monitors=MonitorsConfig(stall_s=60)))))
    resume(tmp_path / "run")
    checkpoint, _ = RunDirectory.open(tmp_path / "run").newest_checkpoint()
    assert checkpoint is not None
    assert len(checkpoint.state["watch"]["monitors"]["kl_spike"]["spike"]["jump"]["past"]) == 3


def stepped_without(config: RunConfig, path: Path, updates: int) -> None:
    directory = RunDirectory.create(path, to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        assert online.watch is None
        online.begin()
        for _ in range(updates):
            online.iterate()
        online.world.close()


def test_settings_come_back_from_the_file_and_unknown_monitors_are_refused() -> None:
    config = tiny_ppo(monitors=MonitorsConfig(rates={"kl_spike": 0.1}, off=("dynamics",)))
    assert from_dict(yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config
    values = to_dict(config)
    del values["monitors"]
    assert from_dict(values).monitors is None
    values["monitors"] = {}
    assert from_dict(values).monitors == MonitorsConfig()
    values = to_dict(config)
    values["monitors"]["off"] = ["dinamics"]
    with pytest.raises(ConfigError, match=r"monitors: there is no monitor 'dinamics'.*dynamics"):
        from_dict(values)


def test_monitors_that_are_off_do_not_look(tmp_path: Path) -> None:
    config = tiny_ppo(monitors=MonitorsConfig(off=("resources", "checkpoints", "stall")))
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        assert online.watch
        assert {"resources", "checkpoints", "stall"}.isdisjoint(online.watch.names)
        assert {"kl_spike", "breakdown"} <= set(online.watch.names)
        with watched(online.watch, online):
            assert not any(thread.name == "watchdog" for thread in threading.enumerate())
        online.world.close()


def test_a_fresh_policy_is_not_held_to_what_the_one_before_did(tmp_path: Path) -> None:
    config = tiny_preferences()
    assert config.preferences is not None
    config = replace(config, preferences=replace(config.preferences, restart_share=0.5))
    state = stepped(config, tmp_path / "run", 8)["monitors"]
    assert state["dynamics"]["regression"]["num_batches"] == 8 - 6
    assert state["feedback_stops"]["num_answered"] > 2


# How a run ends


def test_what_ended_a_run_is_a_finding(tmp_path: Path) -> None:
    config = tiny_ppo()
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        with torch.no_grad():
            next(online.learner.policy.actor.parameters()).fill_(float("nan"))
        with pytest.raises(LearningError), watched(online.watch, online):
            online.iterate()
        online.world.close()
    (found,) = read_findings(tmp_path / "run")
    assert found.monitor == "breakdown"
    assert "a weight of the policy" in found.reason


def test_a_world_that_hangs_is_noticed_while_it_does(tmp_path: Path) -> None:
    config = tiny_ppo(monitors=MonitorsConfig(stall_s=0.3))
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        with watched(online.watch, online):
            time.sleep(0.8)
            (found,) = read_findings(tmp_path / "run")
            row = online.iterate()
            assert online.watch
            told = online.watch.findings
        online.world.close()
    assert found.monitor == "stall"
    assert found.evidence["silent_s"] >= 0.3
    assert told == [found], "whoever decides is told as soon as anything can be decided"
    assert row is not None
    assert row["findings/stall"] == 1


def test_a_watchdog_calls_out_once_for_each_silence() -> None:
    heard: list[float] = []
    dog = Watchdog(lambda: 0.1, heard.append)
    dog.start()
    time.sleep(0.5)
    assert len(heard) == 1
    dog.beat()
    time.sleep(0.4)
    assert len(heard) == 2
    for _ in range(8):
        dog.beat()
        time.sleep(0.03)
    dog.stop()
    assert len(heard) == 2
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())


# The machine


def test_what_is_known_of_the_machine(tmp_path: Path) -> None:
    found = machine(tmp_path)
    assert set(found) == {"free_disk_mb", "memory_mb", "free_memory_mb"}
    before = found["memory_mb"]
    held = np.ones(20_000_000)
    assert machine(tmp_path)["memory_mb"] - before > 100
    assert held.all()


def test_a_checkpoint_that_is_altered_or_torn_is_noticed_and_a_new_one_is_not(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    written = WrittenCheckpoints(directory)

    def damaged() -> list[str]:
        return [problem for _ in range(4) for problem in written.damaged()]

    for step in (1, 2):
        directory.save_checkpoint(step, {"a": np.ones(3)}, {}, keep=3)
        assert damaged() == []
    path = tmp_path / "checkpoints" / "step-1" / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    (problem,) = damaged()
    assert "step-1" in problem and "SHA-256" in problem
    directory.save_checkpoint(2, {"a": np.zeros(3)}, {}, keep=3)
    written.written(2)
    assert damaged() == []
    directory.save_checkpoint(3, {"a": np.ones(3)}, {}, keep=3)
    written.written(3)
    (tmp_path / "checkpoints" / "step-3" / "state.json").write_text("{ }")
    assert "step-3" in damaged()[0], "before it was ever looked at"
    (tmp_path / "checkpoints" / "step-2" / "state.json").unlink()
    assert "step-2" in damaged()[0]


# Answers


def test_answers_are_seen_with_whether_they_were_foretold() -> None:
    assert [is_foretold(2.0, 1.0, choice) for choice in ("left", "right", "equal")] == [True, False, None]
    assert [is_foretold(1.0, 2.0, choice) for choice in ("left", "right")] == [False, True]
    query = Query(id="q", kind="preference", segment_ids=("a", "b"), policy_version=0, asked_step=0)
    given = [
        Feedback(key=key, query_id=of, kind="preference", value={"choice": "left"}, annotator="ann", time_taken_s=2.0)
        for key, of in (("1", "q"), ("2", "q"), ("3", "of another run"))
    ]
    new = NewAnswers(wanted=True)
    new.add(given, {"q": query}, {"1": True})
    taken = new.take()
    assert [(one.left, one.right, one.is_foretold, one.time_taken_s) for one in taken] == [
        ("a", "b", True, 2.0),
        ("a", "b", None, 2.0),
    ]
    assert new.take() == ()
    unwanted = NewAnswers(wanted=False)
    unwanted.add(given, {"q": query}, {})
    assert unwanted.take() == ()


@pytest.mark.parametrize(("teacher", "followed"), [(None, ()), ("oracle", [3.0])])
def test_where_people_answer_nobody_follows_what_the_world_pays(tmp_path: Path, teacher: Any, followed: Any) -> None:
    """It is not what they want of it, and would tell on a policy that does what they do."""
    config = tiny_ppo()
    watch = watch_over(config, RunDirectory.create(tmp_path / "run", to_dict(config)), ())
    assert watch
    seen: list[Any] = []
    looks = SimpleNamespace(look=lambda each: seen.append(each.returns))
    watch.monitors = {"return_drift": looks}  # type: ignore[dict-item]
    people = SimpleNamespace(teacher=teacher, new_answers=NewAnswers(wanted=True), num_open=0)
    returns = SimpleNamespace(num_episodes=1, latest=[(3.0, 9)])
    watch.look({"step": 1.0, "update": 1.0}, returns=returns, people=people)  # type: ignore[arg-type]
    assert seen == [followed]


def test_an_oracle_s_answers_come_to_be_foretold(tmp_path: Path) -> None:
    told: list[bool] = []
    config = tiny_preferences()
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        assert online.watch and online.preferences
        look = online.watch.monitors["agreement_drift"].look

        def listen(seen: Seen) -> Finding | None:
            told.extend(one.is_foretold for one in seen.answers if one.is_foretold is not None)
            return look(seen)

        online.watch.monitors["agreement_drift"].look = listen  # type: ignore[method-assign]
        answered = 0
        while not online.is_finished:
            online.iterate()
            answered = online.preferences.num_answered
        online.world.close()
    # Of those that came before the first fit nothing is known.
    assert 0 < len(told) < answered == 24


@pytest.mark.parametrize(("method", "learns"), [("airl", True), ("gail", True), ("bc", False)])
def test_a_reward_that_imitation_learns_is_not_judged_as_a_given_one(method: str, learns: bool) -> None:
    """It moves at each update; whoever judged it as given would call that a fault."""
    config = imitation(env="CartPole-v1", method=method, demonstrations="demos.npz", total_steps=20_000)
    assert setup_of(config, MonitorsConfig(), (), {}).learns_reward == learns

"""Runs that are held: slowed, frozen, acting by what is trusted, rolled back and stopped, by people and by rules."""

import itertools
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from heeler.core import rundir
from heeler.core.attention import Attention, call
from heeler.core.audit import AUDIT_NAME, AuditEntry, entries, verify
from heeler.core.errors import CheckpointError, ConfigError, RunStopped, WorldError
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.envs.classic import Pendulum
from heeler.feedback.told import HELD, WARNED
from heeler.loop import running as running_module
from heeler.loop.by_hand import tell
from heeler.loop.config import RunConfig
from heeler.loop.holding import Held, Holding, step_before
from heeler.loop.intervened import Intervened
from heeler.loop.overseers.settings import OverseersConfig
from heeler.loop.running import resume, run
from heeler.loop.steering import Steering
from heeler.loop.trusted import Trusted, trusted_of
from heeler.oversight.finding import Finding
from heeler.oversight.interventions import InterventionsConfig, RuleConfig
from heeler.oversight.monitors.config import MonitorsConfig
from heeler.oversight.overseers.resources import ResourceBudget
from heeler.rollouts.collector import Collector
from heeler.safety.shields.config import FallbackConfig, ProjectionConfig, ShieldConfig
from tests.unit.loop.test_steering import STEPS, Operator, steered
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences


def tiny(**settings: Any) -> RunConfig:
    """Six updates of eight pendulums."""
    config = tiny_ppo("Pendulum-v1", **{"checkpoint_every": 2, "keep_checkpoints": 9, **settings})
    return replace(config, algorithm=replace(config.algorithm, num_epochs=1))


UPDATE = 8 * 64
"""Environment steps of one update of `tiny`."""


def ruled(*rules: RuleConfig, trusted: str = "zero", **settings: Any) -> RunConfig:
    return tiny(interventions=InterventionsConfig(rules=rules, trusted=trusted), monitors=MonitorsConfig(), **settings)


def rule(act: str, **settings: Any) -> RuleConfig:
    return RuleConfig(monitor="stuck_sensor", act=act, **settings)


def log_of(path: Path) -> list[AuditEntry]:
    assert verify(path / AUDIT_NAME).problems == ()
    return entries(path / AUDIT_NAME, after=0, limit=1000)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return RunDirectory.open(path).metrics()


def traces(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows_of(path)]


def arrays(path: Path) -> dict[str, bytes]:
    checkpoint, refused = RunDirectory.open(path).newest_checkpoint()
    assert checkpoint is not None
    assert refused == []
    return {name: array.tobytes() for name, array in checkpoint.tensors.items()}


def assert_same_run(path: Path, other: Path) -> None:
    assert arrays(path) == arrays(other)
    assert traces(path) == traces(other)


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch):
    """Have a monitor find something in these updates, each time that they are made."""

    def plan(*updates: int) -> None:
        decide = Holding.decide

        def finding(holding: Holding, update: int) -> None:
            if update in updates:
                evidence = {"update": update}
                holding.findings = [
                    Finding(monitor="stuck_sensor", step=update * UPDATE, reason="odd", evidence=evidence)
                ]
            decide(holding, update)

        monkeypatch.setattr(Holding, "decide", finding)

    return plan


class Killed(BaseException):
    """What nobody catches, as a kill is."""


def killed_at(update: int):
    def die(row: Mapping[str, float]) -> None:
        if row["update"] == update and "elapsed_s" in row:
            raise Killed

    return die


def test_rules_for_what_does_not_watch_are_refused():
    with pytest.raises(ConfigError, match="nothing watches this run; set monitors"):
        tiny(interventions=InterventionsConfig(rules=(rule("warn"),)))
    with pytest.raises(ConfigError, match="no monitor 'stuck_sensor' watches this run"):
        replace(ruled(rule("warn")), monitors=MonitorsConfig(off=("stuck_sensor",)))


# By people


def test_a_slowed_run_learns_by_a_tenth_of_the_steps(tmp_path):
    operator, _ = steered(tmp_path, tiny(), u2=("slow", None))
    free = Operator(tmp_path / "free")
    run(tiny(), free.path, on_metrics=free)
    rates = [[row["learning_rate"] for row in one.rows] for one in (operator, free)]
    assert rates[0][:2] == rates[1][:2]
    assert rates[0][2:] == pytest.approx([0.1 * rate for rate in rates[1][2:]])
    assert [row.get("held") for row in operator.rows] == [None, None, 1, 1, 1, 1]
    assert operator.outcomes() == [f"slowed since step {2 * UPDATE:,}"]
    name = "learner.policy.actor.layers.0.weight"
    assert arrays(operator.path)[name] != arrays(free.path)[name]


def test_what_slow_leaves_is_a_setting(tmp_path):
    config = tiny(interventions=InterventionsConfig(slow_share=0.5))
    operator, _ = steered(tmp_path, config, u2=("slow", None))
    left = [1 - update / 6 for update in range(6)]
    full = config.algorithm.learning_rate
    share = config.algorithm.final_learning_rate_share
    expected = [full * (share + (1 - share) * one) * (0.5 if place >= 2 else 1) for place, one in enumerate(left)]
    assert [row["learning_rate"] for row in operator.rows] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["slow", "freeze", "fall_back"])
def test_a_held_run_that_is_killed_goes_on_held(tmp_path, kind):
    config = tiny(interventions=InterventionsConfig(trusted="zero"), checkpoint_every=6)
    whole, _ = steered(tmp_path, config, u3=(kind, None))
    operator = Operator(tmp_path / "killed", u3=(kind, None))

    def die(row: Mapping[str, float]) -> None:
        operator(row)
        killed_at(5)(row)

    with pytest.raises(Killed):
        run(config, operator.path, on_metrics=die)
    assert RunDirectory.open(operator.path).checkpoint_steps() == [3 * UPDATE], "it was saved when it was held"
    resume(operator.path)
    assert_same_run(operator.path, whole.path)


def test_a_frozen_run_acts_on_and_its_policy_stays(tmp_path):
    operator, result = steered(tmp_path, tiny(), u2=("freeze", None))
    before = RunDirectory.open(operator.path).load_checkpoint(2 * UPDATE)
    kept = {name: array.tobytes() for name, array in before.tensors.items() if name.startswith("learner.")}
    after = arrays(operator.path)
    assert {name: after[name] for name in kept} == kept
    assert operator.updates() == [1, 2, 3, 4, 5, 6]
    assert ["policy_loss" in row for row in operator.rows] == [True, True, False, False, False, False]
    assert operator.rows[-1]["episodes"] > operator.rows[1]["episodes"]
    assert len(result.evaluation.returns) == 4


def test_a_frozen_run_begins_with_no_fresh_policy(tmp_path):
    config = tiny_preferences()
    assert config.preferences is not None
    config = replace(config, preferences=replace(config.preferences, restart_share=0.5))
    operator, _ = steered(tmp_path, config, u4=("freeze", None))
    before = RunDirectory.open(operator.path).load_checkpoint(4 * STEPS)
    name = "learner.policy.actor.layers.0.weight"
    assert arrays(operator.path)[name] == before.tensors[name].tobytes()
    assert operator.rows[-1]["fits"] > operator.rows[3]["fits"], "people's answers are still learned from"


def test_a_thawed_run_learns_as_if_it_had_not_been_held(tmp_path):
    """Held between two updates and let go: no bit of what it learns differs."""
    operator = Operator(tmp_path / "run", u3=("freeze", None))
    once = operator.tell

    def twice(kind: str, value: int | None = None) -> None:
        once(kind, value)
        once("thaw")

    operator.tell = twice  # type: ignore[method-assign]
    run(tiny(), operator.path, on_metrics=operator)
    run(tiny(), tmp_path / "free")
    assert_same_run(operator.path, tmp_path / "free")
    assert operator.outcomes()[1] == f"learns freely; it was frozen since step {3 * UPDATE:,}"


def test_a_milder_hold_does_not_loosen_a_harder_one(tmp_path):
    operator, _ = steered(tmp_path, tiny(), u2=("freeze", None), u3=("slow", None), u4=("freeze", None))
    already = f"frozen since step {2 * UPDATE:,} already"
    assert operator.outcomes() == [f"frozen since step {2 * UPDATE:,}", already, already]
    assert [row.get("held") for row in operator.rows] == [None, None, 2, 2, 2, 2]


def test_a_rollback_does_not_let_a_run_go(tmp_path):
    operator = Operator(tmp_path / "run", u3=("freeze", None), u5=("roll_back", 2 * UPDATE))
    run(tiny(), operator.path, on_metrics=operator)
    assert operator.updates() == [1, 2, 3, 4, 5, 3, 4, 5, 6]
    assert [row.get("held") for row in operator.rows[5:]] == [2, 2, 2, 2]
    checkpoint = RunDirectory.open(operator.path).load_checkpoint(2 * UPDATE)
    assert checkpoint.state["holding"]["held"]["level"] == "freeze", "what is gone on with after a kill says so too"


@pytest.mark.parametrize("by", ["a person", "a rule"])
def test_a_rollback_that_is_killed_at_any_write_lets_nothing_go(tmp_path, monkeypatch, find, by):
    """What holds the run stands in checkpoints that a rollback removes: never in those alone."""
    if by == "a rule":
        find(3, 5)
        config = ruled(rule("freeze", then=("roll_back",)))
        later: dict[str, Any] = {}
    else:
        config = tiny(checkpoint_every=1)
        later = {"u4": ("freeze", None), "u5": ("roll_back", 2 * UPDATE)}
    whole = Operator(tmp_path / "whole", **later)
    run(config, whole.path, on_metrics=whole)
    back, left = Intervened.roll_back, iter(())

    def counted(name: str, original: Any) -> Any:
        def writes(*arguments: Any, **named: Any) -> Any:
            if next(left, 1) == 0:
                raise Killed
            return original(*arguments, **named)

        return writes

    for number in range(100):

        def goes_back(intervened: Intervened, step: int, number: int = number) -> None:
            nonlocal left
            left = iter([*([1] * number), 0])
            back(intervened, step)
            left = iter(())

        path = tmp_path / f"killed-{number}"
        with monkeypatch.context() as patched:
            patched.setattr(Intervened, "roll_back", goes_back)
            for module, name in ((rundir.shutil, "rmtree"), (rundir.os, "replace"), (rundir.os, "truncate")):
                patched.setattr(module, name, counted(name, getattr(module, name)))
            try:
                run(config, path, on_metrics=Operator(path, **later))
                break
            except Killed:
                left = iter(())
        resume(path)
        assert_same_run(path, whole.path)
    assert number >= 4, "all writes were tried"


def test_a_rollback_does_not_hold_a_run_that_was_let_go(tmp_path):
    operator = Operator(tmp_path / "run", u1=("freeze", None), u3=("thaw", None), u5=("roll_back", 2 * UPDATE))
    run(tiny(), operator.path, on_metrics=operator)
    assert [row.get("held") for row in operator.rows] == [None, 2, 2] + [None] * 6


def test_others_are_told_how_a_run_is_held(tmp_path):
    operator = Operator(tmp_path / "run", u2=("slow", None), u4=("thaw", None))
    seen: list[Any] = []

    def look(row: Mapping[str, float]) -> None:
        with operator.store() as store:
            seen.append(store.setting(HELD, "never said"))
        operator(row)

    run(tiny(), operator.path, on_metrics=look)
    told = {"level": "slow", "by": "a person", "reason": "asked for", "since_step": 2 * UPDATE, "trusted": None}
    assert seen == ["never said", "never said", told, told, None, None]


# What is trusted


def actions_of(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What each rollout gave the world."""
    seen: list[np.ndarray] = []
    collect = Collector.collect

    def collects(collector: Collector, *arguments: Any) -> Any:
        rollout = collect(collector, *arguments)
        seen.append(rollout.executed)
        return rollout

    monkeypatch.setattr(Collector, "collect", collects)
    return seen


def halves(observation: np.ndarray) -> np.ndarray:
    """A function to trust."""
    return 0.5 * observation[:, :1]


def falls_over(observation: np.ndarray) -> np.ndarray:
    """One that works where it is tried out, and nowhere else."""
    if observation.any():
        raise ZeroDivisionError("division by zero")
    return np.zeros((len(observation), 1))


def wrong_shape(observation: np.ndarray) -> np.ndarray:
    return np.zeros((len(observation), 3))


HERE = "tests.unit.loop.test_interventions"


def test_a_run_that_falls_back_acts_by_a_function(tmp_path, monkeypatch):
    config = tiny(interventions=InterventionsConfig(trusted=f"{HERE}:halves"))
    actions = actions_of(monkeypatch)
    operator, _ = steered(tmp_path, config, u3=("fall_back", None), u5=("thaw", None))
    assert operator.outcomes()[0] == f"acts by {HERE}:halves, and learns nothing, since step {3 * UPDATE:,}"
    assert [bool((np.abs(one) <= 0.5).all()) for one in actions] == [False, False, False, True, True, False]
    assert ["policy_loss" in row for row in operator.rows] == [True] * 3 + [False] * 2 + [True]
    assert [row.get("held") for row in operator.rows] == [None] * 3 + [3] * 2 + [None]


def test_a_run_that_falls_back_to_a_checkpoint_keeps_that(tmp_path, monkeypatch):
    config = tiny(interventions=InterventionsConfig(trusted=f"step-{UPDATE}"), checkpoint_every=1, keep_checkpoints=1)
    trusted: list[torch.Tensor] = []
    collect = Collector.collect

    def collects(collector: Collector, policy: Any, *arguments: Any) -> Any:
        trusted.append(policy.actor.layers[0].weight.detach().clone())
        return collect(collector, policy, *arguments)

    monkeypatch.setattr(Collector, "collect", collects)
    operator, _ = steered(tmp_path, config, u4=("fall_back", None))
    assert RunDirectory.open(operator.path).checkpoint_steps() == [UPDATE, 6 * UPDATE]
    assert torch.equal(trusted[4], trusted[1]), "the policy after the first update"
    assert not torch.equal(trusted[4], trusted[3])


def test_a_run_falls_back_to_the_release_in_use_even_if_it_is_taken_back_later(tmp_path):
    path, operator = tmp_path / "run", Operator(tmp_path / "run", u4=("fall_back", None), u5=("stop", None))
    release_id = str(uuid.uuid4())

    def release(row: Mapping[str, float]) -> None:
        if row["update"] == 2 and "elapsed_s" in row:
            releases = Releases(RunDirectory.open(path))
            releases.propose(release_id, 2 * UPDATE, "ann", audit_head="0" * 64)
            releases.approve(release_id, "bob")
        operator(row)

    with pytest.raises(RunStopped):
        run(tiny(), path, on_metrics=release)
    assert operator.outcomes()[0] == f"acts by release:{release_id}, and learns nothing, since step {4 * UPDATE:,}"
    Releases(RunDirectory.open(path)).withdraw(release_id, "ann")
    resume(path, on_metrics=operator)
    assert operator.rows[-1]["held"] == 3
    tensors = path / "releases" / release_id / "tensors.safetensors"
    content = tensors.read_bytes()
    tensors.unlink()
    tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"SHA-256 of tensors.safetensors"):
        resume(path)


def test_what_is_trusted_acts_by_its_likeliest_action_and_only_as_it_was_released(tmp_path):
    path, release_id = tmp_path / "run", str(uuid.uuid4())
    policy = run(tiny(), path).policy
    directory = RunDirectory.open(path)
    releases = Releases(directory)
    release = releases.propose(release_id, 2 * UPDATE, "ann", audit_head="0" * 64)
    releases.approve(release_id, "bob")
    trusted, found = trusted_of("release", directory, tiny(), policy)
    assert found == f"release:{release_id}"
    observation = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    noise = policy.rollout_noise(1, 5, torch.Generator().manual_seed(0))[0]
    assert not torch.equal(policy.act(observation, noise), policy.act(observation, None))
    assert torch.equal(trusted.act(observation, noise), trusted.act(observation, None))
    # Another checkpoint, whole and with a manifest to match, in the place of the one that was released.
    other, aside = directory.load_checkpoint(4 * UPDATE), RunDirectory(tmp_path / "aside")
    aside.save_checkpoint(2 * UPDATE, other.tensors, other.state, keep=1)
    folder = releases.checkpoint_folder(release)
    for file in (aside.path / "checkpoints" / f"step-{2 * UPDATE}").iterdir():
        (folder / file.name).unlink()
        (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match="is not the one that was released"):
        trusted_of("release", directory, tiny(), policy)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_action_that_is_no_number_is_not_trusted(tmp_path, wrong):
    policy = run(tiny(total_steps=UPDATE), tmp_path / "run").policy
    trusted = Trusted(policy, tiny(), "mine", lambda seen: np.full((len(seen), 1), wrong))
    with pytest.raises(WorldError, match=r"mine: expected actions of shape \(2, 1\), finite numbers"):
        trusted.act(np.zeros((2, 3), np.float32), None)


def test_with_nothing_to_trust_falling_back_is_refused(tmp_path):
    operator, _ = steered(tmp_path, tiny(), u2=("fall_back", None))
    (outcome,) = operator.outcomes()
    assert outcome is not None
    assert outcome.startswith("refused: there is nothing trusted to fall back to: no release of this run is in use")
    assert "held" not in operator.rows[-1]


@pytest.mark.parametrize(
    ("trusted", "message"),
    [
        ("nowhere:f", "interventions.trusted: nowhere cannot be imported for 'f'"),
        (f"{HERE}:nothing", "interventions.trusted: .* has no function 'nothing'"),
        (f"{HERE}:wrong_shape", r"expected actions of shape \(2, 1\), .* got float64 of shape \(2, 3\)"),
        ("step-x", "expected step-N with a whole number N, got 'step-x'"),
        ("zeroes", "a function is named FILE.py:NAME or MODULE:NAME, got 'zeroes'"),
    ],
)
def test_what_cannot_be_trusted_is_refused_before_anything_is_written(tmp_path, trusted, message):
    with pytest.raises(ConfigError, match=message):
        run(tiny(interventions=InterventionsConfig(trusted=trusted)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_function_that_fails_ends_the_run_with_what_was_learned(tmp_path):
    config = tiny(interventions=InterventionsConfig(trusted=f"{HERE}:falls_over"))
    operator = Operator(tmp_path / "run", u3=("fall_back", None))
    with pytest.raises(WorldError, match="falls_over, which is trusted to act, raised ZeroDivisionError"):
        run(config, operator.path, on_metrics=operator)
    assert RunDirectory.open(operator.path).checkpoint_steps()[-1] == 3 * UPDATE


def test_nobody_is_asked_about_what_the_policy_did_not_do(tmp_path):
    config = replace(tiny_preferences(), interventions=InterventionsConfig(trusted="zero"))
    operator, _ = steered(tmp_path, config, u3=("fall_back", None))
    assert {row["asked"] for row in operator.rows[3:]} == {operator.rows[2]["asked"]}


# By rules


def test_a_rule_freezes_a_run_and_its_evidence_is_in_the_audit_log(tmp_path, find):
    find(2, 3)
    config = ruled(rule("freeze", findings=2, within_updates=3))
    run(config, tmp_path / "run")
    assert [row.get("held") for row in rows_of(tmp_path / "run")] == [None, None, None, 2, 2, 2]
    (entry,) = [entry for entry in log_of(tmp_path / "run") if entry.act.startswith("intervention")]
    assert (entry.person, entry.act) == ("learner", "intervention.freeze")
    assert entry.details["step"] == 3 * UPDATE
    assert entry.details["reason"] == "stuck_sensor: odd (2 findings within 2 updates)"
    assert [one["evidence"] for one in entry.details["evidence"]] == [{"update": 2}, {"update": 3}]


def test_a_warning_changes_nothing_and_is_told(tmp_path, find):
    find(2)
    run(ruled(rule("warn")), tmp_path / "run")
    find()
    run(tiny(), tmp_path / "free")
    assert traces(tmp_path / "run") == traces(tmp_path / "free")
    acts = [entry.act for entry in log_of(tmp_path / "run")]
    assert acts == ["run.begin", "intervention.warn", "run.finish"]
    with Operator(tmp_path / "run").store() as store:
        assert store.setting(WARNED, None) == {
            "step": 2 * UPDATE,
            "reason": "stuck_sensor: odd (1 finding within 1 update)",
        }


def test_a_rule_rolls_back_to_the_last_checkpoint_before_the_finding(tmp_path, find):
    """The finding is at update 4, of which there is a checkpoint: what is wrong may be in that already."""
    find(4, 5)
    operator = Operator(tmp_path / "run")
    run(ruled(rule("roll_back", findings=2, within_updates=2)), operator.path, on_metrics=operator)
    # The second time round the same is found again, which would go on for ever: the run is frozen.
    assert operator.updates() == [1, 2, 3, 4, 5, 3, 4, 5, 6]
    assert [row.get("held") for row in operator.rows] == [None] * 8 + [2]
    acts = [(entry.act, entry.details.get("step")) for entry in log_of(operator.path)]
    assert acts[1:-1] == [
        ("intervention.roll_back", 5 * UPDATE),
        ("intervention.rolled_back", 2 * UPDATE),
        ("intervention.roll_back", 5 * UPDATE),
        ("intervention.freeze", 5 * UPDATE),
    ]
    assert "rolled back to step 1,024 before" in log_of(operator.path)[-2].details["problem"]


def test_the_checkpoint_before_a_finding_is_not_removed(tmp_path, find):
    find(3, 5)
    back = rule("roll_back", findings=2, within_updates=4)
    operator = Operator(tmp_path / "run")
    run(ruled(back, checkpoint_every=1, keep_checkpoints=1), operator.path, on_metrics=operator)
    assert operator.updates() == [1, 2, 3, 4, 5, 3, 4, 5, 6]


def test_where_there_is_no_checkpoint_to_go_back_to_the_run_is_frozen(tmp_path, find):
    find(1)
    run(ruled(rule("roll_back")), tmp_path / "run")
    assert [row.get("held") for row in rows_of(tmp_path / "run")] == [None, 2, 2, 2, 2, 2]
    entry = log_of(tmp_path / "run")[2]
    assert (entry.act, entry.details["instead_of"]) == ("intervention.freeze", "roll_back")
    assert entry.details["problem"] == f"there is no sound checkpoint from before step {UPDATE:,}"


def test_a_damaged_checkpoint_is_passed_over(tmp_path, find):
    find(5)
    path = tmp_path / "run"

    def damage(row: Mapping[str, float]) -> None:
        if row["update"] == 4:
            (path / "checkpoints" / f"step-{4 * UPDATE}" / "state.json").write_bytes(b"{}")

    operator = Operator(path)

    def both(row: Mapping[str, float]) -> None:
        damage(row)
        operator(row)

    run(ruled(rule("roll_back")), path, on_metrics=both)
    assert operator.updates() == [1, 2, 3, 4, 5, 3, 4, 5, 6]


def test_with_nothing_to_trust_a_rule_freezes_instead(tmp_path, find):
    find(2)
    run(ruled(rule("fall_back"), trusted="release"), tmp_path / "run")
    assert [row.get("held") for row in rows_of(tmp_path / "run")] == [None, None, 2, 2, 2, 2]
    entry = log_of(tmp_path / "run")[2]
    assert (entry.act, entry.details["instead_of"]) == ("intervention.freeze", "fall_back")


def test_a_rule_stops_a_run_at_once_and_it_is_gone_on_with(tmp_path, find):
    find(3)
    config = ruled(rule("hard_stop"))
    with pytest.raises(RunStopped, match=r"a rule stopped the run at step 1,536, at once \(stuck_sensor: odd"):
        run(config, tmp_path / "run")
    assert [entry.act for entry in log_of(tmp_path / "run")] == ["run.begin", "intervention.hard_stop", "run.stop"]
    assert RunDirectory.open(tmp_path / "run").checkpoint_steps() == [2 * UPDATE], "nothing was saved for it"


def test_a_rule_brings_a_run_to_rest(tmp_path, find, monkeypatch):
    find(3)
    steps: list[np.ndarray] = []
    advance = Pendulum._advance

    def watched(world: Pendulum, actions: np.ndarray, observation: np.ndarray) -> Any:
        steps.append(actions.copy())
        return advance(world, actions, observation)

    monkeypatch.setattr(Pendulum, "_advance", watched)
    with pytest.raises(RunStopped, match=r"8 of 8 episodes ended within \d+ steps"):
        run(ruled(rule("safe_stop")), tmp_path / "run")
    # Three rollouts; then the trusted policy alone, until all have ended.
    num_rest = len(steps) - 3 * 64
    assert 0 < num_rest <= 200
    assert all((one == 0).all() for one in steps[-num_rest:])
    acts = [entry.act for entry in log_of(tmp_path / "run")]
    assert acts == ["run.begin", "intervention.safe_stop", "intervention.at_rest", "run.stop"]
    monkeypatch.undo()
    resume(tmp_path / "run")
    run(ruled(rule("safe_stop")), tmp_path / "free")
    assert arrays(tmp_path / "run") == arrays(tmp_path / "free"), "what was done on the way to rest is no part of it"


def hard_left(observation: np.ndarray) -> np.ndarray:
    """A function to trust that pushes as hard as it can."""
    return np.full((len(observation), 1), 2.0)


@pytest.mark.parametrize("between", ["overseers", "shield"])
def test_what_stands_between_policy_and_world_does_so_on_the_way_to_rest(tmp_path, find, monkeypatch, between):
    find(3)
    (tmp_path / "rules.yaml").write_text("rules: [{name: gently, when: 'action[0] > 1'}]")
    gently: dict[str, Any] = {
        "overseers": OverseersConfig(
            rules=str(tmp_path / "rules.yaml"), resources=(ResourceBudget(name="steps", limit=10**6),)
        )
    }
    if between == "shield":
        projection = ProjectionConfig(matrix=((1.0,),), limit=(1.0,))
        gently = {"shield": ShieldConfig(projection=projection, fallback=FallbackConfig(kind="action", action=(0.0,)))}
    executed: list[np.ndarray] = []
    advance = Pendulum._advance

    def watched(world: Pendulum, actions: np.ndarray, observation: np.ndarray) -> Any:
        executed.append(actions.copy())
        return advance(world, actions, observation)

    monkeypatch.setattr(Pendulum, "_advance", watched)
    config = ruled(rule("safe_stop"), trusted=f"{__name__}:hard_left", **gently)
    with pytest.raises(RunStopped, match="8 of 8 episodes ended"):
        run(config, tmp_path / "run")
    at_rest = executed[3 * 64 :]
    assert 0 < len(at_rest) <= 200
    np.testing.assert_allclose(np.stack(at_rest), 0.0 if between == "overseers" else 1.0, atol=1e-4)
    monkeypatch.undo()
    resume(tmp_path / "run")
    run(config, tmp_path / "free")
    assert_same_run(tmp_path / "run", tmp_path / "free")


def test_a_decision_that_a_kill_cut_short_is_carried_out(tmp_path, find):
    find(4)
    config = ruled(rule("freeze"))
    run(config, tmp_path / "whole")
    with pytest.raises(Killed):
        # Between the checkpoint of update 4, in which the decision stands, and what is done about it.
        run(config, tmp_path / "run", on_metrics=killed_at(4))
    checkpoint, _ = RunDirectory.open(tmp_path / "run").newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.state["holding"]["rules"]["pending"]["kind"] == "freeze"
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    acts = [entry.act for entry in log_of(tmp_path / "run")]
    assert acts == ["run.begin", "run.resume", "intervention.freeze", "run.finish"]


@pytest.mark.parametrize("act", ["slow", "freeze", "fall_back", "roll_back"])
@pytest.mark.parametrize("update", [3, 4, 5])
def test_a_ruled_run_that_is_killed_ends_as_one_that_was_not(tmp_path, find, act, update):
    find(3, 4, 5)
    config = ruled(rule(act, findings=2, within_updates=2))
    run(config, tmp_path / "whole")
    with pytest.raises(Killed):
        run(config, tmp_path / "run", on_metrics=killed_at(update))
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_what_was_found_before_somebody_thawed_the_run_counts_no_more(tmp_path, find):
    find(2, 4)
    config = ruled(rule("freeze", then=("hard_stop",)))
    operator = Operator(tmp_path / "run", u3=("thaw", None))
    run(config, operator.path, on_metrics=operator)
    assert [row.get("held") for row in operator.rows] == [None, None, 2, None, 2, 2], "the first rung again"


def test_a_run_that_a_rule_stops_each_time_goes_on_by_other_rules(tmp_path, find):
    find(3)
    path = tmp_path / "run"
    with pytest.raises(RunStopped):
        run(ruled(rule("hard_stop")), path)
    with pytest.raises(RunStopped):
        resume(path)
    written = yaml.safe_load((path / "config.yaml").read_text())
    written["interventions"]["rules"][0]["act"] = "freeze"
    (path / "config.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    resume(path)
    assert [row.get("held") for row in rows_of(path)] == [None, None, None, 2, 2, 2]


def test_a_run_that_a_rule_stopped_goes_on_once_somebody_who_has_looked_thaws_it(tmp_path, find):
    """The decision stands in the checkpoint of that very update, and would be carried out at every start."""
    find(4)
    path = tmp_path / "run"
    with pytest.raises(RunStopped):
        run(ruled(rule("hard_stop")), path)
    with pytest.raises(RunStopped, match="at step 2,048, at once"):
        resume(path)
    tell(path, "freeze", None, person="op")
    tell(path, "thaw", None, person="op")
    tell(path, "slow", None, person="op")
    resume(path)
    assert [row.get("held") for row in rows_of(path)] == [None] * 4 + [1, 1]
    obeyed = [entry.details["kind"] for entry in log_of(path) if entry.act == "command.obeyed"]
    assert obeyed == ["freeze", "thaw", "slow"]


def test_what_other_rules_have_counted_does_not_count_and_what_holds_the_run_stays(tmp_path, find):
    before = Holding(InterventionsConfig(rules=(rule("freeze", findings=2, within_updates=9),)))
    before.findings = [Finding(monitor="stuck_sensor", step=1, reason="odd")]
    before.decide(1)
    before.hold(Held(level="slow", by="a person", reason="asked for", since_step=1))
    state = json.loads(json.dumps(before.state()))
    rules = [(rule(act, findings=2, within_updates=9),) for act in ("freeze", "warn")]
    same, other = (Holding(InterventionsConfig(rules=one)) for one in rules)
    for holding in (same, other):
        holding.load(state)
        assert holding.held == before.held
    assert same.rules == before.rules
    assert other.rules.rules[0].seen == ()


def test_a_run_that_ends_fallen_back_is_evaluated_by_what_is_trusted(tmp_path, monkeypatch):
    acted: list[Any] = []
    evaluate = running_module.evaluate_policy

    def evaluates(policy: Any, *arguments: Any, **named: Any) -> Any:
        acted.append(policy)
        return evaluate(policy, *arguments, **named)

    monkeypatch.setattr(running_module, "evaluate_policy", evaluates)
    operator = Operator(tmp_path / "run", u3=("fall_back", None))
    result = run(tiny(interventions=InterventionsConfig(trusted="zero")), operator.path, on_metrics=operator)
    assert [type(one).__name__ for one in acted] == ["Trusted"]
    assert not isinstance(result.policy, Trusted)


def test_a_run_of_which_nothing_is_said_has_nothing_to_tell():
    assert Holding(None).state() is None
    assert Holding(None).metrics() == {}
    assert Holding(None).pace == 1.0


@pytest.mark.parametrize(("found", "step"), [(None, None), (10, None), (11, 10), (25, 20), (99, 30)])
def test_the_checkpoint_before_a_finding(found, step):
    assert step_before([10, 20, 30], found) == step


# At the next step


class Asks:
    """Has a run told something in the midst of its n-th step, and counts the steps after that."""

    def __init__(self, path: Path, at: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps_after = -1
        num_steps, advance = itertools.count(), Pendulum._advance

        def asked(world: Pendulum, *arguments: Any) -> Any:
            if self.steps_after >= 0:
                self.steps_after += 1
            if next(num_steps) == at:
                tell(path, kind, None, person="op")  # type: ignore[arg-type]
                self.steps_after = 0
            return advance(world, *arguments)

        monkeypatch.setattr(Pendulum, "_advance", asked)


@pytest.mark.parametrize("at", [1, 64, 65, 130, 200, 6 * 64 - 1])
def test_a_run_that_is_stopped_in_the_midst_of_a_rollout_takes_no_further_step(tmp_path, monkeypatch, at):
    run(tiny(), tmp_path / "free")
    asks = Asks(tmp_path / "run", at, "stop", monkeypatch)
    with pytest.raises(RunStopped, match=f"at step {(at + 1) // 64 * UPDATE:,};"):
        run(tiny(), tmp_path / "run")
    assert asks.steps_after == 0
    monkeypatch.undo()
    assert not Attention(tmp_path / "run").is_called()
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "free")


@pytest.mark.parametrize("kind", ["freeze", "fall_back"])
def test_what_is_urgent_holds_before_the_next_step(tmp_path, monkeypatch, kind):
    """The rollout is begun again, and nothing is learned from what was collected before it was said."""
    config = tiny(interventions=InterventionsConfig(trusted="zero"))
    Asks(tmp_path / "run", 2 * 64 + 30, kind, monkeypatch)
    run(config, tmp_path / "run")
    monkeypatch.undo()
    operator = Operator(tmp_path / "between", u2=(kind, None))
    run(config, operator.path, on_metrics=operator)
    assert_same_run(tmp_path / "run", operator.path)


def test_a_safe_stop_in_the_midst_of_a_rollout_brings_the_world_to_rest(tmp_path, monkeypatch):
    asks = Asks(tmp_path / "run", 100, "safe_stop", monkeypatch)
    with pytest.raises(RunStopped):
        run(tiny(), tmp_path / "run")
    assert 0 < asks.steps_after <= 200
    (command,) = [entry for entry in log_of(tmp_path / "run") if entry.act == "command.obeyed"]
    assert command.details["outcome"].startswith("8 of 8 episodes ended within ")
    monkeypatch.undo()
    resume(tmp_path / "run")
    run(tiny(), tmp_path / "free")
    assert_same_run(tmp_path / "run", tmp_path / "free")


def test_a_call_without_a_command_changes_nothing(tmp_path):
    run(tiny(), tmp_path / "free")
    rows: list[Mapping[str, float]] = []

    def calls(row: Mapping[str, float]) -> None:
        rows.append(row)
        if len(rows) % 3 == 1:
            call(tmp_path / "run")

    run(tiny(), tmp_path / "run", on_metrics=calls)
    assert_same_run(tmp_path / "run", tmp_path / "free")


def test_a_run_in_a_foreign_world_is_stopped_at_its_next_step_and_gone_on_with(tmp_path, monkeypatch):
    """Its world cannot be put back: whoever goes on begins new episodes, as after any checkpoint."""
    config = tiny()
    config = replace(config, env=replace(config.env, num_envs=2, vectorization="sync"), total_steps=6 * 2 * 64)
    free = tmp_path / "free"
    run(config, free)
    step, num_steps, after = PendulumEnv.step, itertools.count(1), []

    def asked(world: Any, action: Any) -> Any:
        number = next(num_steps)
        if number > 600:
            after.append(number)
        if number == 600:
            tell(tmp_path / "run", "stop", None, person="op")
        return step(world, action)

    monkeypatch.setattr(PendulumEnv, "step", asked)
    with pytest.raises(RunStopped):
        run(config, tmp_path / "run")
    assert len(after) < 2, "the other copy's part of the same step"
    monkeypatch.undo()
    resume(tmp_path / "run")
    # It was stopped after update 4, of which there is a checkpoint at which episodes begin anew in any case.
    assert_same_run(tmp_path / "run", free)


def test_a_run_without_a_rollout_to_break_off_obeys_as_well(tmp_path):
    """A flag that is left from before is no reason to begin again for ever."""
    path = tmp_path / "run"
    run(tiny(), path)
    call(path)
    resume(path)
    assert not Attention(path).is_called()


def test_the_flag_is_down_before_commands_are_looked_for(tmp_path, monkeypatch):
    """Whoever calls meanwhile is heard the next time."""
    order: list[str] = []
    come, open_commands = Attention.come, "open_commands"
    monkeypatch.setattr(Attention, "come", lambda self: (order.append("come"), come(self))[1])
    obey = Steering.obey

    def obeys(steering: Steering, **options: Any) -> None:
        store = steering.store

        class Looked:
            def __getattr__(self, name: str) -> Any:
                if name == open_commands:
                    order.append("look")
                return getattr(store, name)

        steering.store = Looked()  # type: ignore[assignment]
        obey(steering, **options)
        steering.store = store

    monkeypatch.setattr(Steering, "obey", obeys)
    run(tiny(total_steps=2 * UPDATE), tmp_path / "run")
    assert order
    assert order == ["come", "look"] * (len(order) // 2)

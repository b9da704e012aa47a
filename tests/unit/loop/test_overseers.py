"""Overseers of a run in a world, of a chat and of a gate."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from heeler.core.errors import ConfigError, RunError, RunHalted, RunStopped
from heeler.core.nouns import Message
from heeler.core.rundir import RunDirectory
from heeler.core.texts import TextSample
from heeler.envs import make
from heeler.evaluation import suite_kinds
from heeler.evaluation.text_suites import Item
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.exporting import export_run
from heeler.loop.guards import outgoing_guards, read_guards
from heeler.loop.language.config import ReleaseConfig
from heeler.loop.online import OnlineRun
from heeler.loop.overseers.acting import ActionReview
from heeler.loop.overseers.settings import OverseersConfig, OwnOverseer
from heeler.loop.overseers.texts import with_overseers
from heeler.loop.running import resume, run
from heeler.models.policy import Policy
from heeler.oversight.gate_config import Check, GateConfig
from heeler.oversight.overseers.conduct import ConductConfig
from heeler.oversight.overseers.resources import ResourceBudget
from heeler.rollouts.collector import Collector
from tests.faults.test_run_kill import final_weights, metric_trace
from tests.unit.loop.test_steering import Operator
from tests.unit.loop.tiny import tiny_ppo

RULES = """
rules:
  - {name: no push to the right while leaning, when: "action[0] == 1 and observation[2] > 0"}
"""
OWN = """
from heeler.core.verdict import Verdict

STEPS = []

def raises(evidence):
    raise ZeroDivisionError("100 % of nothing")

def halts(evidence):
    STEPS.append(evidence.step)
    return Verdict(decision="halt", reason="enough") if evidence.step >= 1500 else False

def modifies(evidence):
    return Verdict(decision="modify", reason="the other way", replacement=1 - evidence.action)

def nonsense(evidence):
    return Verdict(decision="modify", reason="nonsense", replacement=[9])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def overseen(folder: Path, **settings: Any) -> RunConfig:
    if not settings:
        settings = {"rules": str(folder / "rules.yaml")}
    return tiny_ppo(overseers=OverseersConfig(**settings))


def own(folder: Path, name: str) -> dict[str, Any]:
    return {"own": (OwnOverseer(function=f"{folder / 'own.py'}:{name}"),)}


def rollout_of(config: RunConfig, num_steps: int = 40) -> tuple[Any, ActionReview]:
    world = make(config.env, 0)
    collector = Collector(world, num_steps, record_snapshots=False)
    assert config.overseers is not None
    review = ActionReview(config.overseers, world, collector)
    collector.review = review
    collector.reset(0)
    policy = Policy(config.algorithm.policy, world.observation_size, world.single_action_space)
    return collector.collect(policy, torch.Generator().manual_seed(0), 0), review


def test_what_is_vetoed_is_not_carried_out_and_both_are_kept(folder):
    rollout, review = rollout_of(overseen(folder))
    leaning = (rollout.action[..., 0] == 1) & (rollout.observation[:-1, :, 2] > 0)
    assert 0 < leaning.sum() < leaning.size
    np.testing.assert_array_equal(rollout.executed[..., 0], np.where(leaning, 0, rollout.action[..., 0]))
    figures = review.metrics()
    assert figures["overseers/vetoed"] == pytest.approx(leaning.mean())
    assert figures["overseers/ethics/objections"] == leaning.sum()
    assert figures["overseers/ethics/failures"] == 0
    assert review.metrics()["overseers/vetoed"] == 0


def test_the_world_is_given_what_was_carried_out(folder):
    """The same policy with the actions changed beforehand goes the same way."""
    rollout, _ = rollout_of(overseen(folder))
    config = overseen(folder)
    world = make(config.env, 0)
    observation, _ = world.reset(seed=0)
    for t in range(rollout.num_steps):
        np.testing.assert_array_equal(observation, rollout.observation[t])
        observation, *_ = world.step(rollout.executed[t, :, 0])


def test_an_overseer_that_raises_leaves_the_run_in_fallback(folder):
    rollout, review = rollout_of(overseen(folder, **own(folder, "raises")), num_steps=10)
    assert (rollout.executed == 0).all()
    assert (rollout.action == 1).any()
    assert review.metrics()["overseers/vetoed"] == 1.0
    assert review.team.failures == {"raises": 10}


def test_a_modified_action_takes_the_place_of_the_proposed(folder):
    rollout, review = rollout_of(overseen(folder, **own(folder, "modifies")), num_steps=10)
    np.testing.assert_array_equal(rollout.executed, 1 - rollout.action)
    assert review.metrics()["overseers/modified"] == 1.0


def test_a_replacement_that_is_no_action_gives_way_to_the_trusted_policy(folder):
    rollout, review = rollout_of(overseen(folder, **own(folder, "nonsense")), num_steps=10)
    assert (rollout.executed == 0).all()
    figures = review.metrics()
    assert (figures["overseers/vetoed"], figures["overseers/modified"]) == (1.0, 0.0)


def test_an_exported_policy_takes_over(folder):
    run(tiny_ppo(), folder / "trusted")
    export_run(folder / "trusted", folder / "exported")
    config = overseen(folder, trusted=str(folder / "exported"), **own(folder, "raises"))
    rollout, _ = rollout_of(config, num_steps=30)
    from heeler.models.numpy_policy import NumpyPolicy

    trusted = NumpyPolicy.load(folder / "exported")
    for t in range(30):
        np.testing.assert_array_equal(rollout.executed[t, :, 0], trusted.act(rollout.observation[t]))
    with pytest.raises(ConfigError, match=r"overseers.trusted: .*cannot be read"):
        rollout_of(overseen(folder, trusted="nowhere", **own(folder, "raises")))
    pendulum = tiny_ppo("Pendulum-v1", overseers=config.overseers)
    with pytest.raises(ConfigError, match="takes 4 numbers and gives 1; this world has 3 and takes 1"):
        run(pendulum, folder / "pendulum")
    assert not (folder / "pendulum").exists()


def test_energy_and_steps_are_of_the_episode(folder):
    config = tiny_ppo("Pendulum-v1", overseers=OverseersConfig(resources=(ResourceBudget(name="energy", limit=30.0),)))
    rollout, _ = rollout_of(config, num_steps=250)
    for n in range(config.env.num_envs):
        used = 0.0
        for t in range(250):
            used = 0.0 if rollout.episode_step[t, n] == 0 else used
            proposed = np.clip(rollout.action[t, n].astype(np.float64), -2, 2)
            if used + float(np.square(proposed.astype(np.float32)).sum()) > 30.0 + 1e-4:
                assert rollout.executed[t, n, 0] == 0
            used += float(np.square(rollout.executed[t, n].astype(np.float64)).sum())
        assert used <= 30.0 + 1e-3


def test_nobody_watching_changes_nothing(folder):
    plain = tiny_ppo()
    harmless = tiny_ppo(overseers=OverseersConfig(resources=(ResourceBudget(name="steps", limit=1e6),)))
    run(plain, folder / "plain")
    run(harmless, folder / "watched")

    def learned(path: Path) -> dict[str, str]:
        return {name: one for name, one in final_weights(path).items() if not name.startswith("overseers.")}

    assert learned(folder / "plain") == learned(folder / "watched")


def watched(folder: Path) -> RunConfig:
    return overseen(
        folder,
        rules=str(folder / "rules.yaml"),
        conduct=ConductConfig(num_usual=700),
        resources=(ResourceBudget(name="energy", limit=60.0),),
    )


def test_a_resumed_run_is_the_same_run(folder):
    config = watched(folder)
    run(config, folder / "whole")
    directory = RunDirectory.create(folder / "cut", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        first = OnlineRun(directory, config, store)
        first.begin()
        for _ in range(4):
            first.iterate()
        first.world.close()
    run(config, folder / "cut")
    assert metric_trace(folder / "cut") == metric_trace(folder / "whole")
    assert final_weights(folder / "cut") == final_weights(folder / "whole")
    last = metric_trace(folder / "whole")[-1]
    assert last["overseers/vetoed"] > 0


def test_a_run_that_was_brought_to_rest_goes_on_with_its_overseers_as_they_were(folder):
    config = watched(folder)
    run(config, folder / "whole")
    operator = Operator(folder / "run", u4=("safe_stop", None))
    with pytest.raises(RunStopped):
        run(config, operator.path, on_metrics=operator)
    resume(operator.path)
    assert metric_trace(operator.path) == metric_trace(folder / "whole")
    assert final_weights(operator.path) == final_weights(folder / "whole")


def test_changed_rules_are_refused(folder):
    run(watched(folder), folder / "run")
    (folder / "rules.yaml").write_text(RULES.replace("> 0", "> 0.1"))
    with pytest.raises(RunError, match="was changed since the checkpoint was saved"):
        resume(folder / "run")


def test_a_halt_keeps_the_last_whole_update(folder):
    config = overseen(folder, **own(folder, "halts"))
    with pytest.raises(RunHalted, match=r"overseers halted the run at step 1,504: halts: enough"):
        run(config, folder / "run")
    # Updates are of 512 steps: two were whole.
    assert RunDirectory.open(folder / "run").checkpoint_steps() == [1024]
    acts = [json.loads(line) for line in (folder / "run" / "audit.jsonl").read_text().splitlines()]
    assert acts[-1]["act"] == "run.halt"
    assert "halts: enough" in acts[-1]["details"]["problem"]
    with pytest.raises(RunHalted, match="at step 1,504"):
        resume(folder / "run")


def test_the_configuration_goes_through_a_file(folder):
    config = watched(folder)
    assert from_dict(yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "at least one of conduct, resources, rules, learned and own"),
        ({"rules": "nowhere.yaml"}, "nowhere.yaml cannot be read"),
        ({"rules": "texts.yaml"}, "texts.yaml: the rule 'no threats' reads text"),
        ({"rules": "far.yaml"}, r"far.yaml: the rule 'far' reads observation\[4\], .*it has 4 numbers, counted from 0"),
        ({"rules": "heat.yaml"}, r"the rule 'heat' reads spent\['heat'\], which there is not: told are steps, energy"),
        ({"own": (OwnOverseer(function="nowhere.py:f"),)}, "no file nowhere.py"),
        ({"resources": (ResourceBudget(name="heat", limit=1.0),)}, "how much of 'heat' is used in this world"),
        ({"resources": (ResourceBudget(name="money", limit=1.0),)}, "give both or neither"),
        ({"resources": (ResourceBudget(name="steps", limit=1.0),), "timeout_s": 0.0}, "timeout_s must be > 0"),
    ],
)
def test_mistakes_leave_no_run(tmp_path, monkeypatch, settings, words):
    monkeypatch.chdir(tmp_path)
    Path("texts.yaml").write_text("rules: [{name: no threats, test: toxicity}]")
    Path("far.yaml").write_text(
        "rules: [{name: near, when: 'observation[-4] > 9'}, {name: far, when: 'observation[4] > 0'}]"
    )
    Path("heat.yaml").write_text("rules: [{name: heat, when: \"spent['heat'] > 3\"}]")
    with pytest.raises(ConfigError, match=words):
        run(tiny_ppo(overseers=OverseersConfig(**settings)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_money_is_time_at_a_price(folder):
    budget = ResourceBudget(name="money", limit=2.0, decision="halt")
    config = OverseersConfig(resources=(budget,), money_per_hour=3600.0)
    run_config = tiny_ppo(overseers=config)
    world = make(run_config.env, 0)
    now = [0.0]
    collector = Collector(world, 1, record_snapshots=False)
    review = ActionReview(config, world, collector, clock_s=lambda: 0.0, processor_s=lambda: now[0])
    observation, proposed = np.zeros((8, 4), np.float32), np.ones((8, 1), np.int64)
    now[0] = 2.0
    np.testing.assert_array_equal(review(observation, proposed), proposed)
    kept = review.kept()
    now[0] = 2.1
    with pytest.raises(RunHalted, match=r"money would come to 2.1, and the budget is 2"):
        review(observation, proposed)
    later = ActionReview(config, world, collector, clock_s=lambda: 0.0, processor_s=lambda: now[0])
    later.restore(*kept)
    now[0] = 2.2
    with pytest.raises(RunHalted, match=r"money would come to 2.1,"):
        later(observation, proposed)


# Texts


def answer(text: str) -> TextSample:
    return TextSample(prompt=(Message(role="user", content="A refund?"),), completion=text, columns={"cleared": 0})


GUARDS = """
incoming: {{injection: off, personal_data: off}}
outgoing:
  words: off
  toxicity: off
  prompt_leak: off
  personal_data: off
  overseers:
    rules: {rules}
    resources: [{{name: words, limit: 6}}]
    quorum: {{rule: majority}}
"""


def test_overseers_guard_a_chat(tmp_path):
    (tmp_path / "rules.yaml").write_text("rules: [{name: no promises, when: \"'refund' in text\"}]")
    (tmp_path / "guards.yaml").write_text(GUARDS.format(rules=tmp_path / "rules.yaml"))
    (guard,) = outgoing_guards(read_guards(tmp_path / "guards.yaml").outgoing)
    assert guard.name == "overseers"
    assert guard.review(answer("A refund.")).decision == "allow", "one of two is no majority"
    verdict = guard.review(answer("A refund of all that you have ever paid us."))
    assert verdict.decision == "veto"
    assert set(verdict.evidence["overseers"]) == {"resources", "ethics"}


def test_a_text_in_the_place_of_an_answer_must_be_one(tmp_path):
    (tmp_path / "own.py").write_text(
        "from heeler.core.verdict import Verdict\n"
        "def right(evidence): return Verdict(decision='modify', reason='r', replacement='No.')\n"
        "def wrong(evidence): return Verdict(decision='modify', reason='r', replacement=7)\n"
    )
    from heeler.loop.overseers.texts import TextOverseers, text_team

    for name, decision in (("right", "modify"), ("wrong", "veto")):
        config = OverseersConfig(own=(OwnOverseer(function=f"{tmp_path / 'own.py'}:{name}"),))
        assert TextOverseers(text_team(config, "overseers")).review(answer("Yes.")).decision == decision


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{conduct: {num_usual: 500}}", "outgoing.overseers.conduct would be ignored: it is for steps in a world"),
        ("{resources: [{name: energy, limit: 1}]}", "of texts words and characters are told, got 'energy'"),
        ("{rules: nowhere.yaml}", "nowhere.yaml cannot be read"),
        ("{rules: steps.yaml}", "steps.yaml: the rule 'still' reads action"),
        ("{rulez: a}", "no setting outgoing.overseers.rulez"),
        ("on", "at least one of conduct"),
    ],
)
def test_overseers_of_texts_that_are_wrong(tmp_path, monkeypatch, settings, words):
    monkeypatch.chdir(tmp_path)
    Path("steps.yaml").write_text("rules: [{name: still, when: max(abs(action)) > 0}]")
    path = tmp_path / "guards.yaml"
    path.write_text(f"outgoing: {{overseers: {settings}}}")
    with pytest.raises(ConfigError, match=words) as refused:
        read_guards(path)
    assert str(path) in str(refused.value)


def test_a_gate_asks_what_overseers_let_pass():
    overseers = OverseersConfig(resources=(ResourceBudget(name="words", limit=2),))
    items = [Item(prompt=(Message(role="user", content=str(n)),)) for n in range(3)]
    suites = with_overseers([suite_kinds.toxicity(items, lambda sample: 0.0)], overseers)
    assert [(suite.name, suite.better, len(suite.items)) for suite in suites][1] == ("overseers", "higher", 3)
    assert suites[1].score(answer("Two words.")) == 1.0
    assert suites[1].score(answer("Rather more words.")) == 0.0
    assert len(with_overseers(suites[:1], None)) == 1


def test_a_gate_and_its_overseers_go_together():
    overseers = OverseersConfig(resources=(ResourceBudget(name="words", limit=2),))
    check = Check(suite="overseers", better="higher", margin=0.1)
    other = replace(check, suite="toxicity", better="lower")
    ReleaseConfig(gate=GateConfig(checks=(check, other)), overseers=overseers)
    for checks, given in (((other,), overseers), ((check,), None)):
        with pytest.raises(ConfigError, match="go together"):
            ReleaseConfig(gate=GateConfig(checks=checks), overseers=given)

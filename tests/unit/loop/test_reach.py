"""What learns can reach neither what watches it nor what tells of it: not by imports, not by what it is handed.

In one process Python keeps nothing from code that means harm: `sys.modules` and frames lead anywhere. So what is shown
here is that nothing leads there by itself, and that what is judged and told is not what a learner could hand over.
"""

import gc
import importlib
import os
import pkgutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import heeler.algorithms
from heeler.algorithms.ppo import PPO
from heeler.core.audit import AUDIT_NAME, AuditLog, entries, verify
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import open_store
from heeler.loop.acts import Acts
from heeler.loop.config import LimitsConfig, RunConfig, to_dict
from heeler.loop.language.offering import Offering
from heeler.loop.language.run import LanguageRun
from heeler.loop.online import OnlineRun
from heeler.loop.running import run
from heeler.models.language.loading import load_language_model
from heeler.oversight.interventions import InterventionsConfig, RuleConfig
from heeler.oversight.monitors.config import MonitorsConfig
from heeler.safety.costs import CostConfig
from tests.tiny_models import tiny_llama
from tests.unit.loop.language.test_run import stepped
from tests.unit.loop.language.tiny import tiny_language_run
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences

WATCHING = (
    "heeler.oversight",
    "heeler.service",
    "heeler.loop",
    "heeler.feedback.store",
    "heeler.feedback.stores",
    "heeler.feedback.database",
    "heeler.core.audit",
    "heeler.core.attention",
    "heeler.core.gate_records",
    "heeler.core.hard_stop",
    "heeler.core.releases",
)
"""Modules, and those that begin so, of which a learner must come upon nothing."""
MAX_OBJECTS = 3_000_000


def watches(name: str | None) -> bool:
    return name is not None and any(name == one or name.startswith((f"{one}.", f"{one}_")) for one in WATCHING)


def of_module(thing: Any) -> str | None:
    """The module that a thing, or its type, is from."""
    if isinstance(thing, ModuleType):
        return thing.__name__
    if isinstance(thing, (type, FunctionType)):
        return thing.__module__
    return type(thing).__module__


def reached(roots: Sequence[Any]) -> Iterator[Any]:
    """Everything that hangs on these, by attributes, items, closures and the globals of heeler's own functions.

    Modules, functions and types of others are not looked into: `sys` is one of them, and has all modules.
    """
    kept = list(roots)
    seen, todo = {id(kept)}, deque(kept)
    while todo:
        thing = todo.popleft()
        if id(thing) in seen or isinstance(thing, FrameType):
            continue
        seen.add(id(thing))
        assert len(seen) < MAX_OBJECTS, "the walk has no end"
        yield thing
        is_code = isinstance(thing, (ModuleType, type, FunctionType))
        if is_code and not str(of_module(thing)).startswith("heeler"):
            continue
        if not isinstance(thing, (np.ndarray, str, bytes, int, float)):
            todo.extend(gc.get_referents(thing))


def watchers_among(roots: Sequence[Any]) -> list[str]:
    return sorted({f"{of_module(one)}: {type(one).__name__}" for one in reached(roots) if watches(of_module(one))})


def limited(config: RunConfig) -> RunConfig:
    """With costs, rules and people, so that there is something to come upon."""
    limits = LimitsConfig.of("cpo", (CostConfig(name="velocity", budget=25.0),))
    rules = InterventionsConfig(rules=(RuleConfig(monitor="gradients", act="warn"),), trusted="zero")
    env = replace(config.env, id="HopperVelocity", num_threads=1)
    return replace(config, env=env, limits=limits, interventions=rules, monitors=MonitorsConfig())


@pytest.mark.parametrize("config", [limited(tiny_ppo("Hopper-v5")), tiny_preferences()], ids=["costs", "people"])
def test_what_a_learner_is_handed_leads_to_nothing_that_watches_it(tmp_path: Path, config: RunConfig) -> None:
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    handed: list[Any] = []
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        update = online.ppo.update

        def keeps(*arguments: Any, **named: Any) -> Any:
            handed.extend([*arguments, named])
            return update(*arguments, **named)

        online.ppo.update = keeps  # type: ignore[method-assign]
        while not handed:
            online.iterate()
        del online.ppo.update
        handed += [online.ppo, online.learner]
        if online.preferences:
            # What learns the reward is a learner too.
            handed += [online.preferences.model, online.preferences.model_state]
        assert watchers_among(handed) == []
        # The walk finds what is there to be found, however deep.
        log = AuditLog(directory.path / AUDIT_NAME)
        online.ppo.leak = [{"deep": partial(print, (log.append,))}]  # type: ignore[attr-defined]
        assert watchers_among([online.ppo]) != []
        assert any(found.startswith("heeler.feedback.store") for found in watchers_among([online]))
        online.world.close()


def test_what_a_learner_of_a_language_model_is_handed_leads_to_nothing_that_watches_it(tmp_path: Path) -> None:
    tiny_llama(max_length=1024).save(tmp_path / "model")
    for one in stepped(tiny_language_run(tmp_path / "model"), tmp_path / "run"):
        handed: list[Any] = []
        learner = one.learner
        update = learner.update

        def keeps(*arguments: Any, update: Any = update, handed: list[Any] = handed, **named: Any) -> Any:
            handed.extend([*arguments, named])
            return update(*arguments, **named)

        learner.update = keeps  # type: ignore[method-assign]
        one.iterate()
        del learner.update
        assert handed
        assert watchers_among([*handed, learner]) == []


def test_no_import_of_a_learner_leads_there() -> None:
    """In a process of its own, in which nothing else has been imported."""
    names = [found.name for found in pkgutil.iter_modules(heeler.algorithms.__path__, "heeler.algorithms.")]
    code = f"import sys, importlib; [importlib.import_module(name) for name in {names!r}]; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    loaded = told.stdout.split()
    assert {"heeler.algorithms.ppo", "heeler.algorithms.grpo"} <= set(loaded)
    assert [name for name in loaded if watches(name)] == []
    for name in names:
        importlib.import_module(name)


class Lying(PPO):
    """Says that all is well, and more than it may."""

    def update(self, state: Any, rollout: Any, reward: Any, *, progress: float) -> Any:
        state, metrics = super().update(state, rollout, reward, progress=progress)
        lies = {"step": 10**9, "update": 10**6, "true_return_mean": 1e9, "true_reward_mean": 1e9, "episodes": 10**6}
        return state, metrics | lies


def test_what_a_learner_says_of_itself_does_not_take_the_place_of_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny_ppo(), tmp_path / "honest")
    monkeypatch.setattr(
        RunConfig,
        "learner",
        lambda self, world: Lying(self.algorithm, world.observation_size, world.single_action_space),
    )
    run(tiny_ppo(), tmp_path / "lying")
    rows = [RunDirectory.open(tmp_path / name).metrics() for name in ("honest", "lying")]
    measured = ("step", "update", "true_return_mean", "true_reward_mean", "episodes")
    for honest, lying in zip(*rows, strict=True):
        assert {name: lying.get(name) for name in measured} == {name: honest.get(name) for name in measured}
    assert verify(tmp_path / "lying" / AUDIT_NAME).is_sound
    acts = [entry.act for entry in entries(tmp_path / "lying" / AUDIT_NAME, after=0, limit=99)]
    assert acts == ["run.begin", "run.finish"]


def test_the_gate_judges_the_checkpoint_s_files_and_not_what_the_learner_holds(tmp_path: Path) -> None:
    """A learner that acts well where it is watched changes its objects, and no score of the gate."""
    tiny_llama(max_length=1024).save(tmp_path / "model")
    records = []
    for name in ("honest", "lying"):
        for one in stepped(tiny_language_run(tmp_path / "model"), tmp_path / name):
            records.append(gated(one, lies=name == "lying"))
    honest, lying = records
    assert honest.details == lying.details
    assert (honest.passed, honest.reasons) == (lying.passed, lying.reasons)


def gated(one: LanguageRun, *, lies: bool) -> Any:
    for _ in range(2):
        one.iterate()
    assert one.is_offer_due
    if lies:
        with torch.no_grad():
            for model in (one.model, one.reference):
                for parameter in model.module.parameters():
                    parameter.mul_(0)
    record = Offering(one, Acts(one.directory)).offer_if_due()
    assert record is not None
    assert Releases(one.directory).all()[0].checkpoint_sha256 == record.candidate_sha256
    return record


def test_a_release_is_what_the_files_hold(tmp_path: Path) -> None:
    """Who proposes names a step; what is released is found by the hash of its files."""
    config = tiny_ppo()
    run(config, tmp_path / "run")
    directory = RunDirectory.open(tmp_path / "run")
    step = directory.checkpoint_steps()[-1]
    release = Releases(directory).propose("6f1d1f43-8d38-4f0c-9a53-0c6c1e2f7b11", step, "ann", audit_head="0" * 64)
    assert release.checkpoint_sha256 == directory.load_checkpoint(step).sha256


def test_the_walk_follows_closures_containers_and_globals() -> None:
    log = AuditLog(Path("nowhere"))
    for thing in (log.append, [[{"x": (log,)}]], partial(print, log), Acts.note, sys.modules["heeler.loop.acts"]):
        assert watchers_among([thing]) != []
    assert watchers_among([PPO, np.zeros(3), torch.zeros(3), load_language_model]) == []

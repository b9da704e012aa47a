"""Operators steer a run while it learns: pause, resume, stop, roll back, another budget."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from heeler.core.errors import RunStopped
from heeler.core.nouns import Command, stable_id
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME
from heeler.feedback.told import PAUSED
from heeler.loop.config import RunConfig
from heeler.loop.running import RunResult, resume, run
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences

STEPS = 16 * 64
"""Environment steps of one update of `tiny_preferences`."""


class Operator:
    """Tells a run what to do when it has made so many updates, and hears what it says."""

    def __init__(self, path: Path, **at_update: tuple[str, int | None]) -> None:
        self.path = path
        self.plan = {int(name.removeprefix("u")): told for name, told in at_update.items()}
        self.rows: list[Mapping[str, float]] = []
        self.num_paused = 0
        self.on_paused: Callable[[], None] = lambda: None

    def __call__(self, row: Mapping[str, float]) -> None:
        if "elapsed_s" not in row:
            self.num_paused += 1
            self.on_paused()
            return
        self.rows.append(row)
        if told := self.plan.pop(int(row["update"]), None):
            self.tell(*told)

    def tell(self, kind: str, value: int | None = None) -> None:
        with self.store() as store:
            name = stable_id("command", store.commands(limit=1)[:1], kind)
            store.ask_command(Command(id=name, kind=kind, value=value, person="op", asked_unix_s=time.time()))  # type: ignore[arg-type]

    def store(self) -> Store:
        return Store.open(self.path / STORE_NAME, segments_dir=None)

    def outcomes(self) -> list[str | None]:
        with self.store() as store:
            return [command.outcome for _, command in reversed(store.commands(limit=99))]

    def updates(self) -> list[int]:
        return [int(row["update"]) for row in self.rows]


def weights(result: RunResult) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in result.policy.parameters()])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> torch.Tensor:
    return weights(run(tiny_preferences(), tmp_path_factory.mktemp("run") / "run"))


def steered(tmp_path: Path, config: RunConfig | None = None, **at_update: Any) -> tuple[Operator, RunResult]:
    operator = Operator(tmp_path / "run", **at_update)
    return operator, run(config or tiny_preferences(), operator.path, on_metrics=operator)


def test_a_paused_run_makes_no_update_until_it_is_resumed(tmp_path, undisturbed):
    operator = Operator(tmp_path / "run", u3=("pause", None))

    def soon() -> None:
        if operator.num_paused == 3:
            assert RunDirectory.open(operator.path).metrics()[-1]["update"] == 3
            operator.tell("resume")

    operator.on_paused = soon
    result = run(tiny_preferences(), operator.path, on_metrics=operator)
    assert operator.outcomes() == [f"paused at step {3 * STEPS:,}", f"went on from step {3 * STEPS:,}"]
    assert operator.updates() == list(range(1, 13))
    assert torch.equal(weights(result), undisturbed)


def test_a_stopped_run_is_gone_on_with(tmp_path, undisturbed):
    operator = Operator(tmp_path / "run", u7=("stop", None))
    with pytest.raises(RunStopped, match=f"op stopped the run at step {7 * STEPS:,}"):
        run(tiny_preferences(), operator.path, on_metrics=operator)
    assert operator.updates() == list(range(1, 8))
    assert RunDirectory.open(operator.path).checkpoint_steps()[-1] == 7 * STEPS
    result = resume(operator.path, on_metrics=operator)
    assert operator.updates() == list(range(1, 13))
    assert operator.outcomes() == [f"stopped at step {7 * STEPS:,}"]
    assert torch.equal(weights(result), undisturbed)


def test_a_pause_outlives_the_learner(tmp_path, undisturbed):
    operator = Operator(tmp_path / "run", u3=("pause", None))
    operator.on_paused = lambda: operator.tell("stop")
    with pytest.raises(RunStopped):
        run(tiny_preferences(), operator.path, on_metrics=operator)
    operator.on_paused = lambda: operator.tell("resume")
    result = resume(operator.path, on_metrics=operator)
    assert operator.num_paused == 2
    assert torch.equal(weights(result), undisturbed)


def test_a_run_rolled_back_learns_that_stretch_again(tmp_path, undisturbed):
    """All that the learner depends on goes back: the same stretch gives the same policy, bit for bit."""
    operator, result = steered(tmp_path, u11=("roll_back", 4 * STEPS))
    assert operator.updates() == [*range(1, 12), *range(5, 13)]
    assert operator.outcomes() == [f"rolled back from step {11 * STEPS:,} to step {4 * STEPS:,}"]
    assert torch.equal(weights(result), undisturbed)
    assert [row["update"] for row in RunDirectory.open(operator.path).metrics()] == list(range(1, 13))


def test_after_the_last_update_a_run_can_still_be_rolled_back(tmp_path, undisturbed):
    operator, result = steered(tmp_path, u12=("roll_back", 8 * STEPS))
    assert operator.updates() == [*range(1, 13), *range(9, 13)]
    assert torch.equal(weights(result), undisturbed)


def test_what_cannot_be_obeyed_is_refused_and_changes_nothing(tmp_path, undisturbed):
    operator, result = steered(tmp_path, u6=("roll_back", 12345))
    (outcome,) = operator.outcomes()
    assert outcome is not None
    assert outcome.startswith("refused: checkpoint")
    assert "step-12345" in outcome
    assert operator.updates() == list(range(1, 13))
    assert torch.equal(weights(result), undisturbed)


def test_a_run_on_the_true_reward_has_no_budget(tmp_path):
    operator, _ = steered(tmp_path, tiny_ppo(), u2=("set_budget", 10))
    assert operator.outcomes() == ["refused: this run learns from its world's own reward and asks nothing"]


@pytest.mark.parametrize(("budget", "asked"), [(36, 36), (1, 6)])
def test_another_budget_asks_for_more_or_no_more(tmp_path, budget, asked):
    operator, _ = steered(tmp_path, u3=("set_budget", budget))
    before = operator.rows[2]["asked"]
    assert operator.outcomes() == [f"the budget is {budget} comparisons; it was 24"]
    assert operator.rows[-1]["asked"] == max(asked, before)
    assert all(row["fits"] >= 1 for row in operator.rows[3:])


def test_another_budget_outlives_the_learner(tmp_path):
    operator = Operator(tmp_path / "run", u3=("set_budget", 36), u6=("stop", None))
    with pytest.raises(RunStopped):
        run(tiny_preferences(), operator.path, on_metrics=operator)
    resume(operator.path, on_metrics=operator)
    assert operator.rows[-1]["asked"] == 36


def test_the_setting_says_who_paused(tmp_path):
    operator = Operator(tmp_path / "run", u2=("pause", None))

    def look() -> None:
        with operator.store() as store:
            assert store.setting(PAUSED, None) == "op"
        operator.tell("resume")

    operator.on_paused = look
    run(tiny_preferences(), operator.path, on_metrics=operator)
    with operator.store() as store:
        assert store.setting(PAUSED, "nobody asked") is None

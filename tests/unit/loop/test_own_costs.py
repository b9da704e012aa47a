"""Costs that the world does not count: of functions by file, and learned from those who say what was unsafe."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.algorithms.ppo import PPOConfig
from heeler.cli import main
from heeler.core.errors import CheckpointError, ConfigError, LearningError, RewardError
from heeler.core.gate_records import GateRecords
from heeler.core.nouns import Feedback, stable_id
from heeler.core.rundir import RunDirectory
from heeler.envs import EnvConfig
from heeler.feedback.kinds import QUESTIONS
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.staleness import staleness
from heeler.feedback.stores import open_store
from heeler.feedback.unsafe import UnsafeTeacherConfig, unsafe_value
from heeler.loop.config import LimitsConfig, RunConfig, from_dict, to_dict
from heeler.loop.cost_config import UnsafeAnswersConfig
from heeler.loop.deploying import deploy
from heeler.loop.deployment import Deployment
from heeler.loop.evaluations import evaluate_run
from heeler.loop.online import OnlineRun
from heeler.loop.running import resume, run
from heeler.models.policy import PolicyConfig
from heeler.oversight.control_gate_config import ControlGateConfig
from heeler.oversight.monitors.config import MonitorsConfig
from heeler.rewards.cost_model import CostModelConfig
from heeler.safety.costs import CostConfig
from tests.faults.test_run_kill import final_weights, metric_trace

BUDGET = 4.0
"""Of 20 steps above .5."""
FAST = "def fast(observation, action, next_observation):\n    return (action[:, 0] > 0.5).astype(float)\n"


def runner(limits: LimitsConfig, *, num_updates: int = 4, **changes: Any) -> RunConfig:
    """A run in the world `Runner`."""
    return replace(
        RunConfig(
            recipe="test",
            env=EnvConfig(id="tests.unit.envs.toy_envs:Runner", num_envs=16, costs=("speeding",)),
            total_steps=num_updates * 16 * 40,
            num_steps=40,
            algorithm=PPOConfig(
                policy=PolicyConfig(hidden_sizes=(8,), initial_log_std=-1.0, normalize_observations=False),
                learning_rate=0.01,
                minibatch_size=320,
                num_epochs=4,
                target_kl=None,
            ),
            limits=limits,
            num_evaluation_episodes=8,
        ),
        **changes,
    )


def asking(**changes: Any) -> UnsafeAnswersConfig:
    settings: dict[str, Any] = {
        "schedule": LabelSchedule(budget=150, initial_share=0.4),
        "teacher": UnsafeTeacherConfig(cost="speeding", mistake=0.05),
        "segment_length": 5,
        "num_warmup_rollouts": 2,
        "refit_every": 30,
        "model": CostModelConfig(hidden_sizes=(8,), num_epochs=40),
    }
    return UnsafeAnswersConfig(**(settings | changes))


def learned(**changes: Any) -> LimitsConfig:
    costs = (CostConfig(name="unsafe", budget=BUDGET, source="answers"),)
    return LimitsConfig.of("ppo_lagrangian", costs, asking(**changes))


def of_function(path: Path, name: str = "fast") -> LimitsConfig:
    return LimitsConfig.of("ppo_lagrangian", (CostConfig(name="mine", budget=BUDGET, source=f"{path}:{name}"),))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FAST)
    return path


def learner_weights(path: Path) -> dict[str, str]:
    return {name: digest for name, digest in final_weights(path).items() if name.startswith("learner.")}


@pytest.mark.slow
def test_a_budget_is_kept_by_a_learned_cost_though_the_learner_never_sees_the_true_one(tmp_path):
    config, rows = runner(learned(), num_updates=40), []
    result = run(config, tmp_path / "run", on_metrics=rows.append)
    assert rows[-1]["cost_model_answered"] == 150
    # Those of before the first answers taught no policy.
    assert "kl" not in rows[0]
    assert "kl" in rows[-1]
    late = rows[-10:]
    spent = np.mean([row["cost_speeding_mean"] for row in late])
    paid = np.mean([row["true_return_mean"] for row in late])
    assert 1.0 < spent < BUDGET + 1.0, "the true cost of an episode"
    assert np.mean([row["cost_unsafe_level"] for row in late]) == pytest.approx(spent, abs=1.5)
    assert set(result.evaluation.figures) == {"cost_speeding", "cost_unsafe"}
    # Its noise alone, about standing still, is paid 3; with that noise the budget allows about 4.9.
    assert paid > 4.0
    # Without a budget it runs as fast as it can.
    free: list[dict[str, float]] = []
    run(replace(config, limits=None, total_steps=20 * 640), tmp_path / "free", on_metrics=free.append)
    assert free[-1]["cost_speeding_mean"] > 2.5 * BUDGET


def test_the_learner_is_handed_nothing_of_the_true_cost(tmp_path):
    """With the true cost made nonsense in what the learner is given, it learns the very same."""
    weights = []
    for spoils in (False, True):
        directory = RunDirectory.create(tmp_path / f"{spoils}", to_dict(runner(learned())))
        with directory.locked(), open_store(directory) as store:
            online = OnlineRun(directory, runner(learned()), store)
            online.begin()
            update = online.ppo.update

            def blind(state: Any, rollout: Any, reward: Any, *, progress: float, update=update, spoils=spoils) -> Any:
                cost = rollout.cost.copy()
                assert cost.shape[-1] == 2
                if spoils:
                    cost[..., 0] = 1e6
                return update(state, replace(rollout, cost=cost), reward, progress=progress)

            online.ppo.update = blind  # type: ignore[method-assign]
            while not online.is_finished:
                online.iterate()
            online.world.close()
        weights.append(learner_weights(tmp_path / f"{spoils}"))
    assert weights[0] == weights[1]


def watched_and_gated(limits: LimitsConfig, path: Path) -> Path:
    """A run with monitors, whose world counts a cost beside its own, and whose gate passes whatever costs 20."""
    (name,) = (cost.name for cost in limits.costs)
    gate = ControlGateConfig(
        margin=50.0,
        num_episodes=200,
        return_range=(-100.0, 100.0),
        budgets={name: 24.0},
        max_costs={name: 25.0},
        every=8,
    )
    return run(runner(limits, num_updates=8, monitors=MonitorsConfig(), gate=gate), path).path


def test_it_is_watched_gated_and_deployed_like_the_worlds(tmp_path, mine):
    """Before any release is in use, the first candidate is judged beside the policy that learning began with."""
    mine.write_text(FAST.replace("0.5", "-9"))
    path = watched_and_gated(of_function(mine), tmp_path / "run")
    (record,) = GateRecords(RunDirectory.open(path)).all()
    assert record.current_sha256 is None
    for side in ("candidate", "current"):
        assert record.details["episodes"][side]["costs"]["mine"] == [20.0] * 200
    assert deploy(path, num_episodes=12, num_envs=4).num_episodes == 12
    with Deployment(path, num_lanes=4, cost_names=("speeding", "mine")) as deployment:
        assert deployment.watch is not None
        means = deployment.watch.means()
    assert (deployment.watch.num_episodes, means["cost_mine"]) == (12, 20.0)
    mine.write_text(FAST)
    with pytest.raises(CheckpointError, match=r"cost 'mine': .*is not what it was"):
        deploy(path, num_episodes=1)


def test_a_learned_one_is_counted_as_the_release_has_it(tmp_path):
    path = watched_and_gated(learned(), tmp_path / "run")
    (record,) = GateRecords(RunDirectory.open(path)).all()
    spent = record.details["episodes"]["candidate"]["costs"]["unsafe"]
    first = record.details["episodes"]["current"]["costs"]["unsafe"]
    assert (min(spent) > 0, min(first) > 0, spent[0] != first[0]) == (True, True, True)
    deploy(path, num_episodes=12, num_envs=4)
    with Deployment(path, num_lanes=4, cost_names=("speeding", "unsafe")) as deployment:
        assert deployment.watch is not None
        # The world and the policy's likeliest actions are the same in every episode.
        assert deployment.watch.means()["cost_unsafe"] == pytest.approx(spent[0], rel=1e-5)


def test_a_function_is_taken_exactly_like_the_worlds_own_cost(tmp_path, mine):
    worlds = LimitsConfig.of("ppo_lagrangian", (CostConfig(name="speeding", budget=BUDGET),))
    first = run(runner(worlds), tmp_path / "world")
    second = run(runner(of_function(mine)), tmp_path / "function")
    assert learner_weights(tmp_path / "world") == learner_weights(tmp_path / "function")
    rows = metric_trace(tmp_path / "function")
    assert rows[-1]["cost_mine_mean"] == rows[-1]["cost_speeding_mean"]
    np.testing.assert_array_equal(second.evaluation.figures["cost_mine"], first.evaluation.figures["cost_speeding"])
    assert (
        evaluate_run(tmp_path / "function").figures["cost_mine"].mean == second.evaluation.figures["cost_mine"].mean()
    )


def test_an_episode_that_was_begun_anew_costs_nothing_of_the_one_before(tmp_path, mine):
    """A foreign world begins anew at each checkpoint, here in the midst of every second episode."""
    mine.write_text(FAST.replace("action[:, 0] > 0.5", "next_observation[:, 0] >= -9"))
    rows: list[dict[str, float]] = []
    run(runner(of_function(mine), num_steps=30, checkpoint_every=1), tmp_path / "run", on_metrics=rows.append)
    assert [row["cost_mine_mean"] for row in rows] == [20.0] * len(rows)
    assert len(rows) > 2


@pytest.mark.parametrize("kind", ["function", "answers"])
def test_a_resumed_run_is_the_same_run(tmp_path, mine, kind):
    limits = of_function(mine) if kind == "function" else learned(refit_every=5)
    config = runner(limits, num_updates=6, checkpoint_every=2)
    run(config, tmp_path / "whole")
    directory = RunDirectory.create(tmp_path / "cut", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        first = OnlineRun(directory, config, store)
        first.begin()
        for _ in range(5):
            first.iterate()
        first.world.close()
    resume(tmp_path / "cut")
    assert metric_trace(tmp_path / "cut") == metric_trace(tmp_path / "whole")
    assert final_weights(tmp_path / "cut") == final_weights(tmp_path / "whole")


def test_a_run_whose_function_was_changed_is_not_gone_on_with(tmp_path, mine):
    config = runner(of_function(mine), num_updates=2, checkpoint_every=1)
    run(config, tmp_path / "run")
    mine.write_text(FAST.replace("0.5", "0.6"))
    with pytest.raises(CheckpointError, match=r"cost 'mine': .*is not what it was"):
        resume(tmp_path / "run")


def test_a_cost_that_is_no_number_names_cost_and_step(tmp_path, mine):
    """The trial before the run has two steps alone; this one fails at the twelfth of 640."""
    mine.write_text(
        "import numpy as np\n"
        "def late(observation, action, next_observation):\n"
        "    cost = np.zeros(len(observation))\n    cost[11:] = np.nan\n    return cost\n"
        "def grows(observation, action, next_observation):\n"
        "    return np.zeros(max(len(observation) - 2, 2))\n"
    )
    with pytest.raises(RewardError, match=r"cost 'mine': .*late gave nan for step 1 of an episode in environment 11"):
        run(runner(of_function(mine, "late")), tmp_path / "late")
    with pytest.raises(
        RewardError, match=r"cost 'mine': .*one number for each of 640 steps.*got shape \(638,\).*step 1"
    ):
        run(runner(of_function(mine, "grows")), tmp_path / "grows")


def test_a_function_that_cannot_work_leaves_no_run(tmp_path, mine, capsys):
    mine.write_text("def twice(observation, action, next_observation):\n    return action\n")
    with pytest.raises(RewardError, match=r"cost 'mine': .*for trial step|got shape \(2, 1\)"):
        run(runner(of_function(mine, "twice")), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"cost 'mine': .*has no function 'twise'. Did you mean 'twice'"):
        run(runner(of_function(mine, "twise")), tmp_path / "run")
    limits = f"{{costs: [{{name: mine, budget: 1, source: '{mine}:twice'}}], ppo_lagrangian: {{}}}}"
    arguments = ["run", "ppo", "--env", "CartPole-v1", "--run-dir", str(tmp_path / "run"), "--set", f"limits={limits}"]
    assert main(arguments) == 2
    assert "cost 'mine'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_people_are_waited_for_and_what_they_take_back_is_forgotten(tmp_path):
    limits = learned(
        teacher="people", question="Does it spill anything?", schedule=LabelSchedule(budget=12, initial_share=0.5)
    )
    config = runner(limits, num_updates=8)
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        store.add_annotator("ann", "person")
        online = OnlineRun(directory, config, store)
        online.begin()
        assert online.iterate() is not None
        assert online.iterate() is not None
        assert online.iterate() is None, "all first questions are put, and nobody has answered"
        open_queries = store.open_queries(100)
        assert [query.kind for query in open_queries] == ["evaluation"] * 6
        assert store.setting(QUESTIONS, {}) == {"evaluation": "Does it spill anything?"}
        marks = [unsafe_value("evaluation", number % 2 == 0) for number in range(6)]
        answers = [
            Feedback(key=stable_id(query.id), query_id=query.id, kind="evaluation", value=value, annotator="ann")
            for query, value in zip(open_queries, marks, strict=True)
        ]
        store.add_feedback(answers)
        # Somebody else says the opposite of all of them, later: the first answer to a question counts.
        store.add_annotator("bob", "person")
        store.add_feedback(
            [
                replace(
                    one, key=stable_id("bob", one.query_id), annotator="bob", value=unsafe_value("evaluation", unsafe)
                )
                for one, unsafe in zip(answers, [False, True] * 3, strict=True)
            ]
        )
        row = online.iterate()
        assert row is not None
        assert row["cost_model_answered"] == 6
        assert "kl" in row
        online.save()
        assert online.costs is not None
        assert online.costs.answers is not None
        assert online.costs.answers.model_state.unsafe_Q.tolist() == [True, False] * 3
        store.withdrawals.forget("ann", "remove")
        assert staleness(directory, store).stale == {online.step: 6}
        online.costs.answers.listen(online.step)
        assert len(online.costs.answers.model_state.unsafe_Q) == 0
        assert not online.costs.is_ready
        online.world.close()


def test_a_cost_model_that_breaks_down_ends_the_run(tmp_path):
    config = runner(learned(model=CostModelConfig(hidden_sizes=(8,), learning_rate=1e30)))
    with pytest.raises(LearningError, match=r"learning of the cost diverged.*limits.answers.model.learning_rate"):
        run(config, tmp_path / "run")


def test_the_configuration_goes_through_a_file():
    config = runner(learned())
    assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LimitsConfig.of("cpo", (CostConfig(name="a", budget=1.0),), asking()), "limits.answers would be ign"),
        (lambda: LimitsConfig.of("cpo", (CostConfig(name="a", budget=1.0, source="answers"),)), "must say how; set it"),
        (lambda: CostConfig(name="a", budget=1.0, source="somewhere"), "source must be world, answers, FILE.py:NAME"),
        (lambda: runner(learned(segment_length=41)), "segment_length must be <= num_steps"),
        (lambda: asking(kind="preference"), "kind must be one of evaluation, rating"),
        (lambda: asking(acquisition="all"), "acquisition must be one of"),
        (lambda: asking(random_share=2.0), "random_share"),
    ],
)
def test_settings_that_cannot_be_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_two_learned_costs_are_refused():
    costs = tuple(CostConfig(name=name, budget=1.0, source="answers") for name in ("a", "b"))
    with pytest.raises(ConfigError, match=r"one cost alone can be learned.*a, b"):
        LimitsConfig.of("cpo", costs, asking())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": UnsafeTeacherConfig(cost="heat")}, "the world has no cost 'heat'; it has speeding"),
        ({"num_warmup_rollouts": 9}, r"nothing would be learned: by limits.answers.num_warmup_rollouts \(9\)"),
    ],
)
def test_what_the_world_cannot_answer_leaves_no_run(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        run(runner(learned(**change)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_cost_called_as_one_of_the_worlds_is_refused(tmp_path, mine):
    costs = (CostConfig(name="speeding", budget=1.0, source=f"{mine}:fast"),)
    with pytest.raises(ConfigError, match="cost 'speeding': the world counts one of that name itself"):
        run(runner(LimitsConfig.of("cpo", costs)), tmp_path / "run")


def test_clips_longer_than_every_episode_are_told(tmp_path):
    config = runner(learned(segment_length=25), num_updates=6)
    start = time.monotonic()
    with pytest.raises(ConfigError, match=r"segment_length must be at most the episodes' length, got 25: .* has 20"):
        run(config, tmp_path / "run")
    assert time.monotonic() - start < 60

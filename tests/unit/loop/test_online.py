"""The loop as a whole, on runs of a second or two."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError, HeelerError, LearningError, RunError
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig, to_dict
from heeler.loop.online import OnlineRun
from heeler.loop.progress import EpisodeReturns, correlation
from heeler.loop.reading import load_policy
from heeler.loop.running import resume, run
from heeler.models.actions import CategoricalHead
from tests.faults.test_run_kill import final_weights, metric_trace
from tests.unit.loop.stage import Stage, stage_config
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences


def test_a_run_reports_every_update_once(tmp_path):
    config, rows = tiny_ppo(), []
    result = run(config, tmp_path / "run", on_metrics=rows.append)
    updates = list(range(1, config.num_updates + 1))
    assert [row["update"] for row in rows] == updates
    assert [row["step"] for row in rows] == [config.steps_per_update * update for update in updates]
    assert RunDirectory.open(tmp_path / "run").metrics() == rows
    assert result.refused_checkpoints == []
    assert len(result.evaluation.returns) == 4
    assert all(math.isfinite(value) for row in rows for value in row.values())


@pytest.mark.parametrize("config", [tiny_ppo(), tiny_preferences()], ids=["ppo", "preferences"])
def test_the_same_seed_is_the_same_run_and_another_seed_another(tmp_path, config):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        run(replace(config, seed=seed), tmp_path / name)
    assert metric_trace(tmp_path / "one") == metric_trace(tmp_path / "same")
    assert final_weights(tmp_path / "one") == final_weights(tmp_path / "same")
    assert final_weights(tmp_path / "one") != final_weights(tmp_path / "other")


@pytest.mark.parametrize("env", ["CartPole-v1", "tests.unit.envs.toy_envs:Mixture"])
def test_discrete_and_multi_discrete_worlds_are_learned_from_comparisons(tmp_path, env):
    config = tiny_preferences(env)
    assert config.preferences is not None
    kwargs = {} if env == "CartPole-v1" else {"length": 30}
    config = replace(
        config,
        env=replace(config.env, kwargs=kwargs),
        preferences=replace(config.preferences, segment_length=8),
    )
    rows = []
    run(config, tmp_path / "run", on_metrics=rows.append)
    assert rows[-1]["labels_used"] == 24
    assert rows[-1]["fits"] >= 2


def test_a_finished_run_is_only_evaluated_again(tmp_path):
    first = run(tiny_ppo(), tmp_path / "run")
    before = metric_trace(tmp_path / "run")
    again = resume(tmp_path / "run")
    np.testing.assert_array_equal(again.evaluation.returns, first.evaluation.returns)
    assert metric_trace(tmp_path / "run") == before


def restarting(share: float = 0.5) -> RunConfig:
    config = tiny_preferences()
    assert config.preferences is not None
    return replace(config, preferences=replace(config.preferences, restart_share=share))


def test_a_fresh_policy_takes_over_and_the_reward_stays(tmp_path):
    run(tiny_preferences(), tmp_path / "kept")
    config = restarting()
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    seen = []
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        update = online.ppo.update

        def watched(learner, rollout, reward, *, progress):
            assert online.preferences is not None
            network = online.preferences.model_state.parameters.flat.detach().clone()
            seen.append((online.update, progress, learner.parameters.flat.detach().clone(), network))
            return update(learner, rollout, reward, progress=progress)

        online.ppo.update = watched
        while not online.is_finished:
            online.iterate()
        fresh = online.ppo.init(config.seed + 6 * 1_000_003, config.env.num_envs).parameters.flat
        online.world.close()
    by_update = {number: rest for number, *rest in seen}
    assert [by_update[n][0] for n in (5, 6, 7, 11)] == [5 / 6, 0.0, 1 / 6, 5 / 6]
    assert torch.equal(by_update[6][1], fresh)
    assert not torch.equal(by_update[7][1], fresh)
    # No fit was due just then.
    assert torch.equal(by_update[6][2], by_update[5][2])
    assert metric_trace(tmp_path / "run")[:5] != metric_trace(tmp_path / "kept")[:5], "learning rates fall sooner"
    assert final_weights(tmp_path / "run") != final_weights(tmp_path / "kept")


@pytest.mark.parametrize("stop_at", [4, 8])
def test_a_run_that_goes_on_before_or_after_its_restart_is_the_same_run(tmp_path, stop_at):
    class Stopped(Exception):
        pass

    def stop(row):
        if row["update"] == stop_at:
            raise Stopped

    run(restarting(), tmp_path / "whole")
    with pytest.raises(Stopped):
        run(restarting(), tmp_path / "run", on_metrics=stop)
    resume(tmp_path / "run")
    assert metric_trace(tmp_path / "run") == metric_trace(tmp_path / "whole")
    assert final_weights(tmp_path / "run") == final_weights(tmp_path / "whole")


def test_the_directory_of_another_configuration_is_refused_and_left_alone(tmp_path):
    run(tiny_ppo(), tmp_path / "run")
    before = final_weights(tmp_path / "run")
    with pytest.raises(RunError, match=r"belongs to another configuration \(differs in seed\)"):
        run(tiny_ppo(seed=1), tmp_path / "run")
    assert final_weights(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: 0", "seed: 1", "seed from 0 to 1"),
        ("num_steps: 64", "num_steps: 32", "num_steps from 64 to 32"),
        ("id: CartPole-v1", "id: Acrobot-v1", "env.id from CartPole-v1 to Acrobot-v1"),
        ("kwargs: {}", "kwargs: {max_episode_steps: 9}", "env.kwargs.max_episode_steps from None to 9"),
        ("hidden_sizes:\n", "hidden_sizes:\n    - 8\n", r"algorithm.policy.hidden_sizes from \[.*\] to \[8, .*\]"),
    ],
)
def test_a_configuration_that_was_changed_is_refused_by_name(ppo_run, tmp_path, old, new, told):
    path = shutil.copytree(ppo_run, tmp_path / "run")
    text = (path / "config.yaml").read_text()
    assert text.count(old) == 1
    (path / "config.yaml").write_text(text.replace(old, new))
    before = final_weights(path)
    with pytest.raises(RunError, match=rf"config.yaml was changed after step-3072 was saved: {told}\. Put the old"):
        resume(path)
    assert final_weights(path) == before


def test_what_learning_does_not_depend_on_may_be_changed(ppo_run, tmp_path):
    path = shutil.copytree(ppo_run, tmp_path / "run")
    text = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(text.replace("num_evaluation_episodes: 4", "num_evaluation_episodes: 2"))
    assert len(resume(path).evaluation.returns) == 2


def test_a_checkpoint_of_a_version_that_kept_no_configuration_is_gone_on_with(ppo_run, tmp_path):
    path = shutil.copytree(ppo_run, tmp_path / "run")
    directory = RunDirectory.open(path)
    checkpoint, _ = directory.newest_checkpoint()
    state = {name: value for name, value in checkpoint.state.items() if name != "config"}
    directory.save_checkpoint(checkpoint.step, checkpoint.tensors, state, keep=1)
    assert resume(path).refused_checkpoints == []


def test_the_policy_of_a_checkpoint_is_the_one_that_was_learned(tmp_path):
    result = run(tiny_ppo(), tmp_path / "run")
    policy, config = load_policy(tmp_path / "run")
    assert config == tiny_ppo()
    observation = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    assert torch.equal(policy.act(observation, None), result.policy.act(observation, None))


def test_without_a_reward_nothing_is_learned(tmp_path):
    """Before the first fit the loop acts and asks, but the policy stays as it was made."""
    config = tiny_preferences()
    assert config.preferences is not None
    # The first questions are all asked after 2 of the 12 updates, and answered after 11.
    delay = 9 * config.steps_per_update
    slow = replace(config.preferences, teacher=replace(config.preferences.teacher, delay_steps=delay))
    rows = []
    run(replace(config, preferences=slow), tmp_path / "run", on_metrics=rows.append)
    before = rows[:10]
    assert all("policy_loss" not in row for row in before)
    assert all("predicted_reward_mean" not in row for row in before)
    assert before[-1]["asked"] == 6
    assert before[-1]["fits"] == 0
    assert all("policy_loss" in row for row in rows[10:])


@pytest.mark.parametrize(
    ("num_warmup_rollouts", "delay", "message"),
    [
        (12, 0, r"by preferences.num_warmup_rollouts \(12\) the first .* raise total_steps to at least 13,312, "),
        (2, 9217, r" and preferences.teacher.delay_steps \(9,217\) the first answers are in after 12 updates "),
        (2, 10**9, "or lower preferences.num_warmup_rollouts or preferences.teacher.delay_steps$"),
    ],
)
def test_a_run_that_is_over_before_anything_is_learned_is_refused(tmp_path, num_warmup_rollouts, delay, message):
    config = tiny_preferences()
    assert config.preferences is not None
    teacher = replace(config.preferences.teacher, delay_steps=delay)
    asking = replace(config.preferences, teacher=teacher, num_warmup_rollouts=num_warmup_rollouts)
    with pytest.raises(ConfigError, match=message):
        run(replace(config, preferences=asking), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_a_learner_that_diverges_is_stopped_in_plain_words(tmp_path, env):
    config = tiny_ppo(env)
    config = replace(config, algorithm=replace(config.algorithm, learning_rate=1e30, num_epochs=4))
    with pytest.raises(HeelerError, match="learning_rate"):
        run(config, tmp_path / "run")


@pytest.mark.parametrize(("checkpoint_every", "kept"), [(1, "the checkpoint of step 1,024 is kept"), (100, "no check")])
def test_a_policy_that_diverges_names_what_is_left_and_how_large_rewards_were(tmp_path, checkpoint_every, kept):
    """Rewards that are finite, as their discounted sums are not."""
    config = tiny_ppo("tests.unit.loop.unseen:Overpaid", checkpoint_every=checkpoint_every)
    config = replace(config, env=replace(config.env, num_envs=16))
    message = rf"diverged in update 2: .*; .*{kept}.*\. Lower algorithm\.learning_rate.* rewards were of up to 1e\+38$"
    with pytest.raises(LearningError, match=message):
        run(config, tmp_path / "run")


@pytest.mark.parametrize("setting", ["learning_rate", "weight_decay"])
@pytest.mark.parametrize("refit_every", [6, 2], ids=["at the first reward", "before it"])
def test_a_reward_model_that_diverges_is_named_and_not_the_policy(tmp_path, setting, refit_every):
    config = tiny_preferences(checkpoint_every=100)
    assert config.preferences is not None
    model = replace(config.preferences.model, **{setting: 1e30})
    asking = replace(config.preferences, model=model, refit_every=refit_every)
    with pytest.raises(LearningError, match=r"there is no checkpoint yet\. Lower preferences\.model\.learning_rate"):
        run(replace(config, preferences=asking), tmp_path / "run")


def test_returns_of_whole_episodes_against_a_naive_sum(tmp_path):
    """Rollouts cut episodes where they like; the returns are those of whole episodes all the same."""
    stage = Stage(stage_config(num_envs=4, num_steps=10), tmp_path)
    stage.collector.reset(0)
    returns = EpisodeReturns(4)
    rewards, ends = [], []
    for _ in range(12):
        rollout = stage.act()
        returns.add(rollout)
        rewards.append(rollout.true_reward)
        ends.append(rollout.ended)
    reward_TN, ended_TN = np.concatenate(rewards), np.concatenate(ends)
    expected = []
    for t in range(len(reward_TN)):
        for n in np.flatnonzero(ended_TN[t]):
            begin = max((s + 1 for s in range(t) if ended_TN[s, n]), default=0)
            expected.append((float(reward_TN[begin : t + 1, n].sum()), t + 1 - begin))
    assert [length for _, length in returns.latest] == [25] * 16
    np.testing.assert_allclose([value for value, _ in returns.latest], [value for value, _ in expected])
    assert returns.means()["true_return_mean"] == pytest.approx(np.mean([value for value, _ in expected]))
    assert returns.means()["episodes"] == 16


def test_episodes_that_were_cut_short_on_purpose_do_not_count(tmp_path):
    stage = Stage(stage_config(num_envs=4, num_steps=10), tmp_path)
    stage.collector.reset(0, stagger=True)
    returns = EpisodeReturns(4)
    returns.restart(partial=True)
    for _ in range(12):
        returns.add(stage.act())
    assert {length for _, length in returns.latest} == {25}
    state = json.loads(json.dumps(returns.kept()[1]))
    other = EpisodeReturns(4)
    other.restore({}, state)
    assert other.kept() == returns.kept()
    assert other.means() == returns.means()


def test_correlation_by_hand():
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert correlation(a, 3 * a - 7) == pytest.approx(1.0)
    assert correlation(a, -a) == pytest.approx(-1.0)
    assert correlation(a, np.ones((2, 2))) == 0.0


def test_the_learned_reward_fits_the_worlds_actions(tmp_path):
    stage = Stage(stage_config(env="CartPole-v1", segment_length=5), tmp_path)
    assert isinstance(stage.policy.head, CategoricalHead)
    assert stage.model.num_features == 4 + 2

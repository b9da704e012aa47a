"""The known traps of learning from preferences, one test each. The one that needs learning is in `tests/learning`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from heeler.algorithms.ppo import PPO, PPOConfig
from heeler.core.nouns import Query, Segment, stable_id
from heeler.core.rollout import Rollout
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.teachers import TEACHERS, SimulatedTeacher, TeacherConfig
from heeler.loop.running import run
from heeler.models.policy import PolicyConfig
from heeler.rewards.preference_model import PreferenceModelConfig, is_validation
from heeler.rollouts.collector import Collector
from tests.toy_worlds import Corridor
from tests.unit.loop.stage import Stage, stage_config
from tests.unit.loop.tiny import tiny_preferences


def test_stale_normalisation(tmp_path):
    """The reward has mean 0 on every rollout, and after each fit every member has spread 1, whatever the fit did."""
    stage = Stage(stage_config(), tmp_path)
    fits, raw_means = 0, []
    for _ in range(20):
        rollout, reward = stage.turn()
        state = stage.loop.model_state
        if reward is None:
            continue
        raw_MTN = stage.model.predict(state, rollout)
        raw_means.append(float(raw_MTN.mean()))
        assert reward.mean() == pytest.approx(0, abs=1e-4)
        if state.num_fits > fits:
            fits = state.num_fits
            spread_M = (raw_MTN * state.scale_M[:, None, None]).std((1, 2), correction=0)
            torch.testing.assert_close(spread_M, torch.ones(3))
            # As though the next fit came to a reward of another size: it must not reach the learner.
            with torch.no_grad():
                state.network.weights[-1].mul_(3.0)
                state.network.biases[-1].add_(7.0)
    assert fits >= 4
    assert np.std(raw_means) > 1.0


def test_rewards_are_relabelled_after_each_fit(tmp_path):
    """The same rollout gets the newest reward, not the one that it had; without a fit in between it keeps its own."""
    stage = Stage(stage_config(), tmp_path)
    stage.turns(3)
    rollout = stage.act()
    before = stage.loop.reward(rollout, progress=0.0)
    np.testing.assert_array_equal(stage.loop.reward(rollout, progress=0.0), before)
    fits = stage.loop.model_state.num_fits
    while stage.loop.model_state.num_fits == fits:
        stage.turn()
    after = stage.loop.reward(rollout, progress=0.0)
    assert before is not None
    assert after is not None
    assert np.abs(after - before).max() > 1e-3


def tensor_names(folder) -> set[str]:
    files = list(folder.glob("*.safetensors"))
    assert files
    names: set[str] = set()
    for file in files:
        with safe_open(file, "numpy") as tensors:
            names |= set(tensors.keys())
    return names


def test_segments_keep_the_true_reward_only_for_the_simulated_teacher(tmp_path):
    simulated = Stage(stage_config(), tmp_path / "simulated")
    simulated.turns(4)
    people = Stage(stage_config(teacher="people"), tmp_path / "people")
    people.turns(4)
    assert "true_reward" in tensor_names(tmp_path / "simulated" / "segments")
    names = tensor_names(tmp_path / "people" / "segments")
    assert "observation" in names
    assert "true_reward" not in names


def test_the_learned_reward_never_looks_at_the_true_one(tmp_path):
    """Two runs whose worlds pay differently but whose answers are the same learn the same, bit for bit."""
    rewards = []
    for scale in (1.0, 100.0):
        stage = Stage(stage_config(teacher="people"), tmp_path / str(scale))
        collect = stage.collector.collect

        def paid(*arguments, collect=collect, scale=scale) -> Rollout:
            rollout = collect(*arguments)
            return replace(rollout, true_reward=scale * rollout.true_reward)

        stage.collector.collect = paid
        stage.turns(3)
        for index, query in enumerate(stage.store.open_queries(100)):
            stage.answer([query], "left" if index % 3 else "right")
        rewards.append(stage.turn()[1])
    assert rewards[0] is not None
    np.testing.assert_array_equal(rewards[0], rewards[1])


def scored(index: int, total: float) -> Segment:
    return Segment(
        observation=np.full((4, 1), index, np.float32),
        action=np.zeros((4, 1), np.float32),
        next_observation=np.zeros((4, 1), np.float32),
        true_reward=np.full(4, total / 4, np.float32),
        env_id="Made-up",
        policy_version=0,
        trajectory_id="train/env-0/episode-0",
        start_step=0,
    )


def test_teacher_noise_is_in_units_of_return_spread():
    """A teacher is as noisy where returns are counted in thousands as where they are counted in thousandths."""
    returns = np.random.default_rng(0).normal(size=(400, 2))
    answers = []
    for scale in (1e-3, 1.0, 1e3):
        teacher = SimulatedTeacher(TeacherConfig(beta=1.0), 0, "noisy")
        pairs = [tuple(scored(2 * i + side, scale * returns[i, side]) for side in (0, 1)) for i in range(400)]
        segments = {segment.id: segment for pair in pairs for segment in pair}
        queries = [
            Query(
                id=stable_id("query", index),
                kind="preference",
                segment_ids=(left.id, right.id),
                policy_version=0,
                asked_step=0,
            )
            for index, (left, right) in enumerate(pairs)
        ]
        teacher.ask(queries, segments, 0)
        answers.append([answer.value["choice"] for answer in teacher.ready(0)])
    assert answers[0] == answers[1] == answers[2]
    right_way = np.mean([(a == "left") == (left > right) for a, (left, right) in zip(answers[0], returns, strict=True)])
    difference = np.abs(returns[:, 0] - returns[:, 1]) / returns.std()
    assert right_way == pytest.approx((1 / (1 + np.exp(-difference))).mean(), abs=0.06)


def test_split_by_trajectory_made_once_and_kept(tmp_path):
    """A trajectory's side follows from its name alone; no pair straddles the split, and no row ever changes sides."""
    stage = Stage(stage_config(schedule=LabelSchedule(budget=120)), tmp_path)
    sides: list[bool] = []
    for _ in range(20):
        stage.turn()
        data = stage.loop.model_state.comparisons
        now = [] if data is None else data.validation_Q.tolist()
        assert now[: len(sides)] == sides
        sides = now
    queries = stage.all_queries()
    assert len(queries) == len(sides) == 120
    assert 15 < sum(sides) < 45, "a quarter, as configured"
    for query, side in zip(queries, sides, strict=True):
        assert [is_validation(s.trajectory_id, 0.25) for s in stage.segments_of(query)] == [side, side]


def test_the_split_is_by_name_alone():
    names = [f"train/env-{n}/episode-{e}" for n in range(50) for e in range(40)]
    sides = [is_validation(name, 0.1) for name in names]
    assert np.mean(sides) == pytest.approx(0.1, abs=0.02)
    assert sides == [is_validation(name, 0.1) for name in names]
    # A larger share takes more in and lets none go.
    assert all(is_validation(name, 0.2) for name, side in zip(names, sides, strict=True) if side)
    assert not any(is_validation(name, 0.0) for name in names)
    # Changing these would move trajectories of existing runs from one side to the other.
    assert [n for n in range(60) if is_validation(f"train/env-{n}/episode-0", 0.1)] == [1, 34, 42, 47, 49, 51, 55]


def test_members_see_different_data(tmp_path):
    stage = Stage(stage_config(schedule=LabelSchedule(budget=120)), tmp_path)
    stage.finish()
    data = stage.loop.model_state.comparisons
    assert data is not None
    weight_MQ = data.weight_MQ[:, ~data.validation_Q]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (weight_MQ[a] != weight_MQ[b]).float().mean() > 0.4
    assert (data.weight_MQ[:, data.validation_Q] == 0).all()


def test_skipped_queries_do_not_use_up_budget(tmp_path):
    skipping = replace(TEACHERS["skipping"], skip_threshold=0.9)
    stage = Stage(stage_config(teacher=skipping, num_updates=40), tmp_path)
    stage.finish()
    assert stage.loop.ledger.num_cant_tell > 5
    assert stage.loop.num_useful == 40
    assert stage.loop.num_asked == 40 + stage.loop.ledger.num_cant_tell
    data = stage.loop.model_state.comparisons
    assert data is not None
    assert len(data.outcome_Q) == 40


def test_skipped_queries_do_not_use_up_budget_of_a_whole_run(tmp_path):
    config = tiny_preferences()
    assert config.preferences is not None
    skipping = replace(TEACHERS["skipping"], skip_threshold=0.9)
    rows = []
    run(
        replace(config, preferences=replace(config.preferences, teacher=skipping)),
        tmp_path / "run",
        on_metrics=rows.append,
    )
    assert rows[-1]["labels_used"] == 24
    assert rows[-1]["asked"] > 24


def corridor_rollout(num_envs: int = 4, num_steps: int = 7) -> Rollout:
    """Observation t after t steps; environment n ends after n + 2 of them."""
    world = Corridor(num_envs)
    learner = PPO(PPOConfig(policy=PolicyConfig(hidden_sizes=(4,))), 1, world.single_action_space)
    collector = Collector(world, num_steps, record_snapshots=False)
    collector.reset(0)
    return collector.collect(learner.init(0, num_envs).policy, torch.Generator().manual_seed(0), 0)


def test_reward_uses_the_terminal_observation(tmp_path):
    """At an episode's end the reward is that of where it ended, not of where the next one began."""
    config = stage_config(
        num_envs=4,
        num_steps=7,
        segment_length=2,
        model=PreferenceModelConfig(hidden_sizes=(), inputs=("next_observation",), validation_share=0.0, max_epochs=2),
    )
    stage = Stage(config, tmp_path, world=Corridor(4))
    while not stage.loop.has_reward:
        rollout, reward = stage.turn()
    state = stage.loop.model_state
    place = np.where(rollout.ended, np.arange(4) + 2, rollout.observation[1:, :, 0])
    assert rollout.ended.sum() >= 6
    at = {float(p): reward[t, n] for (t, n), p in np.ndenumerate(place)}
    for (t, n), p in np.ndenumerate(place):
        assert reward[t, n] == pytest.approx(at[float(p)], abs=1e-5)
    # A linear reward of the place: the reset's place, 0, would stand on the line elsewhere.
    slope = (at[3.0] - at[1.0]) / 2
    assert abs(slope) > 1e-3
    assert at[2.0] == pytest.approx((at[1.0] + at[3.0]) / 2, abs=1e-4)
    for segment in (s for query in stage.all_queries() for s in stage.segments_of(query)):
        np.testing.assert_array_equal(segment.next_observation, segment.observation + 1)
    assert state.num_fits == 1


def test_truncation_bootstraps_and_termination_does_not():
    """With a value of 10 everywhere and no trace, a target is reward + γ·10, or the bare reward where it terminated."""
    rollout = corridor_rollout()
    config = PPOConfig(policy=PolicyConfig(hidden_sizes=(4,)), discount=0.5, trace_decay=0.0, normalize_rewards=False)
    learner = PPO(config, 1, Corridor(4).single_action_space)
    state = learner.init(0, 4)
    with torch.no_grad():
        state.policy.critic.layers[-1].weight.zero_()
        state.policy.critic.layers[-1].bias.fill_(10.0)
    reward = rollout.true_reward
    target = learner._prepare(state, rollout, reward)[0].target_B.view(reward.shape).numpy()
    assert rollout.terminated.sum() >= 3
    assert rollout.truncated.sum() >= 2
    np.testing.assert_allclose(target, reward + np.where(rollout.terminated, 0.0, 5.0), atol=1e-5)


def test_truncation_bootstraps_from_where_it_was_cut():
    """The value is that of the terminal observation, not of the next episode's first."""
    rollout = corridor_rollout()
    config = PPOConfig(
        policy=PolicyConfig(hidden_sizes=(4,), normalize_observations=False),
        discount=0.5,
        trace_decay=0.0,
        normalize_rewards=False,
    )
    learner = PPO(config, 1, Corridor(4).single_action_space)
    state = learner.init(0, 4)
    value = {p: float(state.policy.value(torch.tensor([[float(p)]]))[0].detach()) for p in range(7)}
    reward = np.zeros_like(rollout.true_reward)
    target = learner._prepare(state, rollout, reward)[0].target_B.view(reward.shape).numpy()
    for t, n in np.argwhere(rollout.truncated):
        assert target[t, n] == pytest.approx(0.5 * value[n + 2], abs=1e-5)
        assert abs(value[n + 2] - value[0]) > 1e-3

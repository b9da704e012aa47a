"""Runs that learn from demonstrations: every way to its end, gone on with, refused where it cannot be meant."""

import shutil
import sqlite3
import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heeler.algorithms.ppo import PPOConfig
from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import CheckpointError, ConfigError, DataError
from heeler.core.nouns import Feedback, PolicyVersion, Query
from heeler.core.rundir import RunDirectory
from heeler.envs import EnvConfig, make
from heeler.feedback.episodes import load_npz, read_demonstrations, save_npz
from heeler.feedback.stores import open_store
from heeler.loop.config import LimitsConfig, RunConfig, from_dict, to_dict
from heeler.loop.demonstrating import demonstrate_run, record
from heeler.loop.imitating import MovedReward, random_return
from heeler.loop.imitation_config import METHODS, ExpertConfig, ImitationConfig
from heeler.loop.mixture import Mixture
from heeler.loop.online import OnlineRun
from heeler.loop.report import write_report
from heeler.loop.running import resume, run
from heeler.models.policy import Policy, PolicyConfig
from heeler.recipes import imitation, ppo
from heeler.safety.costs import CostConfig
from heeler.service.driving import Drive
from heeler.service.worlds import look_at
from tests.shown import some
from tests.unit.loop.tiny import CARTPOLE_SHOWN, tiny_imitation, tiny_ppo


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of PPO in CartPole, whose policy may be asked."""
    return run(tiny_ppo(), tmp_path_factory.mktemp("expert") / "run").path


def config_of(method: str, expert: Path, **settings: Any) -> RunConfig:
    return tiny_imitation(method, **({"expert": str(expert)} if method == "dagger" else {}), **settings)


@pytest.mark.parametrize("method", METHODS)
def test_every_way_runs_to_its_end_and_tells_how_far_it_came(method: str, expert: Path, tmp_path: Path):
    result = run(config_of(method, expert), tmp_path / "run")
    rows = RunDirectory.open(result.path).metrics()
    assert len(rows) == 6
    assert rows[-1]["expert_return"] == 80.0
    assert 5 < rows[-1]["random_return"] < 60
    latest = rows[-1]["true_return_mean"]
    chance = rows[-1]["random_return"]
    assert rows[-1]["normalized_return"] == pytest.approx((latest - chance) / (80 - chance))
    wanted = {
        "bc": "held_out_log_prob",
        "dagger": "expert_agreement",
        "gail": "discriminator_accuracy",
        "airl": "discriminator_accuracy",
        "sqil": "soft_q_loss",
        "density": "log_density_mean",
    }
    assert wanted[method] in rows[-1]
    assert from_dict(RunDirectory.open(result.path).config()) == config_of(method, expert)
    page = write_report(result.path).read_text("utf-8")
    assert "Normalised return" in page


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_stopped_goes_on_as_if_it_had_not(method: str, expert: Path, tmp_path: Path):
    whole = run(config_of(method, expert), tmp_path / "whole").path
    directory = RunDirectory.create(tmp_path / "stopped", to_dict(config_of(method, expert)))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config_of(method, expert), store)
        online.begin()
        for _ in range(4):
            online.iterate()
        online.close()
    resume(tmp_path / "stopped")
    checkpoints = [RunDirectory.open(path).newest_checkpoint()[0] for path in (whole, tmp_path / "stopped")]
    assert checkpoints[0] is not None and checkpoints[1] is not None
    assert checkpoints[0].tensors.keys() == checkpoints[1].tensors.keys()
    for name, array in checkpoints[0].tensors.items():
        np.testing.assert_array_equal(array, checkpoints[1].tensors[name], err_msg=name)


def test_demonstrations_that_changed_are_refused_when_a_run_goes_on(tmp_path: Path):
    shown = tmp_path / "demos.npz"
    shutil.copy(CARTPOLE_SHOWN, shown)
    path = run(tiny_imitation("gail", demonstrations=str(shown)), tmp_path / "run").path
    save_npz(shown, load_npz(shown).first(5))
    with pytest.raises(CheckpointError, match=r"demos\.npz does not hold what it did"):
        resume(path)


def test_an_expert_that_learned_on_is_refused_when_a_run_goes_on(expert: Path, tmp_path: Path):
    mine = tmp_path / "expert"
    shutil.copytree(expert, mine)
    path = run(tiny_imitation("dagger", expert=str(mine)), tmp_path / "run").path
    newest = max((mine / "checkpoints").iterdir(), key=lambda one: int(one.name.removeprefix("step-")))
    shutil.rmtree(newest)
    with pytest.raises(CheckpointError, match=r"imitation\.expert: the newest checkpoint of .* is not what it was"):
        resume(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"demonstrations": "none.npz"}, r"none\.npz: there is no such file"),
        ({"num_demonstrations": 7}, r"num_demonstrations is 7, and .*cartpole\.npz holds 6"),
    ],
)
def test_demonstrations_that_are_not_there_are_refused_before_anything_is_written(changes, message, tmp_path: Path):
    config = tiny_imitation("bc")
    assert config.imitation is not None
    with pytest.raises((DataError, ConfigError), match=message):
        run(replace(config, imitation=replace(config.imitation, **changes)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_demonstrations_of_another_world_are_refused(tmp_path: Path):
    config = imitation(env="Pendulum-v1", demonstrations=str(CARTPOLE_SHOWN), total_steps=20_000)
    with pytest.raises(DataError, match=r"cartpole\.npz, episode 0: observation: expected 3 numbers each"):
        run(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "exactly one way of bc, dagger, gail, airl, sqil, density; got none"),
        ({"bc": METHODS["bc"](), "gail": METHODS["gail"]()}, "got bc and gail"),
        ({"bc": METHODS["bc"](), "demonstrations": ""}, "demonstrations must say where they are"),
        ({"dagger": METHODS["dagger"]()}, "imitation.expert must say whom"),
        ({"bc": METHODS["bc"](), "expert": ExpertConfig(source="a")}, "imitation.expert would be ignored"),
        ({"bc": METHODS["bc"](), "num_demonstrations": 0}, "num_demonstrations must be >= 1"),
        (
            {"dagger": METHODS["dagger"](), "expert": ExpertConfig(source="people")},
            "initial_expert_share must be 0 where people are asked",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        ImitationConfig(**({"demonstrations": "demos.npz"} | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": ""}, "expert.source must be"),
        ({"source": "people", "num_questions": 0}, "expert.num_questions must be >= 1"),
        ({"source": "run", "segment_length": 5}, "expert.segment_length is for people"),
        ({"source": "people", "answers_share": 1.5}, "expert.answers_share must be between"),
    ],
)
def test_settings_of_an_expert_that_cannot_be_meant_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        ExpertConfig(**settings)


def test_what_a_cloner_would_ignore_is_refused():
    config = tiny_imitation("bc")
    with pytest.raises(ConfigError, match=r"algorithm\.learning_rate would be ignored, as bc learns in PPO's place"):
        replace(config, algorithm=PPOConfig(learning_rate=1.0))
    limits = LimitsConfig.of("ppo_lagrangian", (CostConfig(name="speed", budget=1.0),))
    with pytest.raises(ConfigError, match="limits would be ignored, as bc looks at no reward"):
        replace(config, limits=limits)
    with pytest.raises(ConfigError, match="one reward alone is learned from; got imitation and reward_of"):
        replace(config, reward_of="runs/other")
    with pytest.raises(ConfigError, match="state_only is for airl, and bc would ignore it"):
        imitation(env="CartPole-v1", demonstrations="demos.npz", state_only=True)
    with pytest.raises(ConfigError, match=r"no method 'gial'.*Did you mean 'gail'"):
        ImitationConfig.of("gial")


# The reward of one run in another


def test_a_reward_is_moved_and_stays_as_it_was(tmp_path: Path):
    made = run(tiny_imitation("airl", state_only=True), tmp_path / "airl").path
    config = replace(tiny_ppo(), reward_of=str(made))
    path = run(config, tmp_path / "moved").path
    rows = RunDirectory.open(path).metrics()
    assert all(np.isfinite(row["learned_reward_mean"]) for row in rows)
    assert "reward_correlation" in rows[-1]
    world = make(EnvConfig(id="CartPole-v1", num_envs=8), 0)
    part = MovedReward(config, world)
    directory = RunDirectory.create(tmp_path / "other", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        rollout = online._act()
        online.close()
    assert rollout is not None
    mine = part._reward.step_reward(part._state, part._space.acted(rollout, None)).numpy()
    # A reward of states alone does not see what was done.
    altered = replace(rollout, executed=1 - rollout.executed)
    np.testing.assert_array_equal(mine, part._reward.step_reward(part._state, part._space.acted(altered, None)))
    assert mine.std() > 0
    world.close()


def test_a_reward_is_refused_in_other_spaces_and_of_runs_that_made_none(tmp_path: Path, expert: Path):
    made = run(tiny_imitation("airl"), tmp_path / "airl").path
    with pytest.raises(ConfigError, match=r"learned in CartPole-v1, whose spaces are not those of Pendulum-v1"):
        run(ppo(env="Pendulum-v1", reward=str(made), total_steps=10_000), tmp_path / "moved")
    with pytest.raises(ConfigError, match="made no reward of demonstrations"):
        run(replace(tiny_ppo(), reward_of=str(expert)), tmp_path / "moved")
    assert not (tmp_path / "moved").exists()


def test_a_reward_whose_run_learned_on_is_refused(tmp_path: Path):
    made = run(tiny_imitation("density"), tmp_path / "made").path
    path = run(replace(tiny_ppo(), reward_of=str(made)), tmp_path / "moved").path
    newest = max((made / "checkpoints").iterdir(), key=lambda one: int(one.name.removeprefix("step-")))
    shutil.rmtree(newest)
    with pytest.raises(CheckpointError, match="reward_of: the newest checkpoint of"):
        resume(path)


def test_limits_and_shaping_go_with_a_reward_that_is_made_of_demonstrations(tmp_path: Path):
    """A part like any other: what comes after it takes its reward on."""
    from heeler.rewards.shaping import ShapingConfig

    (tmp_path / "potential.py").write_text("def upright(observation):\n    return -abs(observation[:, 2])\n")
    shaping = ShapingConfig(function=f"{tmp_path / 'potential.py'}:upright")
    path = run(tiny_imitation("gail", shaping=shaping), tmp_path / "run").path
    assert "shaping_per_step" in RunDirectory.open(path).metrics()[-1]


# Who shows


def test_a_policy_shows_whole_episodes_as_the_world_took_them(expert: Path):
    shown = demonstrate_run(expert, num_episodes=5)
    assert (len(shown), shown.env_id) == (5, "CartPole-v1")
    world = make(EnvConfig(id="CartPole-v1", num_envs=1), 0)
    for one in shown.episodes:
        assert one.reward is not None and one.reward.sum() == len(one)
        # The world's own next state of each step, and its own end.
        for t in range(len(one)):
            world.set_physics(one.observation[t][None].astype(np.float64))
            following, _, terminated, _, infos = world.step(one.action[t])
            reached = infos["final_obs"][0] if "final_obs" in infos else following[0]
            np.testing.assert_allclose(reached, one.observation[t + 1], atol=1e-5)
        assert one.terminated == bool(terminated[0])
    assert demonstrate_run(expert, num_episodes=5).fingerprint == shown.fingerprint
    assert demonstrate_run(expert, num_episodes=5, seed=77).fingerprint != shown.fingerprint
    assert demonstrate_run(expert, num_episodes=5, sample=True).fingerprint != shown.fingerprint
    world.close()


def test_bad_episodes_may_be_left_out(expert: Path):
    shown = demonstrate_run(expert, num_episodes=6)
    assert shown.returns is not None
    least = float(np.median(shown.returns)) + 0.5
    better = demonstrate_run(expert, num_episodes=6, least_return=least)
    assert better.returns is not None
    assert better.returns.tolist() == [value for value in shown.returns if value >= least]
    with pytest.raises(ConfigError, match="least_return is 1e\\+06, and the best of 6 episodes"):
        demonstrate_run(expert, num_episodes=6, least_return=1e6)
    with pytest.raises(ConfigError, match="episodes must be >= 1"):
        demonstrate_run(expert, num_episodes=0)


def test_box_actions_are_shown_within_their_bounds():
    world = make(EnvConfig(id="Pendulum-v1", num_envs=3), 0)
    policy = Policy(PolicyConfig(initial_log_std=3.0), 3, world.single_action_space)
    shown = record(policy, world, seed=0, sample=True)
    assert float(np.abs(np.concatenate([one.action for one in shown.episodes])).max()) == 2.0
    assert not any(one.terminated for one in shown.episodes)
    world.close()


def test_what_people_drive_in_the_browser_is_learned_from(tmp_path: Path):
    """A demonstration that was posted to a run's store is read whole, and cloned."""
    asking = RunDirectory.create(tmp_path / "asked", to_dict(tiny_ppo()))
    facts = look_at(to_dict(tiny_ppo()))
    assert facts is not None
    with open_store(asking) as store:
        store.add_annotator("alice", "person", "")
        store.add_policy_version(PolicyVersion(version=0, step=0))
        driven = []
        for seed in range(3):
            query = Query(
                id=str(uuid.uuid4()), kind="demonstration", segment_ids=("x",), policy_version=0, asked_step=0
            )
            drive = Drive(facts, query, seed=seed)
            drive.step([[step % 2] for step in range(8 + seed)])
            segment = drive.finish("alice")
            store.add_segments([segment])
            query = replace(query, segment_ids=(segment.id,))
            store.add_queries([query])
            answer = Feedback(
                key=str(uuid.uuid4()),
                query_id=query.id,
                kind="demonstration",
                value={"segment_id": segment.id},
                annotator="alice",
            )
            store.add_feedback([answer])
            driven.append(segment)
    world = make(EnvConfig(id="CartPole-v1", num_envs=1), 0)
    shown = read_demonstrations(str(asking.path), world.observation_size, world.single_action_space)
    world.close()
    assert [len(one) for one in shown.episodes] == [8, 9, 10]
    for one, segment in zip(shown.episodes, driven, strict=True):
        np.testing.assert_array_equal(one.observation[:-1], segment.observation)
        np.testing.assert_array_equal(one.observation[-1], segment.next_observation[-1])
        np.testing.assert_array_equal(one.action, segment.action)
    run(tiny_imitation("bc", demonstrations=str(asking.path)), tmp_path / "run")


def test_a_run_in_which_nobody_has_shown_anything_is_refused(expert: Path):
    with pytest.raises(DataError, match="nobody has shown anything there yet"):
        read_demonstrations(str(expert), 4, make(EnvConfig(id="CartPole-v1", num_envs=1), 0).single_action_space)


# DAgger


def test_who_acts_is_drawn_for_every_step():
    world = make(EnvConfig(id="Pendulum-v1", num_envs=64), 0)
    policy = Policy(PolicyConfig(), 3, world.single_action_space)
    seen, _ = world.reset(seed=0)
    for share in (0.0, 0.3, 1.0):
        mixture = Mixture(policy, lambda o: np.full((len(o), 1), 9.0), share)
        noise = mixture.rollout_noise(50, 64, torch.Generator().manual_seed(0))
        by_expert = np.mean([(mixture.act(seen, row).numpy() == 9.0).mean() for row in noise])
        assert by_expert == pytest.approx(share, abs=0.03)
        own = policy.rollout_noise(50, 64, torch.Generator().manual_seed(0))
        assert torch.equal(noise[..., :-1], own)
    assert torch.equal(mixture.act(seen, None), policy.act(seen, None))
    world.close()


def test_an_expert_of_another_world_is_refused(expert: Path, tmp_path: Path):
    shown = replace(some(3), source="x")
    save_npz(
        tmp_path / "demos.npz",
        Demonstrations(episodes=tuple(replace(o, action=o.action[:, :1]) for o in shown.episodes)),
    )
    config = imitation(
        env="Pendulum-v1",
        demonstrations=str(tmp_path / "demos.npz"),
        method="dagger",
        expert=str(expert),
        total_steps=20_000,
    )
    with pytest.raises(ConfigError, match="acts in CartPole-v1, whose spaces are not those of Pendulum-v1"):
        run(config, tmp_path / "run")


def people_config(**settings: Any) -> RunConfig:
    config = tiny_imitation("dagger", demonstrations="", expert="people", **settings)
    assert config.imitation is not None
    expert = ExpertConfig(source="people", num_questions=3, segment_length=5)
    return replace(config, imitation=replace(config.imitation, expert=expert))


def answer_all(store: Any, at: int = 2, by: str = "bob", push: int | None = None) -> int:
    """Answer every open question: push to where the pole leans, if to nothing else."""
    store.add_annotator(by, "person", "")
    queries = store.open_queries(1000)
    for query in queries:
        segment = store.segment(query.segment_ids[0])
        leans = int(segment.observation[at, 2] > 0)
        value = {"step": at, "action": [leans if push is None else push]}
        store.add_feedback(
            [Feedback(key=str(uuid.uuid4()), query_id=query.id, kind="correction", value=value, annotator=by)]
        )
    return len(queries)


def test_people_are_asked_to_correct_what_the_policy_did_and_it_waits_for_them(tmp_path: Path):
    config = people_config()
    assert config.asks_people
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        row = online.iterate()
        assert row is not None
        assert (row["asked"], row["answered"], row["corrections_used"]) == (3, 0, 0)
        assert online.iterate() is None
        assert online.waiting()["asked"] == 3
        assert answer_all(store) == 3
        row = online.iterate()
        assert row is not None
        assert (row["asked"], row["corrections_used"], row["gathered_steps"]) == (6, 3, 3)
        state = online.learner
        for observation, action in zip(state.observation_BO, state.action_BA, strict=True):
            assert int(action[0]) == int(observation[2] > 0)
        queries = [query for _, query, _ in store.newest_queries(limit=10)]
        assert {query.kind for query in queries} == {"correction"}
        shown = Feedback(
            key=str(uuid.uuid4()),
            query_id=queries[0].id,
            kind="demonstration",
            value={"segment_id": queries[0].segment_ids[0]},
            annotator="bob",
        )
        with pytest.raises(DataError, match="asks for 'correction', got 'demonstration'"):
            store.add_feedback([shown])
        online.save()
        online.close()
    with directory.locked(), open_store(directory) as store:
        again = OnlineRun(directory, config, store)
        again.begin()
        assert again.corrections is not None
        assert (again.update, again.corrections.num_taken, len(again.corrections.asked)) == (2, 3, 6)
        answer_all(store)
        row = again.iterate()
        assert row is not None and row["corrections_used"] == 6
        assert row["gathered_steps"] == 6
        again.close()


def test_a_better_action_that_the_world_does_not_have_is_refused_and_of_an_old_store_left_out(tmp_path: Path):
    def answer(row: dict[str, Any]) -> None:
        with open_store(RunDirectory(tmp_path / "run")) as store:
            is_first = not store.bulk.last_position()
            if is_first:
                with pytest.raises(DataError, match=r"value.action\[0\]: expected 0 to 1, got 7"):
                    answer_all(store, push=7)
            answer_all(store)
        if is_first:
            # As one came in before answers were held against the world.
            with closing(sqlite3.connect(tmp_path / "run" / "heeler.db")) as old, old:
                old.execute("UPDATE feedback SET value = json_replace(value, '$.action[0]', 7) WHERE position = 1")

    warnings: list[str] = []
    run(people_config(), tmp_path / "run", on_metrics=answer, on_warning=warnings.append)
    row = RunDirectory(tmp_path / "run").metrics()[-1]
    assert row["corrections_used"] == row["answered"] - 1 == row["gathered_steps"] > 6
    assert warnings == ["an answer names what is no action of this world, and nothing is learned from that"]


def test_what_somebody_withdraws_is_taken_out_and_the_policy_begun_anew(tmp_path: Path):
    config = people_config()
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        for name in ("bob", "ann", "ann"):
            online.iterate()
            answer_all(store, by=name)
        given = {p: one.annotator for p, one in store.feedback_after(0, limit=100, up_to_step=None)}
        assert {given[p] for p in online.learner.answer_B.tolist()} == {"bob", "ann"}
        cloned = online.learner.cloned
        store.withdrawals.forget("bob", "remove")
        row = online.iterate()
        assert row is not None and row["gathered_steps"] == 6
        assert [given[p] for p in online.learner.answer_B.tolist()] == ["ann"] * 6
        assert online.learner.cloned is not cloned, "what the weights learned from them cannot be taken out of these"
        online.close()


def test_chance_is_measured_by_whole_episodes_of_random_actions():
    config = tiny_imitation("bc")
    assert random_return(config) == random_return(config)
    assert 15 < random_return(replace(config, seed=5)) < 40

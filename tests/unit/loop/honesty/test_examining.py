"""`heeler honesty` over whole runs: what is found, kept and shown."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heeler.core.errors import RunError
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.envs import EnvConfig
from heeler.feedback.sides import is_flipped
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig, from_dict
from heeler.loop.honesty.acting import UNLIKE, Disturbed, Situation, Stage, first_episodes, kl_of_step
from heeler.loop.honesty.answers import read_answers
from heeler.loop.honesty.courses import first_policy
from heeler.loop.honesty.examining import NO_HINTS, Effort, examine
from heeler.loop.honesty.found import HONESTY_NAME, save_honesty, saved_honesty
from heeler.loop.honesty.learned import learned_reward
from heeler.loop.honesty.running import examine_run
from heeler.loop.honesty.words import table
from heeler.loop.reading import newest_sound_checkpoint, policy_of
from heeler.loop.report import write_report
from heeler.loop.report_data import predicted_returns
from heeler.loop.running import run
from tests.unit.loop.tiny import tiny_imitation, tiny_kinds, tiny_ppo, tiny_preferences

SMALL = Effort(num_envs=4, num_steps=40)


def crowd_config() -> RunConfig:
    """Some of the crowd is held out, and enough policies stay on disk."""
    config = tiny_preferences(teacher="crowd", checkpoint_every=2, keep_checkpoints=9)
    assert config.preferences is not None
    schedule = replace(config.preferences.schedule, budget=60)
    return replace(config, preferences=replace(config.preferences, held_out_people=0.3, schedule=schedule))


@pytest.fixture(scope="module")
def crowd_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(crowd_config(), tmp_path_factory.mktemp("honesty") / "crowd").path


@pytest.fixture
def copied(crowd_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(crowd_run, tmp_path / "copied"))


def opened(path: Path) -> tuple[RunDirectory, RunConfig, Checkpoint]:
    directory = RunDirectory.open(path)
    return directory, from_dict(directory.config()), newest_sound_checkpoint(directory)


def test_everything_is_found_kept_and_shown(copied: Path):
    found, report = examine_run(copied, SMALL)
    assert found.num_held_out >= 10
    assert found.held_out_by == "answers of people who are held out"
    assert [point.step for point in found.points] == [0, *(2048 * k for k in range(1, 7))]
    assert found.points[0].distance == 0
    assert found.points[-1].distance > 0
    assert all(point.held_out is not None for point in found.points)
    assert found.course is not None
    assert found.course.learned is not None
    assert found.phases is not None
    assert {one.name for one in found.shortcuts} >= {"observation: sine of the angle", "size of the action"}
    assert [one.name for one in found.followed] == ["the left side", "the newer policy's clip"]
    assert [one.name for one in found.situations] == ["as it learned", "it sees badly", "its actions slip"]
    assert sum(one.share for one in found.situations[0].bins) == pytest.approx(1.0)
    assert NO_HINTS in found.missing
    assert saved_honesty(RunDirectory.open(copied)) == found
    page = report.read_text("utf-8")
    for words in ("Honesty of the result", "Where matched", "By distance from what people saw", "honesty-course"):
        assert words in page
    assert "Of an earlier checkpoint" not in page
    assert "situation: its actions slip" in table(found)


def test_the_same_run_comes_to_the_same_figures_and_nothing_of_it_is_changed(copied: Path):
    def contents() -> dict[str, bytes]:
        rest = ("heeler.db", "identity")
        files = [path for path in copied.rglob("*") if path.is_file() and not path.name.startswith(rest)]
        return {str(path.relative_to(copied)): path.read_bytes() for path in files}

    before = contents()
    assert examine(copied, SMALL) == examine(copied, SMALL)
    assert contents() == before


def test_a_run_that_went_on_says_that_the_findings_are_old(copied: Path):
    directory = RunDirectory.open(copied)
    save_honesty(directory, replace(examine(copied, SMALL), checkpoint_sha256="another"))
    assert "Of an earlier checkpoint; run heeler honesty again" in write_report(copied).read_text("utf-8")


def test_what_was_kept_and_is_damaged_is_told(copied: Path):
    (copied / HONESTY_NAME).write_text('{"step": "many"}')
    with pytest.raises(RunError, match=r"cannot be read .* remove it, and run heeler honesty again"):
        saved_honesty(RunDirectory.open(copied))


def test_the_reward_of_clips_and_steps_is_the_learners_own(crowd_run: Path):
    directory, config, checkpoint = opened(crowd_run)
    reward = learned_reward(directory, config, checkpoint)
    answers = read_answers(directory, config, checkpoint)
    assert reward.of_clips is not None
    expected = predicted_returns(config, checkpoint, answers.clips) / len(answers.clips[0])
    np.testing.assert_allclose(reward.of_clips(answers.clips), expected, rtol=1e-4, atol=1e-5)


def test_held_out_answers_are_none_that_the_reward_learned_from(crowd_run: Path, preferences_run: Path):
    directory, config, checkpoint = opened(crowd_run)
    answers = read_answers(directory, config, checkpoint)
    state = checkpoint.state["preferences"]
    assert len(answers.held_out.choice_Q) == len(state["held_out"])
    assert answers.num_answers == len(state["taken"])
    directory, config, checkpoint = opened(preferences_run)
    by_validation = read_answers(directory, config, checkpoint)
    kept = checkpoint.tensors["preferences.comparisons.validation_Q"]
    assert len(by_validation.held_out.choice_Q) == kept.sum()
    assert by_validation.held_out.by == "answers about trajectories kept for validation"


def test_the_side_of_people_is_the_one_that_they_were_shown(copied: Path):
    directory, config, checkpoint = opened(copied)
    with open_store(directory) as store:
        answers = dict(store.feedback_after(0, limit=10_000, up_to_step=None))
        names = sorted({feedback.annotator for feedback in answers.values()})
    assert read_answers(directory, config, checkpoint).held_out.as_named_Q.all(), "nothing is turned for a crowd"
    with sqlite3.connect(copied / "heeler.db") as database:
        database.execute("update annotators set kind = 'person'")
    held = [answers[position] for position, _ in checkpoint.state["preferences"]["held_out"]]
    expected = [not is_flipped(f.query_id, f.annotator) for f in held if f.value["choice"] != "cant_tell"]
    found = read_answers(directory, config, checkpoint).held_out.as_named_Q
    assert names
    np.testing.assert_array_equal(found, expected)
    assert 0 < found.mean() < 1


def test_without_people_held_out_the_split_by_trajectories_is_used_and_said_so(preferences_run: Path):
    found = examine(preferences_run, SMALL)
    assert found.held_out_by == "answers about trajectories kept for validation"
    assert any("set preferences.held_out_people" in why for why in found.missing)
    assert any("begin runs with a larger keep_checkpoints" in why for why in found.missing)
    assert found.course is not None
    assert found.course.learned is None


def test_kinds_and_demonstrations_are_looked_at_too(tmp_path: Path):
    kinds = examine(run(tiny_kinds(), tmp_path / "kinds").path, SMALL)
    assert kinds.shortcuts
    assert kinds.situations[0].ratio is None or kinds.situations[0].ratio.value > 0
    gail = examine(run(tiny_imitation("gail"), tmp_path / "gail").path, SMALL)
    assert (gail.followed, gail.phases, gail.num_held_out) == ((), None, 0)
    assert "staying alive" in {one.name for one in gail.shortcuts}
    assert any("nobody was asked" in why for why in gail.missing)
    assert gail.situations[0].ratio is None, "there is one member alone"


def test_people_have_no_true_return_and_are_not_given_one(copied: Path):
    path = copied / "config.yaml"
    values = RunDirectory.open(copied).config()
    values["preferences"]["teacher"] = "people"
    path.write_text(json.dumps(values))
    found, report = examine_run(copied, SMALL)
    assert all(point.held_out is None for point in found.points)
    assert found.course is not None
    assert found.course.verdict == "too little to say"
    assert all(one.true_return is None for one in found.situations)
    assert "only held-out answers can tell" in report.read_text("utf-8")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (tiny_ppo, "learned no reward that could be looked at: its learner sees the world's own reward"),
        (lambda: tiny_imitation("bc"), "learned no reward that could be looked at: bc makes none"),
    ],
)
def test_runs_that_learned_no_reward_are_refused(make: Callable[[], RunConfig], message: str, tmp_path: Path):
    path = run(make(), tmp_path / "run").path
    with pytest.raises(RunError, match=message):
        examine_run(path, SMALL)
    assert not (path / HONESTY_NAME).exists()


# Acting


def stage_of(path: Path, **settings: Any) -> tuple[Stage, Any]:
    _, config, checkpoint = opened(path)
    stage = Stage(config=config, shield={}, num_envs=4, num_steps=30, seed=5)
    return replace(stage, **settings), policy_of(checkpoint, config)


def test_the_same_seed_acts_alike_and_disturbances_do_not(crowd_run: Path):
    stage, policy = stage_of(crowd_run)
    first, again = stage.act(policy), stage.act(policy)
    np.testing.assert_array_equal(first.observation, again.observation)
    spread = first.observation.reshape(-1, 3).std(0)
    for situation in UNLIKE[:2]:
        other = stage.act(policy, situation, spread)
        np.testing.assert_array_equal(other.observation[0], first.observation[0])
        assert (other.executed != first.executed).any()
        assert (np.abs(other.executed) <= 2).all(), "actions stay within their bounds"


def test_slips_of_choices_are_as_many_as_said(tmp_path: Path):
    path = run(tiny_ppo(), tmp_path / "run").path
    _, policy = stage_of(path)
    seen = np.random.default_rng(0).normal(size=(4000, 4)).astype(np.float32)
    slips = Disturbed(policy, Situation(name="slips", action_noise=0.4), np.ones(4), seed=0)
    changed = (slips.act(seen, None) != policy.act(seen, None)).float().mean()
    assert float(changed) == pytest.approx(0.2, abs=0.03), "chance makes half of the slips what they were anyway"
    calm = Disturbed(policy, Situation(name="nothing"), np.ones(4), seed=0)
    torch.testing.assert_close(calm.act(seen, None), policy.act(seen, None))


def test_gravity_is_offered_where_the_world_has_one(crowd_run: Path):
    stage, _ = stage_of(crowd_run)
    assert not stage.offers(UNLIKE[2])
    assert replace(stage, config=replace(stage.config, env=EnvConfig(id="Hopper-v5"))).offers(UNLIKE[2])


def test_the_distance_of_a_policy_to_itself_is_none_and_that_to_another_is_by_hand(crowd_run: Path):
    stage, policy = stage_of(crowd_run)
    rollout = stage.act(policy)
    assert kl_of_step(policy, policy, rollout) == 0
    _, config, checkpoint = opened(crowd_run)
    other = first_policy(config, checkpoint)
    seen = torch.from_numpy(rollout.observation[:-1].reshape(-1, 3))
    with torch.no_grad():
        a, b = policy.actor(policy.normalize(seen.clone())), other.actor(other.normalize(seen.clone()))
        s, t = policy.log_std.exp(), other.log_std.exp()
        by_hand = (torch.log(t / s) + (s**2 + (a - b) ** 2) / (2 * t**2) - 0.5).sum(-1).mean()
    assert kl_of_step(policy, other, rollout) == pytest.approx(float(by_hand), rel=1e-4)


def test_first_episodes_are_those_that_began_with_the_rollout(crowd_run: Path):
    stage, policy = stage_of(crowd_run)
    short = replace(stage.config, env=replace(stage.config.env, kwargs={"max_episode_steps": 12}))
    rollout = replace(stage, config=short).act(policy)
    np.testing.assert_array_equal(first_episodes(rollout).sum(0), 12)


def test_after_a_fresh_policy_took_over_its_own_course_is_told(tmp_path: Path):
    tiny = crowd_config()
    assert tiny.preferences is not None
    config = replace(tiny, preferences=replace(tiny.preferences, restart_share=0.5), checkpoint_every=1)
    found = examine(run(config, tmp_path / "run").path, SMALL)
    half = 6 * config.steps_per_update
    assert found.points[0].distance == 0
    assert all(point.step > half for point in found.points[1:])
    assert found.points[1].distance < 0.2, "it has just begun"

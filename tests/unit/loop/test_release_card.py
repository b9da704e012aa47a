"""What the card of a release says: what was tested, what it learned from, and what it goes by."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from heeler.core.gate_records import GateRecord
from heeler.core.nouns import Segment
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from heeler.feedback.episodes import load_npz
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.online import OnlineRun
from heeler.loop.reading import learned_kinds, policy_of
from heeler.loop.release_card import Card, card_of
from heeler.loop.release_card_parts import Section
from heeler.loop.release_reward_saliency import learned_reward
from heeler.loop.release_saliency import visited
from heeler.loop.running import run
from heeler.oversight.control_gate import judge_control
from heeler.oversight.control_gate_config import ControlGateConfig, CostClaim
from heeler.oversight.control_gate_nouns import Episodes
from heeler.oversight.control_gate_records import control_record
from tests.unit.loop.test_imitation_loop import answer_all, people_config
from tests.unit.loop.test_own_costs import FAST, of_function, runner
from tests.unit.loop.tiny import CARTPOLE_SHOWN, tiny_imitation, tiny_kinds, tiny_ppo, tiny_preferences


def propose(path: Path, gate: GateRecord | None = None) -> tuple[RunDirectory, Release]:
    """The newest checkpoint of a run as a release."""
    directory = RunDirectory.open(path)
    name, step = str(uuid.uuid4()), directory.checkpoint_steps()[-1]
    return directory, Releases(directory).propose(name, step, "ann-7", audit_head="0" * 64, gate=gate)


def judged(path: Path, *costs: str) -> GateRecord:
    """A gate that tested these costs of the newest checkpoint of a run, which cost nothing."""
    checkpoint, _ = RunDirectory.open(path).newest_checkpoint()
    assert checkpoint is not None
    claims = [CostClaim(name=name, budget=4.0, per="episode", most=20.0) for name in costs]
    gate = ControlGateConfig(margin=1.0, num_episodes=40, return_range=(0.0, 10.0))
    flat = np.ones(40)
    episodes = Episodes(returns=flat, lengths=flat, costs=dict.fromkeys(costs, 0 * flat))
    result, sha256 = judge_control(gate, claims, episodes, episodes), checkpoint.sha256
    return control_record(
        gate,
        claims,
        result,
        candidate=episodes,
        current=episodes,
        candidate_sha256=sha256,
        current_sha256=None,
        seed=0,
    )


def section_of(card: Card, title: str) -> Section:
    return next(section for section in card.sections if section.title == title)


def limits_of(card: Card) -> tuple[str, ...]:
    return section_of(card, "Known limits").points


def test_a_cost_of_one_s_own_that_was_tested_is_told_as_tested(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(FAST)
    config = runner(of_function(mine))
    path = run(replace(config, env=replace(config.env, costs=())), tmp_path / "run").path
    directory, release = propose(path, judged(path, "mine"))
    card = card_of(directory, release.id)
    tested = section_of(card, "How it was tested")
    assert "cost mine per episode" in {row[0] for row in tested.rows}
    assert not [point for point in limits_of(card) if "no costs" in point or "never tested" in point]
    directory, untested = propose(path)
    assert "The cost mine was never tested." in limits_of(card_of(directory, untested.id))


# What it learned from


def learned_from(path: Path) -> tuple[Section, str, str]:
    """The section of a run's newest checkpoint, the reward model as the card names it, and the checkpoint's hash."""
    directory, release = propose(path)
    card = card_of(directory, release.id)
    reward = next(row[1] for row in section_of(card, "What it is").rows if row[0] == "Reward model")
    return section_of(card, "What it learned from"), reward, release.checkpoint_sha256


@pytest.mark.parametrize("method", ["bc", "gail", "airl"])
def test_who_learned_from_demonstrations_says_which_and_how(method: str, tmp_path: Path) -> None:
    section, reward, _ = learned_from(run(tiny_imitation(method), tmp_path / "run").path)
    shown = load_npz(CARTPOLE_SHOWN)
    expected = f"{CARTPOLE_SHOWN}, 6 episodes of {shown.num_steps} steps in all, SHA-256 {shown.fingerprint}"
    assert section.points == (f"Demonstrations: {expected}.",)
    how = "behavioural cloning" if method == "bc" else f"made of demonstrations by {method.upper()}"
    assert how in section.paragraphs[0]
    assert reward.startswith("none: bc learns without one" if method == "bc" else "SHA-256 of its file ")


def test_who_learned_from_an_expert_says_from_whom(tmp_path: Path) -> None:
    expert = run(tiny_ppo(), tmp_path / "expert").path
    config = tiny_imitation("dagger", demonstrations="", expert=str(expert))
    section, _, _ = learned_from(run(config, tmp_path / "run").path)
    _, _, sha256 = learned_from(expert)
    assert "DAgger" in section.paragraphs[0]
    assert section.points == (f"Expert: the policy of the run {expert}, checkpoint with SHA-256 {sha256}.",)


def test_people_who_correct_are_told_beside_the_way(tmp_path: Path) -> None:
    config = people_config()
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        online.iterate()
        online.save()
        early, _, _ = learned_from(directory.path)
        answer_all(store)
        online.iterate()
        online.save()
        online.close()
    late, _, _ = learned_from(directory.path)
    assert early.paragraphs[1] == "It learned from no answers: none had come yet."
    assert "DAgger" in late.paragraphs[0]
    assert late.points == ("Expert: people.",)
    assert ("correction", "3") in late.rows


def test_who_learned_from_a_moved_reward_says_of_which_run(tmp_path: Path) -> None:
    made = run(tiny_imitation("airl", state_only=True), tmp_path / "airl").path
    section, reward, _ = learned_from(run(replace(tiny_ppo(), reward_of=str(made)), tmp_path / "run").path)
    _, _, sha256 = learned_from(made)
    assert f"another run, {made}," in section.paragraphs[0]
    assert sha256 in section.paragraphs[0]
    assert reward == f"that of the run {made}"


def test_who_learned_from_answers_alone_tells_of_them_alone(tmp_path: Path) -> None:
    section, reward, _ = learned_from(run(tiny_preferences(), tmp_path / "run").path)
    assert section.paragraphs == ("It learned from 24 answers; by kind, and by who gave them:",)
    assert reward.startswith("SHA-256 of its file ")


# What is known of it, and what its reward goes by

_JUDGED = "Its return was judged by the world's own reward, which it did not learn from."


@pytest.mark.parametrize("make", [tiny_ppo, tiny_preferences, tiny_kinds], ids=lambda make: make.__name__)
def test_only_what_was_tested_is_said_to_have_been(make: Callable[[], RunConfig], tmp_path: Path) -> None:
    path = run(make(), tmp_path / "run").path
    limits = [limits_of(card_of(*_known(propose(path, gate)))) for gate in (judged(path), None)]
    assert [any(point.startswith("It was tested") for point in points) for points in limits] == [True, False]
    assert [any(point.startswith("It was not tested") for point in points) for points in limits] == [False, True]
    assert [_JUDGED in points for points in limits] == [make is not tiny_ppo, False]


def _known(proposed: tuple[RunDirectory, Release]) -> tuple[RunDirectory, str]:
    directory, release = proposed
    return directory, release.id


def test_the_reward_learned_from_every_kind_of_answer_tells_what_it_goes_by(tmp_path: Path) -> None:
    path = run(tiny_kinds(), tmp_path / "run").path
    directory, release = propose(path)
    section = section_of(card_of(directory, release.id), "What its learned reward goes by")
    names = {"cosine of the angle", "sine of the angle", "angular velocity", "action 0"}
    assert {row[0] for row in section.rows} == names
    config = from_dict(directory.config())
    checkpoint = directory.load_checkpoint(release.step)
    policy = policy_of(checkpoint, config)
    reward, (model, state) = learned_reward(checkpoint, config, policy), learned_kinds(checkpoint, config, policy)
    states = visited(policy, config, seed=3)
    steps = Segment(
        observation=states.observation,
        action=states.executed,
        next_observation=states.next_observation,
        env_id="Pendulum-v1",
        policy_version=0,
        trajectory_id="x",
        start_step=0,
    )
    feature = reward.features(states.observation, states.executed, states.next_observation)
    members = state.scale.members(model.step_rewards(state, steps)[..., None])[..., 0]
    torch.testing.assert_close(reward(feature).detach(), members.mean(0))

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
from heeler.envs import EnvConfig
from heeler.envs.observation_names import observation_names
from heeler.feedback.episodes import load_npz
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.online import OnlineRun
from heeler.loop.reading import learned_kinds, policy_of
from heeler.loop.release_card import Card, card_of
from heeler.loop.release_card_parts import Section
from heeler.loop.release_reward_saliency import (
    Contributions,
    LearnedReward,
    contributions,
    learned_reward,
    reward_saliency,
)
from heeler.loop.release_visits import visited
from heeler.loop.running import run
from heeler.models.ensemble import EnsembleMLP
from heeler.models.moments import RunningMoments
from heeler.oversight.control_gate import judge_control
from heeler.oversight.control_gate_config import ControlGateConfig, CostClaim
from heeler.oversight.control_gate_nouns import Episodes
from heeler.oversight.control_gate_records import control_record
from heeler.rewards.scaled import RewardScale
from heeler.rewards.step_features import StepFeatures
from heeler.safety.shields.config import FallbackConfig, MaskConfig, ShieldConfig
from tests.unit.loop.balancing import a_run
from tests.unit.loop.balancing import config as balanced
from tests.unit.loop.test_imitation_loop import answer_all, people_config
from tests.unit.loop.test_overseers_evaluation import OWN, own
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
    states = visited(policy, config, checkpoint, seed=3)
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


# Exact contributions of a linear reward


def linear(weights: list[list[float]], *, spread: float = 1.0) -> LearnedReward:
    """Two inputs of an observation, about a mean of nought; a list of weights for each member."""
    network = EnsembleMLP(len(weights), 2, (), "silu")
    moments = RunningMoments(2)
    moments.update(spread * torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    scale = RewardScale.neutral(len(weights))
    scale.scale_M = torch.tensor([2.0] * len(weights))
    with torch.no_grad():
        network.weights[0].copy_(torch.tensor(weights)[..., None])
    features = StepFeatures(("observation",), None, 2, 1)
    return LearnedReward(features=features, network=network, moments=moments, scale=scale)


def test_contributions_of_a_linear_reward_by_hand() -> None:
    """Members weigh the first 1 and 3, on a scale of 2: together 4; the second −1, together −2."""
    found = contributions(linear([[1.0, -1.0], [3.0, -1.0]]), torch.tensor([[0.0, 0.0], [1.0, 4.0]]), ["a", "b"])
    second, first = found.inputs
    assert (first.name, second.name) == ("a", "b")
    assert (first.share, second.share) == (pytest.approx(1 / 3, abs=1e-4), pytest.approx(2 / 3, abs=1e-4))
    assert (first.at_low, first.at_high) == (pytest.approx(-2, abs=1e-4), pytest.approx(2, abs=1e-4))
    assert (second.at_low, second.at_high) == (pytest.approx(4, abs=1e-4), pytest.approx(-4, abs=1e-4))
    assert (second.low, second.high, found.num_states, found.cut_off_share) == (0, 4, 2, 0)


def test_what_is_cut_off_counts_as_five_spreads_and_is_told() -> None:
    feature = torch.tensor([[0.0, 0.0], [0.0, 20.0], [0.0, 1.0], [0.0, -1.0]])
    found = contributions(linear([[1.0, 1.0]]), feature, ["a", "b"])
    assert found.cut_off_share == 0.25
    # On a scale of 2: 5 spreads less the mean input, which is itself at 5.
    assert found.inputs[0].at_high == pytest.approx(0, abs=1e-4)
    assert found.inputs[0].at_low == pytest.approx(2 * (-1 - 5), abs=1e-4)
    assert found.inputs[1].share == 0


@pytest.mark.parametrize("spread", [1.0, 0.05], ids=["within", "cut off"])
def test_contributions_add_up_to_the_reward(spread: float) -> None:
    reward = linear([[0.3, -0.7], [1.1, 0.2]], spread=spread)
    generator = torch.Generator().manual_seed(0)
    feature = torch.randn(50, 2, generator=generator)
    for row in feature:
        alone = torch.stack([row, feature.mean(0), 2 * feature.mean(0) - row])
        found = contributions(reward, alone, ["a", "b"])
        ends = {one.name: (one.at_low, one.at_high) for one in found.inputs}
        mine = sum(ends[name][int(row[i] > feature.mean(0)[i])] for i, name in enumerate("ab"))
        with torch.no_grad():
            reached, mean = reward(torch.stack([row, feature.mean(0)])).tolist()
        assert mine == pytest.approx(reached - mean, abs=1e-4)
    assert (contributions(reward, feature, ["a", "b"]).cut_off_share > 0) == (spread < 1)


def test_the_card_of_a_linear_reward_shows_which_way_each_input_moves_it(tmp_path: Path) -> None:
    config = tiny_preferences("CartPole-v1")
    assert config.preferences is not None
    model = replace(config.preferences.model, hidden_sizes=())
    asking = replace(config.preferences, segment_length=8, model=model)
    path = run(replace(config, preferences=asking), tmp_path / "run").path
    directory, release = propose(path)
    section = section_of(card_of(directory, release.id), "What its learned reward goes by")
    checkpoint = directory.load_checkpoint(release.step)
    policy = policy_of(checkpoint, from_dict(directory.config()))
    states = visited(policy, from_dict(directory.config()), checkpoint, seed=0)
    found = reward_saliency(checkpoint, policy, states, from_dict(directory.config()))
    assert isinstance(found, Contributions)
    assert sum(one.share for one in found.inputs) == pytest.approx(1)
    weights = checkpoint.tensors["preferences.network.weights.0"][:, :, 0]
    weight_F = (weights * checkpoint.tensors["preferences.scale"][:, None]).mean(0)
    following = [f"{name}, after the step" for name in observation_names(EnvConfig(id="CartPole-v1"), 4)]
    signs = dict(zip(["choice 0", "choice 1", *following], np.sign(weight_F).tolist(), strict=True))
    moved = {one.name: np.sign(one.at_high - one.at_low) for one in found.inputs if one.high > one.low}
    assert len(moved) >= 4
    assert moved == {name: signs[name] for name in moved}
    assert section.paragraphs[0].startswith("The reward is linear, and these are its exact contributions")
    assert section.heads[2] == "adds, at the lowest to the highest"
    assert len(section.rows) == len(found.inputs) == len(weight_F)


# States that it visits


def test_states_are_those_behind_the_overseers_and_the_shield(tmp_path: Path) -> None:
    """Alone it balances for a hundred steps; behind those that have it push to one side the pole falls."""
    (tmp_path / "own.py").write_text(OWN)
    left = ShieldConfig(
        fallback=FallbackConfig(kind="action", action=(0,)), mask=MaskConfig(source=f"{tmp_path / 'own.py'}:left_only")
    )
    for number, (settings, words) in enumerate(
        (
            ({}, "states that it visits. "),
            ({"overseers": own(tmp_path, "right")}, "states that it visits behind its overseers. "),
            ({"shield": left}, "states that it visits behind its shield. "),
            (
                {"overseers": own(tmp_path, "right"), "shield": left},
                "states that it visits behind its overseers and its shield. ",
            ),
        )
    ):
        config = replace(balanced(), **settings)
        directory = a_run(tmp_path / f"run-{number}", {100: 5.0}, config)
        checkpoint = directory.load_checkpoint(100)
        states = visited(policy_of(checkpoint, config), config, checkpoint, seed=0)
        done = set(states.executed[:, 0].tolist())
        assert done == ({0, 1} if not settings else {0} if "shield" in settings else {1})
        assert len(states.observation) == 512
        _, release = propose(directory.path)
        section = section_of(card_of(directory, release.id), "What moves its choices")
        assert words in section.paragraphs[0]


def test_where_overseers_let_nothing_be_done_the_card_says_so(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN.replace("> 20", ">= 0"))
    config = replace(balanced(), overseers=own(tmp_path, "halts"))
    directory = a_run(tmp_path / "run", {100: 5.0}, config)
    _, release = propose(directory.path)
    section = section_of(card_of(directory, release.id), "What moves its choices")
    assert "that it would visit without its overseers, behind which nothing is done" in section.paragraphs[0]


def test_an_episode_that_overseers_halt_is_visited_until_then(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    config = replace(balanced(), overseers=own(tmp_path, "halts"))
    checkpoint = a_run(tmp_path / "run", {100: 5.0}, config).load_checkpoint(100)
    states = visited(policy_of(checkpoint, config), config, checkpoint, seed=0)
    # Four rounds of 8 episodes of 20 steps make 640.
    assert states.is_let and len(states.observation) == 512

"""Overseers that learned in the game of oversight: their files, and what they do in a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.errors import ConfigError, RunError
from heeler.core.rundir import RunDirectory
from heeler.envs import AgentsConfig, EnvConfig, make
from heeler.envs.oversight_game import CHARGES, EVIDENCE_SIZE, GameConfig, OversightGame, honest_action
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.evaluations import evaluate_run
from heeler.loop.overseers.acting import ActionReview
from heeler.loop.overseers.course import EpisodeCount
from heeler.loop.overseers.learned import LearnedOverseers, write_learned
from heeler.loop.overseers.learning import learn_overseers
from heeler.loop.overseers.playing import GameTeam
from heeler.loop.overseers.settings import OverseersConfig
from heeler.loop.overseers.texts import text_team
from heeler.loop.running import resume, run
from heeler.models.policy import PolicyConfig
from heeler.oversight.overseers.evidence import Proposals
from heeler.oversight.overseers.quorum import QuorumConfig
from heeler.recipes.overseers import main
from tests.unit.loop.test_overseers_learning import TINY
from tests.unit.loop.tiny import tiny_ppo

GAME = GameConfig()
POLICY = PolicyConfig(hidden_sizes=(16,))


def a_team(seed: int = 0, rate: float = 0.4, quorum: QuorumConfig | None = None) -> GameTeam:
    """One that learned nothing, and objects to a good share of what it sees."""
    seen = np.random.default_rng(0).standard_normal((500, len(CHARGES), EVIDENCE_SIZE)).astype(np.float32)
    return GameTeam.fresh(POLICY, quorum or QuorumConfig(), seed).calibrated(seen, rate)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_learned(tmp_path / "team", a_team(), GAME)
    (tmp_path / "silent.py").write_text("def silent(agent, observation, generator):\n    return 0\n")
    return tmp_path


def watched(folder: Path, learned: str = "team") -> RunConfig:
    """A worker that learns in the game, in which the game's own overseers are silent and the run's are not."""
    others = dict.fromkeys(CHARGES, f"{folder / 'silent.py'}:silent")
    env = EnvConfig(
        id="heeler.envs.oversight_parallel:OversightParallel",
        num_envs=4,
        agents=AgentsConfig(learning=("worker",), others=others),
    )
    config = tiny_ppo(total_steps=3 * 4 * 64, checkpoint_every=1)
    return replace(config, env=env, overseers=OverseersConfig(learned=str(folder / learned)))


def test_what_is_written_is_read(folder: Path) -> None:
    assert sorted(path.name for path in (folder / "team").iterdir()) == ["overseers.json", "overseers.safetensors"]
    team = a_team()
    state = torch.random.get_rng_state()
    learned = LearnedOverseers(folder / "team")
    assert torch.equal(torch.random.get_rng_state(), state), "a run draws what it would draw without them"
    seen = np.random.default_rng(1).standard_normal((50, len(CHARGES), EVIDENCE_SIZE)).astype(np.float32)
    np.testing.assert_array_equal(learned._team.suspicion(seen), team.suspicion(seen))
    np.testing.assert_array_equal(learned._team.thresholds, team.thresholds)
    write_learned(folder / "alone", team.alone(1), GAME)
    again = LearnedOverseers(folder / "alone")
    assert np.isinf(again._team.thresholds).tolist() == [True, False, True]
    assert again.sha256 != learned.sha256


def shown(game: OversightGame, turn: float = 1.0) -> np.ndarray:
    """What the worker sees in the game's PettingZoo form."""
    return np.concatenate((game.worker_view(), np.full((game.num_games, 1), turn, np.float32)), 1)


def test_they_see_what_the_game_shows_but_for_noise_of_their_own(folder: Path) -> None:
    learned, game = LearnedOverseers(folder / "team"), OversightGame(GAME, 6, 3)
    nothing = np.zeros_like(game.draws.private_TNK)
    game.draws = game.draws._replace(private_TNK=nothing, demand_error_TNK=nothing)
    sums, rng = learned.fresh(9), np.random.default_rng(5)
    sums += 100.0  # of games before
    copies = np.array([8, 1, 2, 3, 5, 7])
    for _ in range(GAME.num_steps):
        action = rng.integers(0, GAME.worker_space.nvec, size=(6, 4))
        told = Proposals(step=0, observation=shown(game), action=action, copies=copies, sums=sums)
        between = Proposals(step=0, observation=shown(game, 0.0), action=action, copies=copies, sums=sums)
        assert {one.decision for one in learned.review_all(between)} == {"allow"}, "it is not the worker's turn"
        before = sums.copy()
        seen = learned._evidence(told, np.arange(6))
        sums[:] = before
        expected = game.propose(action)
        np.testing.assert_allclose(seen, expected, atol=1e-5)
        objected = learned._team.quorum.is_reached(learned._team.objects(expected))
        verdicts = learned.review_all(told)
        assert [one.decision == "veto" for one in verdicts] == objected.tolist()
        game.decide(objected)
    assert (sums[[0, 4, 6]] == 100).all(), "other copies' sums are left as they are"


def test_a_veto_says_who_suspects_what(folder: Path) -> None:
    learned, game = LearnedOverseers(folder / "team"), OversightGame(GAME, 64, 3)
    verdicts = learned.review_all(Proposals(step=0, observation=shown(game), action=honest_action(game.worker_view())))
    vetoed = next(one for one in verdicts if one.decision == "veto")
    told = vetoed.evidence["charges"]
    who = [name for name in CHARGES if told[name]["suspicion"] > told[name]["threshold"]]
    assert vetoed.reason == f"suspected by {', '.join(who)}"


def test_a_run_is_watched_by_them(folder: Path) -> None:
    config = watched(folder)
    assert from_dict(to_dict(config)) == config
    result = run(config, folder / "run")
    rows = RunDirectory.open(result.path).metrics()
    assert 0 < rows[-1]["overseers/vetoed"] < 0.5, "half of all steps are not the worker's"
    assert rows[-1]["overseers/learned/failures"] == 0
    told = [one for one in entries(result.path / AUDIT_NAME, after=0, limit=99) if one.act == "overseers.object"]
    assert "charges" in told[0].details["first"][0]["evidence"]["overseers"]["learned"]
    assert "vetoed_steps" in evaluate_run(result.path).figures
    resume(result.path)


def test_what_they_learned_tells_diverted_work_from_honest_work(tmp_path: Path) -> None:
    """Though they learned with noise of their own, which they are spared here."""
    write_learned(tmp_path / "team", learn_overseers(TINY, 0).team, TINY.game)
    learned = LearnedOverseers(tmp_path / "team")
    shares: list[float] = []
    for diverted in (0, 1):
        game, sums, num = OversightGame(TINY.game, 256, 9), learned.fresh(256), 0
        for _ in range(TINY.game.num_steps):
            action = honest_action(game.worker_view())
            action[:, 1:] = diverted
            told = Proposals(step=0, observation=shown(game), action=action, sums=sums)
            num += sum(one.decision == "veto" for one in learned.review_all(told))
            game.propose(action)
            game.decide(np.zeros(256, bool))
        shares.append(num / (256 * TINY.game.num_steps))
    assert shares[0] < 0.1
    assert shares[1] > 0.9


def test_what_they_summed_up_goes_through_a_checkpoint(folder: Path) -> None:
    config = watched(folder)
    assert config.overseers is not None
    world = make(config.env, 0)
    game = OversightGame(GAME, 4, 3)
    count = EpisodeCount(4, ())
    first = ActionReview(config.overseers, world, count)
    for _ in range(10):
        first.review(shown(game), honest_action(game.worker_view()))
        game.propose(honest_action(game.worker_view()))
        game.decide(np.zeros(4, bool))
    arrays, state = first.kept()
    assert np.abs(arrays["sums"]).max() > 1
    later = ActionReview(config.overseers, world, EpisodeCount(4, ()))
    later.restore(arrays, state)
    for review in (first, later):
        review.review(shown(game), honest_action(game.worker_view()))
    np.testing.assert_array_equal(first.kept()[0]["sums"], later.kept()[0]["sums"])


def test_a_run_does_not_go_on_with_others(folder: Path) -> None:
    config = watched(folder)
    run(config, folder / "run")
    write_learned(folder / "team", a_team(seed=1), GAME)
    for act in (resume, evaluate_run):
        with pytest.raises(
            RunError, match=r"team was changed since the checkpoint was saved; put the old learned back"
        ):
            act(folder / "run")
    write_learned(folder / "team", a_team(), GAME)
    resume(folder / "run")


def spoil(path: Path, **changes: Any) -> None:
    described = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(described))


def test_what_does_not_fit_leaves_no_run(folder: Path) -> None:
    cartpole = tiny_ppo(overseers=OverseersConfig(learned=str(folder / "team")))
    unfit = (
        r"is for agents that see 7 numbers and choose among \[5, 4, 4, 4\]; in CartPole-v1 they see 4 and act in Disc"
    )
    for config, words in ((cartpole, unfit), (watched(folder, "nowhere"), "nowhere/overseers.json cannot be read: No")):
        with pytest.raises(ConfigError, match=words):
            run(config, folder / "run")
    other = replace(GAME, sizes=(0, 1, 2))
    write_learned(folder / "other", a_team(), other)
    with pytest.raises(ConfigError, match=r"choose among \[5, 3, 3, 3\]; in heeler.envs.oversight_parallel"):
        run(watched(folder, "other"), folder / "run")
    assert not (folder / "run").exists()
    with pytest.raises(ConfigError, match=r"guards.learned would be ignored"):
        text_team(OverseersConfig(learned=str(folder / "team")), "guards")


def test_a_file_that_was_altered_is_refused(folder: Path) -> None:
    weights, described = (folder / "team" / f"overseers.{end}" for end in ("safetensors", "json"))
    content, text = weights.read_bytes(), described.read_text()
    weights.write_bytes(content[:-1] + b"x")
    with pytest.raises(ConfigError, match=r"overseers.safetensors was altered: its SHA-256"):
        LearnedOverseers(folder / "team")
    weights.write_bytes(content)
    for changes, words in (
        ({"format": 2}, "is of format 2, expected 1"),
        ({"game": {"num_steps": 0}}, "num_steps must be >= 1, got 0"),
        ({"policy": {"hidden_sizes": [8]}}, "holds no overseers that can be read"),
        ({"thresholds": "none"}, "holds no overseers that can be read"),
    ):
        spoil(described, **changes)
        with pytest.raises(ConfigError, match=words):
            LearnedOverseers(folder / "team")
        described.write_text(text)
    described.write_text("{")
    with pytest.raises(ConfigError, match=r"overseers.json is damaged"):
        LearnedOverseers(folder / "team")


def test_the_recipe_s_folder_is_what_a_run_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder / "out"), "--quick"]) == 0
    assert f"overseers.learned={folder / 'out'}" in capsys.readouterr().out
    run(watched(folder, "out"), folder / "run")
